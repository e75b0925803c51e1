/** A daemon that ends in the middle of a burst, by a kill or by being asked to: it ends, and no run disappears or runs twice. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { findEngine } from '../../src/engine/discovery.ts';
import { discoveryFile, instanceFile } from '../../src/http/daemon.ts';
import { type DaemonStatus, isEnd, type Run } from '../../src/protocol/index.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { EngineProxy } from '../support/engine-proxy.ts';
import { dataFolder, python, WAITS } from '../support/live-daemon.ts';
import { containersOf, until } from '../support/test-pool.ts';
import { within } from '../support/within.ts';

const BURST = 20;
/** A WebSocket waits 30 s for the other side to say goodbye. */
const STUCK_MS = 25_000;

describe('stopping', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await dataFolder();
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  /** Submits a burst whose first run waits for input, and resolves when that one runs. */
  async function burst(daemon: DaemonProcess): Promise<Run[]> {
    const first = await daemon.start(python(WAITS));
    const others = await Promise.all(
      Array.from({ length: BURST }, (_, index) => daemon.start(python(`print(${index})`, { stdin: null }))),
    );
    await daemon.printed(first.id, 'ready\n');
    return [first, ...others];
  }

  /** Follows every run of a burst to its end on the daemon that came back. */
  async function ends(daemon: DaemonProcess, runs: readonly Run[]): Promise<Run[]> {
    const ended: Run[] = [];
    for (const [index, { id }] of runs.entries()) {
      const { run, stdout } = await daemon.follow(id);
      assert.ok(isEnd(run.state));
      if (run.state === 'succeeded') assert.equal(stdout, `${index - 1}\n`);
      ended.push(run);
    }
    const { runs: known } = await daemon.json<{ runs: Run[] }>('GET', `/v1/runs?limit=${BURST * 2}`);
    assert.deepEqual(known.map(({ id }) => id).sort(), runs.map(({ id }) => id).sort());
    return ended;
  }

  it('ends in the middle of a burst, and keeps what waits for the next daemon', async () => {
    let runs: Run[];
    {
      await using daemon = await DaemonProcess.start(dataDir, { CODERUNNER_STOP_GRACE: '0s' });
      runs = await burst(daemon);
      assert.equal(await daemon.end('SIGTERM'), 0);
    }
    await using daemon = await DaemonProcess.start(dataDir);
    const [first, ...others] = await ends(daemon, runs);
    assert.equal(first?.state, 'cancelled');
    assert.equal(first?.message, 'Cancelled: the daemon was stopped.');
    // The few that had a sandbox when it stopped were cancelled, or had ended.
    assert.deepEqual(
      [...new Set(others.map(({ state }) => state))].filter((state) => state !== 'cancelled'),
      ['succeeded'],
    );
  });

  it('does not wait for what runs when it is told a second time', async () => {
    const alone = { CODERUNNER_MAX_RUNNING: '1' };
    let runs: Run[];
    {
      await using daemon = await DaemonProcess.start(dataDir, { ...alone, CODERUNNER_STOP_GRACE: '1h' });
      runs = await burst(daemon);
      const ended = daemon.end('SIGTERM');
      await until(() => !existsSync(discoveryFile(dataDir)));
      await daemon.end('SIGTERM');
      assert.equal(await ended, 0);
    }
    await using daemon = await DaemonProcess.start(dataDir);
    const [first, ...others] = await ends(daemon, runs);
    assert.equal(first?.state, 'cancelled');
    assert.ok(others.every(({ state }) => state === 'succeeded'));
  });

  it('does not wait for a client that is stuck', async () => {
    await using daemon = await DaemonProcess.start(dataDir);
    const { hostname, port, host } = new URL(daemon.url);
    const client = connect(Number(port), hostname);
    client.write(
      `GET /v1/stream HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${daemon.token}\r\n` +
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: coderunner.v1\r\n\r\n',
    );
    const [answer] = (await once(client, 'data')) as [Buffer];
    assert.match(answer.toString(), /^HTTP\/1\.1 101 /);
    client.on('data', () => {}); // and answers nothing
    const gone = once(client, 'close');
    assert.equal(await within(STUCK_MS, 'the daemon ends', daemon.end('SIGTERM')), 0);
    await gone;
  });

  it('does not wait for ever for an engine that hangs, and its containers end by themselves', async () => {
    await using engine = await EngineProxy.start();
    const settings = {
      CODERUNNER_ENGINE: engine.address,
      CODERUNNER_POOL_SIZE: '1',
      CODERUNNER_POOL_PREWARM: 'python',
    };
    const log: string[] = [];
    await using daemon = await DaemonProcess.start(dataDir, settings, { onLog: (line) => log.push(line) });
    const instance = await readFile(instanceFile(dataDir), 'utf8');
    await until(async () => {
      const { pool } = await daemon.json<DaemonStatus>('GET', '/v1/status');
      return pool.runtimes.some(({ idle }) => idle === 1);
    });
    engine.holdRemovals();
    assert.equal(await daemon.end('SIGTERM'), 0);
    assert.match(log.join('\n'), /the next daemon removes what is left/);
    const { docker } = await findEngine('');
    await until(async () => (await containersOf(docker, instance)).length === 0);
  }).timeout(90_000);

  it('by a kill loses what ran, runs what waited, and forgets nothing', async () => {
    let runs: Run[];
    {
      await using daemon = await DaemonProcess.start(dataDir);
      runs = await burst(daemon);
      assert.equal(await daemon.end('SIGKILL'), null);
    }
    await using daemon = await DaemonProcess.start(dataDir);
    const [first, ...others] = await ends(daemon, runs);
    assert.equal(first?.state, 'lost');
    assert.ok(others.some(({ state }) => state === 'succeeded'));
    assert.ok(others.every(({ state }) => state === 'succeeded' || state === 'lost'));
  });
});
