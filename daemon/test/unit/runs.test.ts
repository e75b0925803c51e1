/** Runs whose sandboxes come when the test wants it, over a real store and real contents. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import pino from 'pino';
import { EmbeddedBroker } from '../../src/broker/embedded.ts';
import { loadConfig } from '../../src/config.ts';
import type { Pool } from '../../src/pool/pool.ts';
import type { BatchRequest, CodeRunnerError, Run, RunRequest } from '../../src/protocol/index.ts';
import { ended } from '../../src/runs/batch.ts';
import { Runs, type RunsOptions } from '../../src/runs/runs.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import { Blobs } from '../../src/store/blobs.ts';
import { Store } from '../../src/store/store.ts';
import { afterwards, cleanUpAfterEach, newRun, sha256, temporaryFolder } from '../support/daemon.ts';
import { until } from '../support/test-pool.ts';

cleanUpAfterEach();

/** Longer than what is kept in memory of a run that waits. */
const LONG = '#'.repeat(300_000);

interface TestRuns {
  runs: Runs;
  store: Store;
  blobs: Blobs;
  /** Runs that wait for a sandbox, which none gets. */
  leases: string[];
  /** Makes what is stored of a waiting run unreadable. */
  damage(id: string): void;
}

async function open(): Promise<TestRuns> {
  const dataDir = await temporaryFolder();
  const config = loadConfig({}, { dataDir });
  const { runtimes } = await loadRuntimes();
  const store = new Store(dataDir);
  afterwards(() => store[Symbol.dispose]());
  const blobs = new Blobs(dataDir, 1_000);
  const leases: string[] = [];
  const lease: Pool['lease'] = ({ owner, signal }) => {
    leases.push(owner);
    const given = Promise.withResolvers<never>();
    signal.addEventListener('abort', () => given.reject(signal.reason));
    return given.promise;
  };
  const runs = new Runs({
    config,
    store,
    blobs,
    broker: new EmbeddedBroker(config.maxRunning),
    pool: { problem: undefined, lease },
    packages: { layerFor: async () => undefined },
    link: { problem: undefined },
    images: { state: async () => 'ready' },
    runtimes: { usable: runtimes },
    log: pino({ level: 'silent' }),
  } as unknown as RunsOptions);
  afterwards(() => runs.stop(0, AbortSignal.abort()));
  const damage = (id: string) => {
    using db = new DatabaseSync(join(dataDir, 'coderunner.sqlite'));
    db.prepare(`UPDATE runs SET spec = '{"files":' WHERE id = ?`).run(id);
  };
  return { runs, store, blobs, leases, damage };
}

function program(content: string): RunRequest {
  return { runtime: 'python', files: [{ path: 'main.py', content }] };
}

const mentions =
  (text: string) =>
  ({ state, message }: Run, wanted: string) =>
    assert.ok(state === wanted && message?.includes(text), `${state}: ${message}`);

describe('a run whose specification can no longer be read', () => {
  const unreadable = mentions('cannot be read');

  it('fails and says so, and the others run', async () => {
    const { runs, leases, damage } = await open();
    const broken = await runs.submit('ann', program(LONG));
    await runs.submit('bob', program('print(1)'));
    damage(broken.id);
    runs.start();
    unreadable(await ended(broken), 'failed');
    await until(() => leases.length === 1);
    assert.deepEqual(leases, ['bob']);
    unreadable(runs.get('ann', broken.id), 'failed');
  });

  it('can be cancelled while it waits', async () => {
    const { runs, store, damage } = await open();
    const { id } = await runs.submit('ann', program(LONG));
    damage(id);
    assert.equal(runs.cancel('ann', id).state, 'cancelled');
    assert.equal(store.get(id)?.run.state, 'cancelled');
    assert.deepEqual(runs.counts, { queued: 0, running: 0 });
  });

  it('is lost with the daemon that took it, and the others come back', async () => {
    const { runs, store, leases, damage } = await open();
    const spec = JSON.stringify({
      runtime: 'python',
      entry: 'main.py',
      files: [],
      services: [],
      options: {},
      limits: {},
    });
    for (const id of ['r_1', 'r_2', 'r_3']) {
      const written = id === 'r_2' ? '{}' : spec;
      store.insert({ owner: id, priority: 0, run: newRun(id) }, written);
    }
    damage('r_1');
    runs.restore();
    unreadable(runs.get('r_1', 'r_1'), 'lost');
    unreadable(runs.get('r_2', 'r_2'), 'lost');
    assert.deepEqual(
      store.unfinished().map(({ run }) => run.id),
      ['r_3'],
    );
    runs.start();
    await until(() => leases.length === 1);
    assert.deepEqual(leases, ['r_3']);
  });

  it('keeps its contents while it waits, and no longer', async () => {
    const { runs, blobs, damage } = await open();
    const put = async (text: string) => {
      await blobs.put(
        'ann',
        sha256(text),
        (async function* () {
          yield Buffer.from(text);
        })(),
      );
      return sha256(text);
    };
    const hash = await put('contents');
    const files = [...program(LONG).files, { path: 'data', sha256: hash }];
    const { id } = await runs.submit('ann', { runtime: 'python', entry: 'main.py', files });
    damage(id);
    await put('a'.repeat(1_000));
    assert.deepEqual(await blobs.missing('ann', [hash]), []);
    runs.cancel('ann', id);
    await put('b'.repeat(1_000));
    assert.deepEqual(await blobs.missing('ann', [hash]), [hash]);
  });
});

describe('the key of a batch', () => {
  for (const from of [0, 1]) {
    it(`that is sent with another program changes nothing for who goes on with it, from input ${from} on`, async () => {
      const { runs, leases } = await open();
      runs.start();
      const inputs = [{ name: 'a' }, { name: 'b' }];
      const request: BatchRequest = { ...program('print(1)'), inputs, key: 'key', from };
      const connection = new AbortController();
      const first = await runs.startBatch('ann', request, connection.signal);
      let isOver = false;
      const firstLines = Array.fromAsync(first.lines()).finally(() => {
        isOver = true;
      });
      await until(() => leases.length === 1);
      await assert.rejects(
        runs.startBatch('ann', { ...request, ...program('print(2)') }, new AbortController().signal),
        ({ code }: CodeRunnerError) => code === 'key_reused',
      );
      await new Promise(setImmediate);
      assert.equal(isOver, false);
      const again = new AbortController();
      const second = await runs.startBatch('ann', request, again.signal);
      const secondLines = Array.fromAsync(second.lines());
      connection.abort();
      const [end] = await firstLines;
      assert.equal(end?.type === 'end' && end.error?.code, 'key_reused');
      const mostCharacters = 1_000_000;
      const states = () => runs.list('ann', { limit: 10, mostCharacters }).runs.map(({ state }) => state);
      assert.deepEqual(states(), ['starting']);
      again.abort();
      await secondLines;
      await until(() => states().every((state) => state === 'cancelled'));
    });
  }
});
