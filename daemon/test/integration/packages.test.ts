/** Packages: installed apart from the program and once, from registries that the test serves itself. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { instanceFile } from '../../src/http/daemon.ts';
import { PACKAGES_LABEL } from '../../src/pool/pool.ts';
import type { PackageList, RunRequest } from '../../src/protocol/index.ts';
import { buildImages } from '../helpers/images.ts';
import { TestDaemon } from '../support/live-daemon.ts';
import { Registry } from '../support/registry.ts';

describe('packages', function () {
  this.timeout(120_000);
  let engine: Engine;
  let registry: Registry;

  before(async function () {
    this.timeout(1_200_000);
    engine = await Engine.connect(loadConfig());
    const { images } = await buildImages(loadConfig(), engine, ['javascript', 'python']);
    await images.buildProxy({ onProgress() {}, signal: new AbortController().signal });
    registry = await Registry.start(engine.docker);
    await registry.npm({ name: 'tea', version: '1.2.0', files: { 'index.js': "exports.pot = 'brown betty';" } });
    registry.wheel('tea', '1.2.0', "pot = 'brown betty'\n");
  });

  after(async () => {
    await registry[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  const instances = new Set<string>();

  /** A daemon that installs from the test's registry. */
  const start = async (settings: Partial<Config> = {}) => {
    const registries = [`npm=${registry.url}/npm/`, `pip=${registry.url}/simple`];
    const daemon = await TestDaemon.start({ registries, ...settings });
    instances.add(await readFile(instanceFile(daemon.dataDir), 'utf8'));
    return daemon;
  };

  /** Names of the volumes of this file's daemons. */
  const volumes = async () => {
    const lists = await Promise.all([...instances].map((instance) => engine.listVolumes({ instance })));
    return lists.flat().map(({ name }) => name);
  };

  // A daemon keeps packages for its next start; the folder that knew of them is gone.
  afterEach(async () => {
    for (const name of await volumes()) await engine.removeVolume(name);
    instances.clear();
    registry.gate = Promise.resolve();
  });

  const node = (source: string, dependencies: object, more: Partial<RunRequest> = {}): RunRequest => ({
    runtime: 'javascript',
    stdin: null,
    ...more,
    files: [
      { path: 'main.js', content: source },
      { path: 'package.json', content: JSON.stringify({ dependencies }) },
      ...(more.files ?? []),
    ],
  });
  const python = (source: string, requirements: string, more: Partial<RunRequest> = {}): RunRequest => ({
    runtime: 'python',
    stdin: null,
    ...more,
    files: [
      { path: 'main.py', content: source },
      { path: 'requirements.txt', content: requirements },
      ...(more.files ?? []),
    ],
  });
  const TEA = "console.log(require('tea').pot);";

  /** Containers and networks of this file's daemons that are there for packages. */
  const workshops = async () => {
    const lists = await Promise.all(
      [...instances].map(async (instance) => [
        ...(await engine.listOurs({ instance })).filter(({ labels }) => labels[PACKAGES_LABEL] !== undefined),
        ...(await engine.listNetworks({ instance })),
      ]),
    );
    return lists.flat();
  };

  describe('of a package.json', () => {
    it('are found by require and by import, and installed once', async () => {
      await using daemon = await start();
      const request = node(`${TEA}\nimport('tea').then((tea) => console.log(tea.default.pot));`, { tea: '^1.0.0' });
      const first = await daemon.runToEnd(request);
      assert.equal(first.run.state, 'succeeded', first.stderr);
      assert.equal(first.stdout, 'brown betty\nbrown betty\n');
      assert.match(first.stderr, /^Installing the packages of package.json\n(?:.*\n)*Installed in /);
      assert.deepEqual(
        first.run.stages.map(({ stage }) => stage),
        ['install', 'run'],
      );
      const asked = registry.asked.length;
      const second = await daemon.runToEnd(request);
      assert.equal(second.stdout, first.stdout);
      assert.equal(second.stderr, '');
      assert.deepEqual(
        second.run.stages.map(({ stage }) => stage),
        ['run'],
      );
      assert.equal(registry.asked.length, asked);
    });

    it('leave nothing on the engine but the packages, and with them removed nothing at all', async () => {
      await using daemon = await start();
      await daemon.runToEnd(node(TEA, { tea: '*' }));
      assert.deepEqual(await workshops(), []);
      const { packages } = await daemon.json<PackageList>('GET', '/v1/packages');
      assert.deepEqual(
        packages.map(({ runtime, manifest }) => [runtime, manifest]),
        [['javascript', 'package.json']],
      );
      const pruned = await daemon.json<{ removed: number }>('DELETE', '/v1/packages');
      assert.equal(pruned.removed, 1);
      assert.deepEqual(await volumes(), []);
    });
  });

  describe('of a requirements.txt', () => {
    it('are imported by an interpreter that was waiting', async () => {
      await using daemon = await start({ poolSize: 1 });
      const request = python('import tea; print(tea.pot, tea.__file__)', 'tea==1.2.0\n');
      const first = await daemon.runToEnd(request);
      assert.equal(first.run.state, 'succeeded', first.stderr);
      assert.equal(first.stdout, 'brown betty /packages/tea/__init__.py\n');
      const second = await daemon.runToEnd(request);
      assert.equal(second.run.warm.interpreter, true);
      assert.equal(second.stdout, first.stdout);
    });
  });
});
