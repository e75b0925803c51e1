/** Packages: installed apart from the program and once, from registries that the test serves itself. */
import assert from 'node:assert/strict';
import { readFile, rm } from 'node:fs/promises';
import type { Config } from '../../src/config.ts';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { instanceFile } from '../../src/http/daemon.ts';
import { PACKAGES_LABEL } from '../../src/pool/cleaner.ts';
import type { PackageList, RunRequest } from '../../src/protocol/index.ts';
import { buildImages } from '../helpers/images.ts';
import { Cli } from '../support/cli.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { dataFolder, TestDaemon } from '../support/live-daemon.ts';
import { Registry, zip } from '../support/registry.ts';
import { until } from '../support/test-pool.ts';

const MiB = 2 ** 20;

describe('packages', function () {
  this.timeout(120_000);
  let engine: Engine;
  let registry: Registry;

  before(async function () {
    this.timeout(1_200_000);
    engine = await Engine.connect(loadConfig());
    const { images } = await buildImages(loadConfig(), engine, [
      'javascript',
      'typescript',
      'python',
      'go',
      'rust',
      'java',
    ]);
    await images.buildProxy({ onProgress() {}, signal: new AbortController().signal });
    registry = await Registry.start(engine.docker);
    await registry.npm({ name: 'tea', version: '1.2.0', files: { 'index.js': "exports.pot = 'brown betty';" } });
    registry.wheel('tea', '1.2.0', "pot = 'brown betty'\n");
    registry.goModule('example.com/tea', 'v1.2.0', { 'tea.go': 'package tea\n\nconst Pot = "brown betty"\n' });
    // Its version comes from the project, its colour from a parent's list of versions; what it is tested with is not there.
    registry.maven('org.pots', 'colour', '1.0', zip({ 'colour.txt': 'brown' }));
    const versions =
      '<dependencyManagement><dependencies><dependency><groupId>org.pots</groupId><artifactId>colour</artifactId><version>${colour.version}</version></dependency></dependencies></dependencyManagement>';
    registry.maven(
      'org.pots',
      'parent',
      '7',
      zip({}),
      `<properties><colour.version>1.0</colour.version></properties>${versions}`,
    );
    const parent = '<parent><groupId>org.pots</groupId><artifactId>parent</artifactId><version>7</version></parent>';
    const needs = (name: string, more = '') =>
      `<dependency><groupId>org.pots</groupId><artifactId>${name}</artifactId>${more}</dependency>`;
    const dependencies = `<dependencies>${needs('colour')}${needs('absent', '<version>1</version><scope>test</scope>')}</dependencies>`;
    registry.maven('org.pots', 'betty', '1.2.0', zip({ 'betty.txt': 'betty' }), `${parent}${dependencies}`);
    await registry.crate('tea', '1.2.0', 'pub const POT: &str = "brown betty";\n');
  });

  after(async () => {
    await registry[Symbol.asyncDispose]();
    await engine[Symbol.asyncDispose]();
  });

  const instances = new Set<string>();

  /** A daemon that installs from the test's registry. */
  const start = async (settings: Partial<Config> = {}) => {
    const registries = [
      `npm=${registry.url}/npm/`,
      `pip=${registry.url}/simple`,
      `go=${registry.url}/go`,
      `cargo=${registry.url}/cargo/`,
      `maven=${registry.url}/maven`,
    ];
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

    it('may be spread over files, and lie beside an entry in a folder', async () => {
      await using daemon = await start();
      const { run, stdout, stderr } = await daemon.runToEnd({
        runtime: 'python',
        stdin: null,
        entry: 'app/main.py',
        files: [
          { path: 'app/main.py', content: 'import tea; print(tea.pot)' },
          { path: 'app/requirements.txt', content: '-r more/requirements.txt\n' },
          { path: 'app/more/requirements.txt', content: 'tea\n' },
          { path: 'requirements.txt', content: 'coffee\n' },
        ],
      });
      assert.equal(run.state, 'succeeded', stderr);
      assert.equal(stdout, 'brown betty\n');
    });

    it('may be named by a pyproject.toml instead', async () => {
      await using daemon = await start();
      const { run, stdout, stderr } = await daemon.runToEnd({
        runtime: 'python',
        stdin: null,
        files: [
          { path: 'main.py', content: 'import tea; print(tea.pot)' },
          {
            path: 'pyproject.toml',
            content: '[project]\nname = "x"\nversion = "1"\ndependencies = [\n  "tea>=1",\n]\n',
          },
        ],
      });
      assert.equal(run.state, 'succeeded', stderr);
      assert.equal(stdout, 'brown betty\n');
    });
  });

  const others: [string, string, RunRequest['files']][] = [
    [
      'go.mod',
      'go',
      [
        {
          path: 'main.go',
          content:
            'package main\n\nimport (\n\t"fmt"\n\n\t"example.com/tea"\n)\n\nfunc main() { fmt.Println(tea.Pot) }\n',
        },
        { path: 'go.mod', content: 'module example.com/kitchen\n\ngo 1.21\n\nrequire example.com/tea v1.2.0\n' },
      ],
    ],
    [
      'Cargo.toml',
      'rust',
      [
        { path: 'src/main.rs', content: 'fn main() { println!("{}", tea::POT); }\n' },
        {
          path: 'Cargo.toml',
          content: '[package]\nname = "kitchen"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\ntea = "1"\n',
        },
      ],
    ],
    [
      'pom.xml',
      'java',
      [
        {
          path: 'Main.java',
          content: `class Main {
            static String read(String name) throws Exception {
              try (var stream = Main.class.getResourceAsStream(name)) { return new String(stream.readAllBytes()); }
            }
            public static void main(String[] args) throws Exception {
              System.out.println(read("/colour.txt") + " " + read("/betty.txt"));
            }
          }`,
        },
        {
          path: 'pom.xml',
          content:
            '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>x</groupId><artifactId>kitchen</artifactId><version>1</version><properties><betty>1.2.0</betty></properties><dependencies><dependency><groupId>org.pots</groupId><artifactId>betty</artifactId><version>${betty}</version></dependency></dependencies></project>',
        },
      ],
    ],
    [
      'package.json for TypeScript',
      'typescript',
      [
        { path: 'main.ts', content: "import { pot } from 'tea';\nconst said: string = pot;\nconsole.log(said);\n" },
        { path: 'package.json', content: '{"type": "module", "dependencies": {"tea": "*"}}' },
      ],
    ],
  ];
  for (const [what, runtime, files] of others) {
    it(`of a ${what} are there when the program is compiled and run`, async () => {
      await using daemon = await start();
      const request: RunRequest = { runtime, entry: files[0]?.path as string, files, stdin: null };
      const { run, stdout, stderr } = await daemon.runToEnd(request);
      assert.equal(run.state, 'succeeded', stderr);
      assert.equal(stdout, 'brown betty\n');
      assert.equal(run.stages[0]?.stage, 'install');
      const again = await daemon.runToEnd(request);
      assert.equal(again.stdout, stdout, again.stderr);
      assert.ok(!again.run.stages.some(({ stage }) => stage === 'install'));
    });
  }

  describe('that a run does without', () => {
    const without: [string, RunRequest][] = [
      ['a package.json that names none', node('console.log(1)', {})],
      ['a requirements.txt of remarks', python('print(1)', '# none\n\n')],
      [
        'a manifest in a folder that is not on the way to the entry',
        {
          ...node('console.log(1)', {}),
          files: [
            { path: 'main.js', content: 'console.log(1)' },
            { path: 'web/package.json', content: '{"dependencies": {"tea": "*"}}' },
          ],
          entry: 'main.js',
        },
      ],
    ];
    for (const [what, request] of without) {
      it(`because of ${what} are not installed`, async () => {
        await using daemon = await start();
        const { run, stdout } = await daemon.runToEnd(request);
        assert.equal(stdout, '1\n');
        assert.deepEqual(
          run.stages.map(({ stage }) => stage),
          ['run'],
        );
      });
    }

    it('because the daemon’s owner does not want any are not installed, which the run says', async () => {
      await using daemon = await start({ packages: 'off' });
      const { run, stdout, stderr } = await daemon.runToEnd(node('console.log(1)', { tea: '*' }));
      assert.equal(run.state, 'succeeded');
      assert.equal(stdout, '1\n');
      assert.match(stderr, /package\.json is ignored \(CODERUNNER_PACKAGES is off\)/);
    });
  });

  describe('that cannot be installed', () => {
    /** Runs it, and says in what way it failed. */
    const failure = async (request: RunRequest, settings: Partial<Config> = {}) => {
      await using daemon = await start(settings);
      const { run, stdout, stderr } = await daemon.runToEnd(request);
      assert.equal(stdout, '', 'nothing of the program ran');
      assert.deepEqual(await volumes(), [], 'nothing half made stays');
      assert.deepEqual(await workshops(), []);
      return { state: run.state, ...run.error, message: `${run.message}`, stderr };
    };
    const lock = (integrity: string, version = '1.2.0') => ({
      path: 'package-lock.json',
      content: JSON.stringify({
        lockfileVersion: 3,
        packages: {
          '': { dependencies: { tea: '1.2.0' } },
          'node_modules/tea': { version, resolved: `${registry.url}/npm/tea/-/tea-1.2.0.tgz`, integrity },
        },
      }),
    });

    it('since there is none of that name are told by name', async () => {
      const unknown = await failure(node(TEA, { tee: '1' }));
      assert.equal(unknown.state, 'install_failed');
      assert.equal(unknown.code, 'install_failed');
      assert.match(unknown.message, /^The registry has no package tee@/);
      const other = await failure(python('import tee', 'tee\n'));
      assert.match(other.message, /^The registry has no tee for this Python/);
    });

    it('since the lock file says otherwise are told in a sentence', async () => {
      const lockOfAnother = lock('sha512-AAAA', '1.1.0');
      const stale = await failure(node(TEA, { tea: '^1.2.0' }, { files: [lockOfAnother] }));
      assert.equal(stale.message, 'package-lock.json does not agree with package.json.');
      assert.match(stale.hint ?? '', /npm install/);
    });

    it('since they are not what the lock file says are refused', async () => {
      const wrong = `sha512-${Buffer.alloc(64).toString('base64')}`;
      const forged = await failure(node(TEA, { tea: '1.2.0' }, { files: [lock(wrong)] }));
      assert.match(forged.message, /checksum differs/);
      const other = await failure(python('import tea', `tea==1.2.0 --hash=sha256:${'0'.repeat(64)}\n`));
      assert.match(other.message, /^tea==1\.2\.0 is not what requirements\.txt says/);
    });

    it('since a lock file or checksum says otherwise are told for each language', async () => {
      const manifest =
        '[package]\nname = "kitchen"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\ntea = "1"\n';
      const locked =
        '\n[[package]]\nname = "tea"\nversion = "1.2.0"\nsource = "registry+https://github.com/rust-lang/crates.io-index"\n';
      const kitchen = 'version = 4\n\n[[package]]\nname = "kitchen"\nversion = "0.1.0"\n';
      const rust = (lock: string): RunRequest => ({
        runtime: 'rust',
        stdin: null,
        entry: 'src/main.rs',
        files: [
          { path: 'src/main.rs', content: 'fn main() {}' },
          { path: 'Cargo.toml', content: manifest },
          { path: 'Cargo.lock', content: lock },
        ],
      });
      assert.equal((await failure(rust(kitchen))).message, 'Cargo.lock does not agree with Cargo.toml.');
      const forged = `${kitchen}dependencies = ["tea"]\n${locked}checksum = "${'0'.repeat(64)}"\n`;
      assert.match((await failure(rust(forged))).message, /^tea v1\.2\.0 is not what Cargo\.lock says/);
      const go = await failure({
        runtime: 'go',
        stdin: null,
        entry: 'main.go',
        files: [
          { path: 'main.go', content: 'package main\n\nfunc main() {}\n' },
          { path: 'go.mod', content: 'module kitchen\n\ngo 1.21\n\nrequire example.com/tea v1.2.0\n' },
          { path: 'go.sum', content: `example.com/tea v1.2.0 h1:${Buffer.alloc(32).toString('base64')}\n` },
        ],
      });
      assert.match(go.message, /^example\.com\/tea@v1\.2\.0 is not what go\.sum says/);
    });

    it('since the registry does not answer say which', async () => {
      const away = await Registry.start(engine.docker);
      await away[Symbol.asyncDispose]();
      const lost = await failure(python('import tea', 'tea\n'), { registries: [`pip=${away.url}/simple`] });
      assert.equal(lost.code, 'registry_unreachable');
      assert.ok(lost.message.includes(new URL(away.url).hostname), lost.message);
      assert.match(lost.hint ?? '', /CODERUNNER_REGISTRIES/);
    });

    it('since they come from elsewhere say from where', async () => {
      await using elsewhere = await Registry.start(engine.docker);
      elsewhere.wheel('tea', '1.2.0', '');
      const refused = await failure(
        python(
          'import tea',
          `--index-url ${elsewhere.url}/simple\n--trusted-host ${new URL(elsewhere.url).hostname}\ntea\n`,
        ),
      );
      assert.equal(refused.code, 'registry_unreachable');
      assert.ok(refused.message.includes(new URL(elsewhere.url).host), refused.message);
      assert.deepEqual(elsewhere.asked, []);
    });

    it('since it takes too long say how long it may take', async () => {
      const gate = Promise.withResolvers<void>();
      registry.gate = gate.promise;
      try {
        const late = await failure(node(TEA, { tea: '*' }), { installWall: 2_000 });
        assert.equal(late.state, 'timed_out');
        assert.match(late.message, /longer than 2 s \(CODERUNNER_INSTALL_WALL\)/);
      } finally {
        gate.resolve();
      }
    });

    it('since they are too large say how large they may be', async () => {
      registry.wheel('heavy', '1.0', 'x = 1\n', { 'heavy/weight.txt': 'x'.repeat(8 * MiB) });
      const heavy = await failure(python('import heavy', 'heavy\n'), { layerBytes: 4 * MiB });
      assert.equal(heavy.state, 'install_failed');
      assert.match(heavy.message, /more than 4 MiB .*\(CODERUNNER_LAYER_BYTES\)/);
    });

    it('as source only say what would allow it', async () => {
      await registry.source('kettle', '1.0', 'from setuptools import setup; setup()');
      const source = await failure(python('import kettle', 'kettle\n'));
      assert.match(source.hint ?? '', /CODERUNNER_INSTALL_SCRIPTS=on/);
    });
  });

  describe('with install scripts', () => {
    /** Installs a package whose script is this program; its own folder is what it leaves for the run that follows. */
    const attack = async (script: string, settings: Partial<Config> = {}, source = "console.log('ran')") => {
      const name = `evil-${registry.asked.length}`;
      await registry.npm({
        name,
        version: '1.0.0',
        files: { 'script.js': script, 'index.js': '' },
        scripts: { install: 'node script.js' },
      });
      await using daemon = await start({ installScripts: 'on', ...settings });
      const followed = await daemon.runToEnd(node(source.replaceAll('EVIL', name), { [name]: '*' }));
      assert.deepEqual(await workshops(), []);
      return followed;
    };

    it('do not run unless that is set', async () => {
      const { run, stdout, stderr } = await attack("throw new Error('I ran')", { installScripts: 'off' });
      assert.equal(run.state, 'succeeded', stderr);
      assert.equal(stdout, 'ran\n');
    });

    it('reach the registry and nothing else: no host, gateway, metadata, name or neighbour', async () => {
      await using secret = await Registry.start(engine.docker);
      const host = new URL(registry.url).hostname;
      const script = `(async () => {
        const net = require('node:net');
        const dns = require('node:dns').promises;
        const proxy = new URL(process.env.HTTP_PROXY);
        const direct = (host, port) => new Promise((resolve) => {
          const socket = net.connect({ host, port, timeout: 1500 });
          const end = (how) => { socket.destroy(); resolve(how); };
          socket.on('connect', () => end('REACHED ' + host + ':' + port)).on('error', () => end('no')).on('timeout', () => end('no'));
        });
        const through = (request) => new Promise((resolve) => {
          const socket = net.connect(Number(proxy.port), proxy.hostname, () => socket.write(request + ' HTTP/1.0\\r\\n\\r\\n'));
          let answer = '';
          socket.on('data', (bytes) => { answer += bytes; }).on('error', () => {}).on('close', () => resolve(answer.split(' ')[1]));
        });
        const gateway = proxy.hostname.replace(/\\d+$/, '1');
        const direct_ = ['${host}', gateway, '169.254.169.254', '1.1.1.1'].flatMap((target) =>
          [22, 53, 80, 2375, ${new URL(secret.url).port}, ${new URL(registry.url).port}].map((port) => direct(target, port)));
        const names = ['example.com', 'localhost.example'].map((name) => dns.resolve(name).then(() => 'RESOLVED', () => 'no'));
        const asked = [
          'GET ${registry.url}/npm/tea',
          'GET ${secret.url}/', 'GET http://${host}/', 'GET http://169.254.169.254/latest/meta-data/',
          'GET ${registry.url}@169.254.169.254/', 'GET http://169.254.169.254/?${registry.url}/',
          'GET http://169.254.169.254#${registry.url}/', 'GET ftp://${host}/', 'GET //169.254.169.254/',
          'CONNECT ${new URL(secret.url).host}', 'CONNECT ${new URL(registry.url).host}', 'CONNECT 127.0.0.1:22',
          'CONNECT 169.254.169.254:443',
        ];
        const found = {
          direct: await Promise.all([...direct_, ...names]),
          proxied: await Promise.all(asked.map(through)),
        };
        require('node:fs').writeFileSync('found.json', JSON.stringify(found));
      })()`;
      const { run, stdout, stderr } = await attack(
        script,
        {},
        "console.log(JSON.stringify(require('EVIL/found.json')))",
      );
      assert.equal(run.state, 'succeeded', stderr);
      const found = JSON.parse(stdout) as { direct: string[]; proxied: string[] };
      assert.deepEqual(new Set(found.direct), new Set(['no']));
      const [registryAnswered, ...others] = found.proxied;
      assert.equal(registryAnswered, '200');
      assert.ok(
        others.every((status) => /^[45]\d\d$/.test(status)),
        others.join(' '),
      );
      assert.deepEqual(secret.asked, []);
    });

    it('see nothing of the run but its manifest, and nothing of the daemon', async () => {
      const script = `
        const { execSync } = require('node:child_process');
        const files = execSync('find /workspace -type f -not -path "*/node_modules/*"').toString().trim().split('\\n').sort();
        const { HTTP_PROXY, http_proxy, HTTPS_PROXY, https_proxy, ...env } = process.env;
        const names = Object.keys(env).filter((name) => !/^npm_|^(PATH|HOME|NODE|INIT_CWD|PWD|_|SHLVL|COLOR|EDITOR|OLDPWD)$/.test(name)).sort();
        require('node:fs').writeFileSync('found.json', JSON.stringify({ files, names, uid: process.getuid() >= 10001 }));`;
      process.env.CODERUNNER_TEST_SECRET = 'secret';
      try {
        const { stdout, stderr } = await attack(script, {}, "console.log(JSON.stringify(require('EVIL/found.json')))");
        assert.deepEqual(JSON.parse(stdout || stderr), {
          files: ['/workspace/.coderunner-ca.crt', '/workspace/package.json'],
          names: ['CODERUNNER_CA', 'CODERUNNER_INSTALL_SCRIPTS', 'CODERUNNER_REGISTRY', 'LANG', 'TMPDIR', 'USER'],
          uid: true,
        });
      } finally {
        delete process.env.CODERUNNER_TEST_SECRET;
      }
    });

    it('that fork without end are stopped with all they started', async () => {
      const script = `
        const { spawn } = require('node:child_process');
        for (;;) try { spawn('/bin/sh', ['-c', 'while :; do sh -c "sleep 100" & done'], { detached: true, stdio: 'ignore' }).on('error', () => {}); } catch {}`;
      const { run, stdout } = await attack(script, { installWall: 10_000 });
      assert.ok(['timed_out', 'install_failed', 'out_of_memory'].includes(run.state), run.state);
      assert.equal(stdout, '');
    });

    it('that fill the disk fill nothing but their own memory', async () => {
      const script = `
        const fs = require('node:fs');
        const piece = Buffer.alloc(1 << 20);
        for (const folder of ['/workspace', '/tmp', '/dev/shm'])
          for (let n = 0; ; n++) try { fs.writeFileSync(folder + '/fill' + n, piece); } catch { break; }
        process.exit(1);`;
      const { run, stdout } = await attack(script, { layerBytes: 16 * MiB });
      assert.equal(run.state, 'install_failed');
      assert.equal(stdout, '');
    });

    it('that leave a file with a hole of a terabyte are refused', async () => {
      const script = `
        const fs = require('node:fs');
        for (let n = 0; n < 100; n++) fs.truncateSync(fs.openSync('hole' + n, 'w').toString() && 'hole' + n, 15 << 20);`;
      const { run, stdout } = await attack(script, { layerBytes: 16 * MiB });
      assert.equal(run.state, 'install_failed', run.message ?? '');
      assert.match(run.message ?? '', /more than 16 MiB/);
      assert.equal(stdout, '');
    });

    it('that leave a process behind change nothing of what is kept', async () => {
      const script = `
        const { spawn } = require('node:child_process');
        const later = "setInterval(() => require('node:fs').appendFileSync(process.argv[1], 'x'), 1)";
        spawn(process.execPath, ['-e', later, process.cwd() + '/found.txt'], { detached: true, stdio: 'ignore' }).unref();
        const until = () => { try { return require('node:fs').statSync('found.txt').size > 10; } catch { return false; } };
        while (!until());`;
      const { run, stdout, stderr } = await attack(
        script,
        {},
        "const read = () => require('node:fs').readFileSync(require.resolve('EVIL/found.txt'), 'utf8').length; const before = read(); setTimeout(() => console.log(read() - before), 200)",
      );
      assert.equal(run.state, 'succeeded', stderr);
      assert.equal(stdout, '0\n');
    });
  });

  describe('that are there', () => {
    it('cannot be changed by the program, which has no network', async () => {
      await using daemon = await start();
      const { stdout, stderr } = await daemon.runToEnd(
        node(
          `const fs = require('node:fs');
           const no = (work) => { try { work(); return 'DONE'; } catch (error) { return error.code; } };
           console.log(no(() => fs.writeFileSync('/node_modules/tea/index.js', '')), no(() => fs.renameSync('/node_modules/tea', '/node_modules/coffee')));
           const { hostname: host, port } = new URL('${registry.url}');
           require('node:net').connect({ host, port: Number(port) }).on('error', (error) => console.log(error.code)).on('connect', () => console.log('CONNECTED'));`,
          { tea: '*' },
        ),
      );
      assert.equal(stdout, 'EROFS EROFS\nENETUNREACH\n', stderr);
    });

    it('are installed once for two runs that start together', async () => {
      await using daemon = await start();
      const gate = Promise.withResolvers<void>();
      registry.gate = gate.promise;
      const before = registry.asked.length;
      const request = node(TEA, { tea: '1.2.0' });
      const runs = [await daemon.start(request), await daemon.start(request)];
      for (const { id } of runs) await daemon.printed(id, 'Installing the packages');
      gate.resolve();
      const ended = await Promise.all(runs.map(({ id }) => daemon.follow(id)));
      for (const { run, stdout, stderr } of ended) {
        assert.equal(stdout, 'brown betty\n', stderr);
        assert.deepEqual(
          run.stages.map(({ stage }) => stage),
          ['install', 'run'],
        );
      }
      const tarballs = registry.asked.slice(before).filter((path) => path.endsWith('.tgz'));
      assert.equal(tarballs.length, 1);
    });

    it('come all the same when one of two runs is cancelled, and not when both are', async () => {
      await using daemon = await start();
      const gate = Promise.withResolvers<void>();
      registry.gate = gate.promise;
      const request = node(TEA, { tea: '>=1.2.0' });
      const [first, second] = [await daemon.start(request), await daemon.start(request)];
      for (const { id } of [first, second]) await daemon.printed(id, 'Installing the packages');
      await daemon.fetch('DELETE', `/v1/runs/${first.id}`);
      assert.equal((await daemon.follow(first.id)).run.state, 'cancelled');
      gate.resolve();
      assert.equal((await daemon.follow(second.id)).stdout, 'brown betty\n');

      const closed = Promise.withResolvers<void>();
      registry.gate = closed.promise;
      const third = await daemon.start(node(TEA, { tea: '>1.1' }));
      await daemon.printed(third.id, 'Installing the packages');
      await daemon.fetch('DELETE', `/v1/runs/${third.id}`);
      assert.equal((await daemon.follow(third.id)).run.state, 'cancelled');
      await until(async () => (await workshops()).length === 0);
      assert.equal((await volumes()).length, 1);
      closed.resolve();
    });

    it('are not removed while a run uses them', async () => {
      await using daemon = await start();
      const source = "require('tea'); console.log('ready'); process.stdin.once('data', () => process.exit())";
      const { stdin: _, ...request } = node(source, { tea: '1' });
      const run = await daemon.start(request);
      await daemon.printed(run.id, 'ready');
      const { packages } = await daemon.json<PackageList>('GET', '/v1/packages');
      const refused = await daemon.refusal('DELETE', `/v1/packages/${packages[0]?.id}`);
      assert.equal(refused.code, 'packages_in_use');
      await daemon.fetch('POST', `/v1/runs/${run.id}/stdin`, 'go\n');
      await daemon.follow(run.id);
      await daemon.json('DELETE', '/v1/packages');
      assert.deepEqual(await volumes(), []);
    });

    it('are installed anew where their volume was removed behind the daemon’s back', async () => {
      await using daemon = await start();
      const request = node(TEA, { tea: '1' });
      await daemon.runToEnd(request);
      const names = await volumes();
      await until(async () => (await Promise.all(names.map((name) => engine.removeVolume(name)))).every(Boolean));
      const { run, stdout, stderr } = await daemon.runToEnd(request);
      assert.equal(stdout, 'brown betty\n', stderr);
      assert.equal(run.stages.length, 2);
    });

    it('give way to others when there are too many, the least recently used first', async () => {
      await using daemon = await start({ packagesBytes: MiB });
      registry.wheel('wide', '1.0', 'x = 1\n', { 'wide/x.txt': 'x'.repeat(MiB * 0.7) });
      await daemon.runToEnd(python('import wide', 'wide==1.0\n'));
      await daemon.runToEnd(python('import wide', 'wide>=1.0\n'));
      const { packages } = await daemon.json<PackageList>('GET', '/v1/packages');
      assert.equal(packages.length, 1);
      assert.equal((await volumes()).length, 1);
    });
  });

  it('are listed and removed on the command line, whose runs keep the program’s output apart', async () => {
    await using cli = await Cli.create({ CODERUNNER_REGISTRIES: `npm=${registry.url}/npm/` });
    await cli.file('main.js', TEA);
    await cli.file('package.json', '{"dependencies": {"tea": "1"}}');
    const first = await cli.run(['run', 'main.js']);
    assert.equal(first.code, 0, first.stderr.toString());
    instances.add(await readFile(instanceFile(cli.dataDir), 'utf8'));
    assert.equal(first.stdout.toString(), 'brown betty\n');
    assert.match(first.stderr.toString(), /Installing the packages of package\.json/);
    const [listed] = JSON.parse((await cli.run(['packages', '--json'])).stdout.toString()) as PackageList['packages'];
    assert.ok(listed);
    assert.match((await cli.run(['packages'])).stdout.toString(), new RegExp(`${listed.id} +javascript +package.json`));
    const unknown = await cli.run(['packages', 'rm', 'p_nothing']);
    assert.equal(unknown.code, 125);
    assert.match(unknown.stderr.toString(), /not_found: There are no packages p_nothing/);
    assert.equal((await cli.run(['packages', 'rm', listed.id])).code, 0);
    assert.match((await cli.run(['packages', 'prune'])).stdout.toString(), /^Removed 0 \(0 B\)\.$/m);
    assert.deepEqual(await volumes(), []);
  });

  it('whose container somebody removes are told as such', async () => {
    await using daemon = await start();
    const gate = Promise.withResolvers<void>();
    registry.gate = gate.promise;
    const asked = registry.asked.length;
    const { id } = await daemon.start(node(TEA, { tea: '1.2' }));
    await until(() => registry.asked.length > asked);
    const [instance = ''] = instances;
    for (const container of await engine.listOurs({ instance })) await engine.remove(container.id);
    const { run } = await daemon.follow(id);
    gate.resolve();
    assert.equal(run.state, 'install_failed');
    assert.match(run.message ?? '', /^The container that installs the packages went away/);
    assert.deepEqual(await volumes(), []);
  });

  it('that a killed daemon was about to install leave nothing, and the run is done by the next one', async () => {
    const dataDir = await dataFolder();
    try {
      const gate = Promise.withResolvers<void>();
      registry.gate = gate.promise;
      await using killed = await DaemonProcess.start(dataDir, { CODERUNNER_REGISTRIES: `npm=${registry.url}/npm/` });
      instances.add(await readFile(instanceFile(dataDir), 'utf8'));
      const { id } = await killed.start(node(TEA, { tea: '1' }));
      await killed.printed(id, 'Installing the packages');
      await until(async () => (await workshops()).length >= 3);
      await killed.end('SIGKILL');
      gate.resolve();
      await using daemon = await start({ dataDir });
      const { run, stdout, stderr } = await daemon.follow(id);
      assert.equal(run.state, 'succeeded', stderr);
      assert.equal(stdout, 'brown betty\n');
      assert.deepEqual(await workshops(), []);
      assert.equal((await volumes()).length, 1);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });
});
