/** A daemon that ends, by a kill or by being asked to: no run disappears, none runs twice, nothing is left behind. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, chown, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findEngine } from '../../src/engine/discovery.ts';
import { type Discovery, discoveryFile, instanceFile } from '../../src/http/daemon.ts';
import type { Run } from '../../src/protocol/index.ts';
import { sha256 } from '../support/daemon.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { dataFolder, python, TestDaemon, WAITS } from '../support/live-daemon.ts';

/** Containers of the daemon of a data folder, whatever their state. */
async function containersOf(dataDir: string): Promise<number> {
  const instance = await readFile(instanceFile(dataDir), 'utf8');
  const { docker } = await findEngine('');
  const filters = { label: [`coderunner.instance=${instance}`] };
  return (await docker.listContainers({ all: true, filters })).length;
}

/** Resolves when the daemon has begun to stop: it takes no more runs. */
async function refusesRuns(daemon: DaemonProcess): Promise<void> {
  while ((await daemon.fetch('POST', '/v1/runs', python(''))).status !== 503);
}

describe('recovery', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await dataFolder();
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  const alone = { CODERUNNER_MAX_RUNNING: '1' };

  it('runs after a kill what waited, and says that what ran is lost', async () => {
    const module = "def hello(): print('from the upload')\n";
    let running: Run;
    let queued: Run;
    {
      await using daemon = await DaemonProcess.start(dataDir, alone);
      running = await daemon.start(python(WAITS));
      await daemon.printed(running.id, 'ready\n');
      await daemon.fetch('PUT', `/v1/blobs/${sha256(module)}`, module);
      queued = await daemon.start({
        runtime: 'python',
        entry: 'main.py',
        files: [
          { path: 'main.py', content: 'import sys, module\nmodule.hello()\nprint(sys.argv[1:], input())' },
          { path: 'module.py', sha256: sha256(module) },
        ],
        args: ['kept'],
        stdin: 'kept too\n',
      });
      assert.equal(await daemon.end('SIGKILL'), null);
    }
    assert.ok(existsSync(discoveryFile(dataDir)), 'the killed daemon left its discovery file');
    await using daemon = await DaemonProcess.start(dataDir, alone);
    const lost = await daemon.run(running.id);
    assert.equal(lost.state, 'lost');
    assert.equal(lost.message, 'Lost: the daemon ended while the program ran.');
    const { run, stdout } = await daemon.follow(queued.id);
    assert.equal(run.state, 'succeeded');
    assert.equal(stdout, "from the upload\n['kept'] kept too\n");
    const { runs } = await daemon.json<{ runs: Run[] }>('GET', '/v1/runs');
    assert.deepEqual(
      runs.map(({ id, state }) => [id, state]),
      [
        [queued.id, 'succeeded'],
        [running.id, 'lost'],
      ],
    );
    assert.equal(await daemon.end('SIGTERM'), 0);
    assert.equal(await containersOf(dataDir), 0);
  });

  it('knows after a kill which runs it has taken: a request that is sent again starts nothing', async () => {
    const waits = python(WAITS, { key: 'first' });
    const later = python("print('later')", { key: 'second', env: { B: '2', A: '1' } });
    const taken: Run[] = [];
    {
      await using daemon = await DaemonProcess.start(dataDir, alone);
      taken.push(await daemon.start(waits));
      await daemon.printed(taken[0]?.id ?? '', 'ready\n');
      taken.push(await daemon.start(later));
      await daemon.end('SIGKILL');
    }
    await using daemon = await DaemonProcess.start(dataDir, alone);
    assert.equal((await daemon.start(waits)).id, taken[0]?.id);
    assert.equal((await daemon.start(waits)).state, 'lost');
    // The fields of an object have no order.
    const { run, stdout } = await daemon.runToEnd({ ...later, env: { A: '1', B: '2' } });
    assert.deepEqual([run.id, run.state, stdout], [taken[1]?.id, 'succeeded', 'later\n']);
    assert.deepEqual(await daemon.start(later), run, 'it has ended, and is not run again');
    assert.equal((await daemon.json<{ runs: Run[] }>('GET', '/v1/runs')).runs.length, 2);
  });

  it('lets what runs finish when it is asked to stop, answers who waits, and keeps the queue for the next daemon', async () => {
    let queued: Run;
    {
      await using daemon = await DaemonProcess.start(dataDir, { ...alone, CODERUNNER_STOP_GRACE: '60s' });
      await using stream = await daemon.stream();
      stream.send({ type: 'run.start', handle: 1, request: python(WAITS) });
      await stream.printed(1, 'ready\n');
      const { id } = await stream.state(1, 'running');
      const accept = { accept: 'text/event-stream' };
      const events = await daemon.fetch('GET', `/v1/runs/${id}/output`, undefined, accept);
      const told = events.text();
      queued = await daemon.start(python("print('later')"));
      const ended = daemon.end('SIGTERM');
      await refusesRuns(daemon);
      stream.stdin(1, 'bye\n');
      const run = await stream.exit(1);
      assert.equal(run.state, 'succeeded');
      assert.equal(stream.text(1), 'ready\ngot bye\n');
      assert.match(await told, /\nevent: exit\ndata: .*"state":"succeeded".*\n\n$/);
      assert.equal(await ended, 0);
    }
    assert.ok(!existsSync(discoveryFile(dataDir)));
    assert.equal(await containersOf(dataDir), 0);
    await using daemon = await TestDaemon.start({ dataDir });
    assert.equal((await daemon.follow(queued.id)).stdout, 'later\n');
  });
});

