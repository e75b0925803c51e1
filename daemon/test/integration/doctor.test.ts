/** `coderunner doctor` finds what is wrong, says what that means, and how to mend it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Check } from '../../src/cli/doctor/check.ts';
import { renderDoctor, runDoctor } from '../../src/cli/doctor/doctor.ts';
import { checkLimits, checkSeccomp } from '../../src/cli/doctor/engine.ts';
import { BUNDLED_RUNTIMES, type Config, loadConfig } from '../../src/config.ts';
import { EngineProxy } from '../support/engine-proxy.ts';
import { dataFolder, TestDaemon } from '../support/live-daemon.ts';
import { OwnEngine } from '../support/own-engine.ts';
import { containersOf, TestPool } from '../support/test-pool.ts';

describe('the doctor', () => {
  let dataDir: string;

  before(async function () {
    this.timeout(600_000);
    await using _ = await TestPool.open(); // builds the image where it is not there
  });

  beforeEach(async () => {
    dataDir = await dataFolder();
  });

  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const look = (settings: Partial<Config> = {}) => runDoctor(loadConfig(process.env, { dataDir, ...settings }));

  async function finding(id: string, settings: Partial<Config> = {}): Promise<Check> {
    const checks = await look(settings);
    const found = checks.find((check) => check.id === id);
    assert.ok(found, `there is no check ${id} among ${checks.map((check) => check.id)}`);
    if (found.state === 'fail' || found.state === 'warn') {
      assert.notEqual(found.meaning, '');
      assert.notEqual(found.remedy, '');
    }
    return found;
  }

  it('starts a sandbox where all is well, and leaves none behind', async () => {
    await using test = await TestPool.open();
    const checks = await look();
    const broken = checks.filter(({ state, id }) => state === 'fail' && id !== 'runtime.javascript');
    assert.deepEqual(broken, []);
    assert.match(checks.find(({ id }) => id === 'sandbox')?.found ?? '', /was ready after/);
    assert.deepEqual(await containersOf(test.docker, 'doctor'), []);
    const ids = checks.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    for (const id of [
      'node',
      'data.folder',
      'data.disk',
      'daemon',
      'port',
      'engine',
      'engine.storage',
      'engine.limits',
    ])
      assert.ok(ids.includes(id), id);
    for (const id of ['engine.seccomp', 'engine.users', 'engine.disk', 'image.base', 'runtime.python'])
      assert.ok(ids.includes(id), id);
  });

  it('changes nothing in the data folder', async () => {
    await look();
    assert.deepEqual(await readdir(dataDir), []);
  });

  it('finds no engine, and still says all that it can', async () => {
    const checks = await look({ engine: `unix://${dataDir}/none.sock` });
    const engine = checks.find(({ id }) => id === 'engine');
    assert.equal(engine?.state, 'fail');
    assert.match(engine?.found ?? '', /none\.sock.*nothing is there/);
    assert.match(engine?.remedy ?? '', /Correct CODERUNNER_ENGINE/);
    assert.equal(checks.find(({ id }) => id === 'node')?.state, 'ok');
  });

  it('finds an engine that hangs', async () => {
    await using proxy = await EngineProxy.start();
    proxy.hold();
    const engine = await finding('engine', { engine: proxy.address });
    assert.equal(engine.state, 'fail');
    assert.match(engine.found, /does not answer in time/);
  });

  it('finds that Node is too old', async () => {
    // The check reads process.versions, which is the one thing here that cannot be had for real: this Node runs the test.
    const versions = Object.getOwnPropertyDescriptor(process, 'versions') as PropertyDescriptor;
    Object.defineProperty(process, 'versions', { ...versions, value: { ...process.versions, node: '18.19.0' } });
    try {
      const node = await finding('node', { engine: 'unix:///none' });
      assert.equal(node.state, 'fail');
      assert.match(node.found, /18\.19\.0/);
    } finally {
      Object.defineProperty(process, 'versions', versions);
    }
  });

  it('finds a data folder that others can read, and one that is a file', async () => {
    await chmod(dataDir, 0o755);
    const open = await finding('data.folder', { engine: 'unix:///none' });
    assert.deepEqual([open.state, open.remedy], ['warn', `chmod 700 '${dataDir}'`]);
    await chmod(dataDir, 0o777);
    assert.equal((await finding('data.folder', { engine: 'unix:///none' })).state, 'fail');
    await writeFile(join(dataDir, 'file'), '');
    const file = await finding('data.folder', { engine: 'unix:///none', dataDir: join(dataDir, 'file') });
    assert.equal(file.state, 'fail');
    assert.match(file.found, /is no folder/);
  });

  it('finds the daemon that runs, and its port in order', async () => {
    await using daemon = await TestDaemon.start();
    const port = Number(new URL(daemon.url).port);
    const running = await finding('daemon', { dataDir: daemon.dataDir, engine: 'unix:///none' });
    assert.equal(running.state, 'ok');
    assert.ok(running.found.includes(daemon.url));
    assert.equal((await finding('port', { dataDir: daemon.dataDir, port, engine: 'unix:///none' })).state, 'ok');
  });

  it('finds the sign of a daemon that is not there any more', async () => {
    await writeFile(join(dataDir, 'daemon.json'), JSON.stringify({ url: 'http://127.0.0.1:1', pid: 1, version: '0' }));
    const daemon = await finding('daemon', { engine: 'unix:///none' });
    assert.equal(daemon.state, 'warn');
    assert.match(daemon.found, /not there/);
    await writeFile(join(dataDir, 'daemon.json'), '{ half');
    assert.equal((await finding('daemon', { engine: 'unix:///none' })).state, 'warn');
  });

  it('finds a daemon of another version', async () => {
    const server = createHttpServer((_request, response) => response.end('ok')).listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
      await writeFile(join(dataDir, 'daemon.json'), JSON.stringify({ url, pid: 1, version: '0.0.1' }));
      const daemon = await finding('daemon', { engine: 'unix:///none' });
      assert.equal(daemon.state, 'warn');
      assert.match(daemon.found, /^0\.0\.1 at/);
      assert.match(daemon.remedy, /coderunner stop/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  it('finds a port that is taken, and an address that is not of this machine', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    try {
      const { port } = other.address() as AddressInfo;
      const taken = await finding('port', { port, engine: 'unix:///none' });
      assert.equal(taken.state, 'fail');
      assert.match(taken.remedy, /CODERUNNER_PORT/);
      const foreign = await finding('port', { port, host: '203.0.113.1', engine: 'unix:///none' });
      assert.match(foreign.remedy, /CODERUNNER_HOST/);
    } finally {
      other.close();
    }
  });

  it('finds an OCI runtime that the engine does not know', async () => {
    const checks = await look({ ociRuntime: 'nobody' });
    const runtime = checks.find(({ id }) => id === 'engine.oci-runtime');
    assert.equal(runtime?.state, 'fail');
    assert.match(runtime?.found ?? '', /nobody.*it has .*runc/);
    assert.equal(checks.find(({ id }) => id === 'sandbox')?.state, 'fail');
  });

  it('finds a pool that may take more memory than there is', async () => {
    const memory = await finding('pool.memory', { poolSize: 1_000 });
    assert.equal(memory.state, 'warn');
    assert.match(memory.remedy, /CODERUNNER_POOL_SIZE to \d+/);
  });

  it('finds a runtime that is broken, and one that is not built', async () => {
    const runtimesPath = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    try {
      await mkdir(join(runtimesPath, 'cobol'));
      await writeFile(join(runtimesPath, 'cobol', 'runtime.json'), '{ "id": "cobol" }');
      await cp(join(BUNDLED_RUNTIMES, 'python'), join(runtimesPath, 'python'), { recursive: true });
      await writeFile(join(runtimesPath, 'python', 'more'), runtimesPath);
      const checks = await look({ runtimesPath });
      const state = (id: string) => checks.find((check) => check.id === id)?.state;
      assert.deepEqual([state('runtime.cobol'), state('runtime.python')], ['fail', 'skip']);
      assert.match(checks.find(({ id }) => id === 'runtime.python')?.remedy ?? '', /runtimes build python/);
    } finally {
      await rm(runtimesPath, { recursive: true });
    }
  });

  it('finds limits and filters that are missing', () => {
    assert.equal(checkLimits({ MemoryLimit: true, SwapLimit: true, PidsLimit: true, CpuCfsQuota: true }).state, 'ok');
    const noSwap = checkLimits({ MemoryLimit: true, SwapLimit: false, PidsLimit: true, CpuCfsQuota: true });
    assert.equal(noSwap.state, 'warn');
    assert.match(noSwap.remedy ?? '', /swapaccount=1/);
    const rootless = checkLimits({ CgroupVersion: '1', MemoryLimit: false, SwapLimit: false, PidsLimit: false });
    assert.equal(rootless.state, 'fail');
    assert.match(rootless.found, /cgroup version 1, without memory, swap, processes/);
    const allThere = { MemoryLimit: true, SwapLimit: true, PidsLimit: true, CpuCfsQuota: true, Rootless: true };
    assert.equal(checkLimits({ ...allThere, CgroupVersion: '1' }).state, 'fail', 'Podman says so, and limits nothing');
    assert.equal(checkLimits({ ...allThere, CgroupVersion: '2' }).state, 'ok');
    assert.equal(checkSeccomp({ SecurityOptions: ['name=seccomp,profile=default'] }).state, 'ok');
    assert.equal(checkSeccomp({ SecurityOptions: [] }).state, 'fail');
  });

  it('says it in sentences, or as JSON, and by its exit code', async () => {
    const checks = await look({ engine: 'unix:///none' });
    const printed = renderDoctor(checks);
    assert.match(printed, /✖ Container engine: .+\n {4}Nothing can be run.+\n {4}→ .+/);
    assert.match(printed, /1 of \d+ checks failed\.\n$/);
    const cli = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
    const child = spawn(process.execPath, [cli, 'doctor', '--json'], {
      env: { ...process.env, CODERUNNER_DATA_DIR: dataDir, CODERUNNER_ENGINE: 'unix:///none' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const exited = once(child, 'exit');
    const told = JSON.parse(await text(child.stdout)) as Check[];
    assert.deepEqual(
      told.map(({ id, state }) => [id, state]),
      checks.map(({ id, state }) => [id, state]),
    );
    assert.equal((await exited)[0], 1);
  });

  // These need root: to be another user for a moment, and to run another Docker.
  if (process.getuid?.() === 0) {
    it('finds a data folder of another user', async () => {
      await chown(dataDir, 65_534, 65_534);
      const foreign = await finding('data.folder', { engine: 'unix:///none' });
      assert.deepEqual([foreign.state, foreign.found], ['fail', `${dataDir} belongs to another user`]);
    });

    it('finds a socket and a data folder that are not for this user', async () => {
      const doctor = fileURLToPath(new URL('../../src/cli/doctor/doctor.ts', import.meta.url));
      const config = fileURLToPath(new URL('../../src/config.ts', import.meta.url));
      await using proxy = await EngineProxy.start();
      await chmod(dirname(proxy.address.slice('unix://'.length)), 0o755); // the socket itself is root's
      const script = `
        const [{ runDoctor }, { loadConfig }] = await Promise.all([import('${doctor}'), import('${config}')]);
        const config = loadConfig(process.env, { dataDir: '${dataDir}/data', engine: '${proxy.address}' });
        process.setgroups([]); process.setgid(65534); process.setuid(65534);
        console.log(JSON.stringify(await runDoctor(config)));`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const checks = JSON.parse(await text(child.stdout)) as Check[];
      const engine = checks.find(({ id }) => id === 'engine');
      assert.equal(engine?.state, 'fail');
      assert.match(engine?.found ?? '', /this user may not use it/);
      assert.match(engine?.remedy ?? '', /usermod -aG docker/);
      const folder = checks.find(({ id }) => id === 'data.folder');
      assert.equal(folder?.state, 'fail');
      assert.match(folder?.remedy ?? '', /chown/);
    });
  }
  if (OwnEngine.isPossible) {
    it('finds an engine that has no image, and stores them badly', async () => {
      await using engine = await OwnEngine.start(['--storage-driver', 'vfs']);
      const checks = await look({ engine: engine.address, baseImage: 'localhost:1/nobody/debian:none' });
      const state = (id: string) => checks.find((check) => check.id === id)?.state;
      assert.deepEqual([state('engine.storage'), state('runtime.python'), state('sandbox')], ['warn', 'skip', 'skip']);
      assert.match(checks.find(({ id }) => id === 'image.base')?.found ?? '', /no registry gives localhost:1/);
    });
  }
});
