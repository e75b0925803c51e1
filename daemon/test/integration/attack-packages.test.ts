/** Manifests and packages that are made to do what the daemon's owner did not allow. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { instanceFile } from '../../src/http/daemon.ts';
import type { RunFile } from '../../src/protocol/index.ts';
import { buildImages } from '../helpers/images.ts';
import { TestDaemon } from '../support/live-daemon.ts';
import { Registry, zip } from '../support/registry.ts';
import { until } from '../support/test-pool.ts';

describe('a hostile manifest', function () {
  this.timeout(120_000);
  let engine: Engine;
  let registry: Registry;
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_200_000);
    engine = await Engine.connect(loadConfig());
    const { images } = await buildImages(loadConfig(), engine, ['python', 'rust']);
    await images.buildProxy({ onProgress() {}, signal: new AbortController().signal });
    registry = await Registry.start(engine.docker);
    const registries = [`pip=${registry.url}/simple`, `cargo=${registry.url}/cargo/`];
    daemon = await TestDaemon.start({ registries });
  });
  after(async () => {
    const instance = await readFile(instanceFile(daemon.dataDir), 'utf8');
    await daemon[Symbol.asyncDispose]();
    for (const { name } of await engine.listVolumes({ instance })) await engine.removeVolume(name);
    await registry[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  // It needs nothing from the registry to be built: its own code does that.
  const ARCHIVE = zip({
    'pot-1.0/pyproject.toml': '[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n',
    'pot-1.0/build.py': "raise SystemExit('It was run.')\n",
    'pot-1.0/PKG-INFO': 'Metadata-Version: 2.1\nName: pot\nVersion: 1.0\n',
  });
  const ways: [string, (address: string) => RunFile][] = [
    ['takes the prohibition back', () => ({ path: 'requirements.txt', content: '--no-binary :all:\npot\n' })],
    ['names an archive', (address) => ({ path: 'requirements.txt', content: `pot @ ${address}\n` })],
    [
      'names an archive in a pyproject.toml',
      (address) => ({
        path: 'pyproject.toml',
        content: `[project]\nname = "x"\nversion = "1"\ndependencies = ["pot @ ${address}"]\n`,
      }),
    ],
  ];
  for (const [what, manifest] of ways) {
    it(`has no package built where install scripts are not allowed: it ${what}`, async () => {
      registry.put('/files/pot-1.0.zip', ARCHIVE);
      registry.put(
        '/simple/pot/',
        '<!DOCTYPE html><html><body><a href="/files/pot-1.0.zip">pot-1.0.zip</a></body></html>',
      );
      const files = [{ path: 'main.py', content: 'print(1)' }, manifest(`${registry.url}/files/pot-1.0.zip`)];
      const { run, stdout, stderr } = await daemon.runToEnd({
        runtime: 'python',
        entry: 'main.py',
        files,
        stdin: null,
      });
      assert.ok(!stderr.includes('It was run.'), stderr);
      assert.equal(run.message, 'pot comes only as source.', stderr);
      assert.equal(run.state, 'install_failed');
      assert.equal(stdout, '');
    });
  }

  it('that names many hosts is told of a few', async () => {
    const hosts = Array.from({ length: 50 }, (_, index) => `host${index}.example`);
    const asked = hosts.map((host) => `--trusted-host ${host}\n--find-links http://${host}/\n`);
    const { run } = await daemon.runToEnd({
      runtime: 'python',
      entry: 'main.py',
      files: [
        { path: 'main.py', content: 'print(1)' },
        { path: 'requirements.txt', content: `${asked.join('')}pot\n` },
      ],
      stdin: null,
    });
    assert.equal(run.error?.code, 'registry_unreachable');
    assert.equal(run.message?.match(/host\d+\.example/g)?.length, 5, run.message ?? '');
  });

  it('gets its packages also where the run before it was cancelled a moment ago', async () => {
    registry.wheel('cup', '1.0', 'handle = 1\n');
    const files = [
      { path: 'main.py', content: 'import cup; print(cup.handle)' },
      { path: 'requirements.txt', content: 'cup\n' },
    ];
    const gate = Promise.withResolvers<void>();
    registry.gate = gate.promise;
    const asked = registry.asked.length;
    const first = await daemon.start({ runtime: 'python', entry: 'main.py', files, stdin: null });
    await until(() => registry.asked.length > asked);
    assert.equal((await daemon.fetch('DELETE', `/v1/runs/${first.id}`)).status, 202);
    assert.equal((await daemon.follow(first.id)).run.state, 'cancelled');
    const second = await daemon.start({ runtime: 'python', entry: 'main.py', files, stdin: null });
    gate.resolve();
    const { run, stdout } = await daemon.follow(second.id);
    assert.equal(run.state, 'succeeded', run.message ?? '');
    assert.equal(stdout, '1\n');
  });

  it('has its program compiled again when its packages were installed anew, which may be newer', async () => {
    const files = [
      { path: 'src/main.rs', content: 'fn main() { println!("{}", kettle::WATER); }\n' },
      {
        path: 'Cargo.toml',
        content: '[package]\nname = "kitchen"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\nkettle = "1"\n',
      },
    ];
    const run = async () => {
      const { run, stdout, stderr } = await daemon.runToEnd({ entry: 'src/main.rs', files, stdin: null });
      assert.equal(run.state, 'succeeded', stderr);
      return stdout;
    };
    await registry.crate('kettle', '1.0.0', 'pub const WATER: &str = "cold";\n');
    assert.equal(await run(), 'cold\n');
    await daemon.json('DELETE', '/v1/packages');
    await registry.crate('kettle', '1.1.0', 'pub const WATER: &str = "hot";\n');
    assert.equal(await run(), 'hot\n');
  });
});
