import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { CHANNEL, END_STATES, LIVE_STATES } from '../../src/protocol/index.ts';
import { OutputLog } from '../../src/runs/output-log.ts';
import { type ListOptions, Store } from '../../src/store/store.ts';
import { afterwards, cleanUpAfterEach, newRun, temporaryFolder } from '../support/daemon.ts';

cleanUpAfterEach();

function open(folder: string): Store {
  const store = new Store(folder);
  let closed = false;
  const dispose = store[Symbol.dispose].bind(store);
  store[Symbol.dispose] = () => {
    if (!closed) dispose();
    closed = true;
  };
  afterwards(() => store[Symbol.dispose]());
  return store;
}

const ids = (runs: { run: { id: string } }[]) => runs.map(({ run }) => run.id);

const list = (store: Store, owner: string, options: Omit<ListOptions, 'mostCharacters'>) =>
  store.list(owner, { mostCharacters: 1_000_000, ...options }).runs;

function fill(store: Store, owner: string, names: string[]): void {
  for (const id of names) store.insert({ owner, priority: 0, run: newRun(id) }, '{}');
}

describe('the history', () => {
  it('has every run in every state again after a restart', async () => {
    const folder = await temporaryFolder();
    const store = open(folder);
    const states = [...LIVE_STATES, ...END_STATES];
    for (const state of states) {
      const run = newRun(`r_${state}`, { message: 'ünï\n"quoted"' });
      store.insert({ owner: 'me', priority: 3, run }, `{"spec":"${state}"}`);
      store.update({ ...run, state });
    }
    store[Symbol.dispose]();
    const again = open(folder);
    for (const state of states) {
      assert.deepEqual(again.get(`r_${state}`), {
        owner: 'me',
        priority: 3,
        run: newRun(`r_${state}`, { state, message: 'ünï\n"quoted"' }),
      });
    }
    assert.deepEqual(
      ids(again.unfinished()),
      LIVE_STATES.map((state) => `r_${state}`),
    );
  });

  it('keeps what is needed to start a run while it waits, and not longer', async () => {
    const store = open(await temporaryFolder());
    const run = newRun('r_1');
    store.insert({ owner: 'me', priority: 0, run }, '{"entry":"main.py"}');
    assert.equal(store.spec('r_1'), '{"entry":"main.py"}');
    store.update(run);
    assert.equal(store.spec('r_1'), '{"entry":"main.py"}', 'it still waits');
    store.update({ ...run, state: 'starting' });
    assert.equal(store.spec('r_1'), undefined);
  });

  it('keeps the latest output of a run that ended, stdout and stderr apart', async () => {
    const folder = await temporaryFolder();
    const store = open(folder);
    fill(store, 'me', ['r_1', 'r_2']);
    const log = new OutputLog(64 * 1024);
    log.append(CHANNEL.stdout, Buffer.alloc(70_000, 'a'));
    log.append(CHANNEL.stderr, Buffer.from([0, 255, 10]));
    assert.equal(store.output('r_1'), undefined);
    store.settle(newRun('r_1', { state: 'failed' }), log.dump());
    store.settle(newRun('r_2', { state: 'succeeded' }), new OutputLog(1).dump());
    store[Symbol.dispose]();
    const kept = open(folder).output('r_1');
    assert.ok(kept);
    const back = OutputLog.restore(kept.from, Buffer.from(kept.bytes));
    assert.deepEqual([back.start, back.end], [log.start, 70_003]);
    assert.deepEqual(back.tail(CHANNEL.stderr, 100), Buffer.from([0, 255, 10]));
  });

  it('pages through an owner’s runs, the newest first, and shows nobody else’s', async () => {
    const store = open(await temporaryFolder());
    fill(store, 'me', ['a', 'b', 'c']);
    fill(store, 'you', ['x']);
    fill(store, 'me', ['d', 'e']);
    assert.deepEqual(ids(list(store, 'me', { limit: 10 })), ['e', 'd', 'c', 'b', 'a']);
    assert.deepEqual(ids(list(store, 'me', { limit: 2 })), ['e', 'd']);
    assert.deepEqual(ids(list(store, 'me', { limit: 2, before: 'd' })), ['c', 'b']);
    assert.deepEqual(ids(list(store, 'me', { limit: 2, before: 'b' })), ['a']);
    assert.deepEqual(ids(list(store, 'me', { limit: 2, before: 'a' })), []);
    assert.deepEqual(ids(list(store, 'me', { limit: 2, before: 'never was' })), []);
    assert.deepEqual(ids(list(store, 'you', { limit: 10 })), ['x']);
  });

  it('pages in the same order when runs come in between', async () => {
    const store = open(await temporaryFolder());
    fill(store, 'me', ['a', 'b', 'c']);
    assert.deepEqual(ids(list(store, 'me', { limit: 2 })), ['c', 'b']);
    fill(store, 'me', ['d']);
    assert.deepEqual(ids(list(store, 'me', { limit: 2, before: 'b' })), ['a']);
  });

  it('ends a page where its runs get long, with one run at least, and says where the next begins', async () => {
    const store = open(await temporaryFolder());
    fill(store, 'me', ['a', 'b', 'c']);
    store.update(newRun('b', { args: ['x'.repeat(10_000)] }));
    const page = (before?: string) => {
      const { runs, next } = store.list('me', { limit: 9, mostCharacters: 5_000, ...(before && { before }) });
      return [ids(runs), next];
    };
    assert.deepEqual(page(), [['c'], 'c']);
    assert.deepEqual(page('c'), [['b'], 'b']);
    assert.deepEqual(page('b'), [['a'], null]);
  });

  it('shows only the states asked for', async () => {
    const store = open(await temporaryFolder());
    fill(store, 'me', ['a', 'b', 'c']);
    store.update(newRun('a', { state: 'failed' }));
    store.update(newRun('b', { state: 'lost' }));
    assert.deepEqual(ids(list(store, 'me', { limit: 9, states: ['failed', 'lost'] })), ['b', 'a']);
    assert.deepEqual(ids(list(store, 'me', { limit: 9, states: ['queued'] })), ['c']);
    assert.deepEqual(ids(list(store, 'me', { limit: 9, states: ['running'] })), []);
  });

  it('forgets the oldest ended runs, and never one that has not ended', async () => {
    const store = open(await temporaryFolder());
    fill(store, 'me', ['waits', 'a', 'b', 'runs', 'c', 'd']);
    store.update(newRun('runs', { state: 'running' }));
    for (const id of ['a', 'b', 'c', 'd']) store.update(newRun(id, { state: 'succeeded' }));
    store.tidy(2);
    assert.deepEqual(ids(list(store, 'me', { limit: 9 })), ['d', 'c', 'runs', 'waits']);
    store.tidy(2);
    store.tidy(5);
    assert.deepEqual(ids(list(store, 'me', { limit: 9 })), ['d', 'c', 'runs', 'waits']);
  });

  it('finds a run by the key that its owner gave it, as long as the run is there', async () => {
    const folder = await temporaryFolder();
    const store = open(folder);
    const key = { name: 'once', requestHash: 'hash' };
    store.insert({ owner: 'me', priority: 0, run: newRun('a') }, '{}', key);
    store.insert({ owner: 'you', priority: 0, run: newRun('b') }, '{}', key);
    fill(store, 'me', ['c', 'd']);
    assert.throws(() => store.insert({ owner: 'me', priority: 0, run: newRun('e') }, '{}', key), /UNIQUE/);
    store[Symbol.dispose]();
    const again = open(folder);
    assert.deepEqual({ ...again.keyed('me', 'once') }, { id: 'a', requestHash: 'hash' });
    assert.equal(again.keyed('you', 'once')?.id, 'b');
    assert.equal(again.keyed('me', 'other'), undefined);
    for (const id of ['a', 'c']) again.update(newRun(id, { state: 'succeeded' }));
    again.tidy(1);
    assert.equal(again.keyed('me', 'once'), undefined);
  });

  it('gives the space of its log back when it is tidied', async () => {
    const folder = await temporaryFolder();
    const store = open(folder);
    store.insert({ owner: 'me', priority: 0, run: newRun('a') }, 'x'.repeat(1_000_000));
    const log = join(folder, 'coderunner.sqlite-wal');
    assert.ok(statSync(log).size > 1_000_000);
    store.tidy(1);
    assert.equal(statSync(log).size, 0);
  });

  it('refuses one that a newer version wrote instead of harming it', async () => {
    const folder = await temporaryFolder();
    open(folder)[Symbol.dispose]();
    const db = new DatabaseSync(join(folder, 'coderunner.sqlite'));
    db.exec('PRAGMA user_version = 99');
    db.close();
    assert.throws(() => new Store(folder), { code: 'version_mismatch' });
  });

  it('takes over one that an older version wrote', async () => {
    const folder = await temporaryFolder();
    const store = open(folder);
    store.insert({ owner: 'me', priority: 0, run: newRun('a') }, '{}');
    store[Symbol.dispose]();
    const db = new DatabaseSync(join(folder, 'coderunner.sqlite'));
    db.exec(`
      DROP TABLE compilations;
      DROP INDEX runs_by_key;
      ALTER TABLE runs DROP COLUMN key;
      ALTER TABLE runs DROP COLUMN request_hash;
      PRAGMA user_version = 1`);
    db.close();
    const again = open(folder);
    assert.ok(again.get('a'));
    assert.equal(again.compilation('me', 'key', 1), undefined);
    assert.equal(again.keyed('me', 'key'), undefined);
  });

  it('says that the disk is full, keeps what it had, and goes on when there is space again', async () => {
    // Files of this process stay below a size, which needs no privilege and is met as a disk without space.
    const limitFiles = (bytes: string) => execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:`]);
    const store = open(await temporaryFolder());
    fill(store, 'me', ['a']);
    const large = 'x'.repeat(2_000_000);
    afterwards(() => limitFiles('unlimited'));
    limitFiles('1000000');
    assert.throws(() => store.insert({ owner: 'me', priority: 0, run: newRun('b') }, large), { code: 'disk_full' });
    assert.deepEqual(ids(list(store, 'me', { limit: 9 })), ['a']);
    limitFiles('unlimited');
    store.insert({ owner: 'me', priority: 0, run: newRun('b') }, large);
    assert.deepEqual(ids(list(store, 'me', { limit: 9 })), ['b', 'a']);
  });
});