describe('a daemon', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await dataFolder();
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  it('says where it is in a file that only its user can read, and removes it when it stops', async () => {
    {
      await using daemon = await TestDaemon.start({ dataDir });
      const { url, token, pid } = JSON.parse(await readFile(discoveryFile(dataDir), 'utf8')) as Discovery;
      assert.deepEqual([url, token, pid], [daemon.url, daemon.token, process.pid]);
      assert.equal((await stat(discoveryFile(dataDir))).mode & 0o777, 0o600);
    }
    assert.ok(!existsSync(discoveryFile(dataDir)));
  });

  it('lets nobody else read what it keeps, also in a folder that others may look into', async () => {
    await chmod(dataDir, 0o755);
    await using daemon = await TestDaemon.start({ dataDir });
    await daemon.fetch('PUT', `/v1/blobs/${createHash('sha256').update('secret').digest('hex')}`, 'secret');
    const names = await readdir(dataDir);
    for (const name of ['coderunner.sqlite', 'coderunner.sqlite-wal', 'daemon.lock', 'daemon.json', 'blobs'])
      assert.ok(names.includes(name), `${name} is not among ${names}`);
    for (const name of names) {
      const { mode } = await stat(join(dataDir, name));
      assert.equal(mode & 0o077, 0, `${name} has the mode ${mode.toString(8)}`);
    }
  });

  it('keeps nothing in a folder that others may write into', async () => {
    await chmod(dataDir, 0o777);
    await assert.rejects(TestDaemon.start({ dataDir }), { code: 'bad_setting' });
    assert.deepEqual(await readdir(dataDir), []);
  });

  it('keeps nothing in a folder of another user', async () => {
    const isRoot = process.getuid?.() === 0;
    if (isRoot) await chown(dataDir, 10_001, 10_001);
    // For anybody but root, the root folder is somebody else's.
    await assert.rejects(TestDaemon.start({ dataDir: isRoot ? dataDir : '/' }), { code: 'bad_setting' });
  });

  it('has its data folder to itself', async () => {
    await using first = await TestDaemon.start({ dataDir });
    await assert.rejects(TestDaemon.start({ dataDir }), { code: 'already_running' });
    assert.equal((await first.fetch('GET', '/v1/status')).status, 200);
    const { url } = JSON.parse(await readFile(discoveryFile(dataDir), 'utf8')) as Discovery;
    assert.equal(url, first.url, 'the second changed nothing');
  });

  it('replaces the discovery file that a killed one left', async () => {
    await writeFile(discoveryFile(dataDir), JSON.stringify({ url: 'http://127.0.0.1:1', token: 'old', pid: 1 }));
    await using daemon = await TestDaemon.start({ dataDir });
    const { url } = JSON.parse(await readFile(discoveryFile(dataDir), 'utf8')) as Discovery;
    assert.equal(url, daemon.url);
  });

  it('says that its port is taken, and leaves nothing behind', async () => {
    await using first = await TestDaemon.start();
    const port = Number(new URL(first.url).port);
    await assert.rejects(TestDaemon.start({ dataDir, port }), {
      code: 'port_taken',
      message: `Port ${port} on 127.0.0.1 is taken by another program.`,
    });
    assert.ok(!existsSync(discoveryFile(dataDir)));
    await using second = await TestDaemon.start({ dataDir });
    assert.equal((await second.fetch('GET', '/healthz')).status, 200);
  });

  it('stops by itself when nobody needs it', async () => {
    const daemon = await TestDaemon.start({ dataDir, idleStop: 1_000 }, { stopWhenIdle: true });
    await using stream = await daemon.stream();
    await stream[Symbol.asyncDispose]();
    await daemon.stopped;
    assert.ok(!existsSync(discoveryFile(dataDir)));
    assert.equal(await containersOf(dataDir), 0);
  });

  it('stops when a client asks, ending what runs where it was forced', async () => {
    await using daemon = await TestDaemon.start({ dataDir, poolSize: 1 });
    const { id } = await daemon.start(python(WAITS));
    await daemon.printed(id, 'ready\n');
    assert.equal((await daemon.fetch('POST', '/v1/shutdown', { force: true })).status, 202);
    await daemon.stopped;
    assert.equal(await containersOf(dataDir), 0);
    await using next = await TestDaemon.start({ dataDir });
    const run = await next.run(id);
    assert.equal(run.state, 'cancelled');
    assert.equal(run.message, 'Cancelled: the daemon was stopped.');
    assert.equal((await next.follow(id)).stdout, 'ready\n', 'its output is still there');
  });
});
