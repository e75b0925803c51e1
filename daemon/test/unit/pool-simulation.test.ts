import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { type Arrival, onePerson } from '../../bench/arrivals.ts';
import { type Machine, type Outcome, Simulation } from '../../bench/simulation.ts';
import { formatTrace, parseTrace, recordTrace } from '../../bench/trace.ts';
import { Store } from '../../src/store/store.ts';
import { cleanUpAfterEach, newRun, temporaryFolder } from '../support/daemon.ts';

cleanUpAfterEach();

const GiB = 2 ** 30;
const MINUTE = 60_000;
const MACHINE: Machine = { cores: 2, memoryBytes: 24 * GiB, concurrency: 2 };
const RECORDED = new URL('../../bench/traces/many-owners.txt', import.meta.url);

const play = (arrivals: readonly Arrival[], { machine = MACHINE, followsDemand = true } = {}): Promise<Outcome> =>
  new Simulation(machine, { name: 'test', minimum: 3, followsDemand }).run(arrivals);

/** Forty people press Run at the same time. */
const rush = (at: number, runtime: string): Arrival[] =>
  Array.from({ length: 40 }, () => ({ at, runtime, owner: 'class' }));

describe('the pool, simulated', () => {
  it('lets one person never wait', async () => {
    const { waits } = await play(onePerson());
    assert.equal(Math.max(...waits), 0);
  });

  it('lets forty people wait once, but not when they press Run together again', async () => {
    const first = await play(rush(0, 'python'));
    const both = await play([...rush(0, 'python'), ...rush(MINUTE, 'python')]);
    assert.equal(first.misses, 37);
    assert.equal(both.misses - first.misses, 1, 'a little is forgotten within a minute');
  });

  it('gives the memory of the languages of earlier classes to the one that is used now', async () => {
    const machine = { ...MACHINE, memoryBytes: 16 * GiB };
    const before = [...rush(0, 'cpp'), ...rush(2 * MINUTE, 'javascript'), ...rush(4 * MINUTE, 'python')];
    const first = await play(before, { machine });
    const again = await play([...before, ...rush(6 * MINUTE, 'python')], { machine });
    assert.ok(again.misses - first.misses <= 3, `${again.misses - first.misses} of 40 found none`);
  });

  it('serves what was recorded, and lets fewer wait than with as many containers always', async () => {
    const arrivals = parseTrace(await readFile(RECORDED, 'utf8'));
    const [demand, fixed] = [await play(arrivals), await play(arrivals, { followsDemand: false })];
    assert.deepEqual([demand.waits.length, fixed.waits.length], [arrivals.length, arrivals.length]);
    assert.ok(demand.misses < fixed.misses, `${demand.misses} instead of ${fixed.misses}`);
  });
});

describe('a trace', () => {
  it('is what the history of a daemon has, and does not say whose it was', async () => {
    const folder = await temporaryFolder();
    using history = new Store(folder);
    const ran = (id: string, owner: string, createdAt: string) =>
      history.insert({ owner, priority: 0, run: newRun(id, { createdAt, runtime: 'java' }) }, '{}');
    ran('r_1', 'ann', '2026-01-01T10:00:00.000Z');
    ran('r_2', 'bob', '2026-01-01T10:00:00.250Z');
    ran('r_3', 'ann', '2026-01-01T10:01:00.000Z');
    assert.equal(formatTrace(recordTrace(folder)), '0 java 1\n250 java 2\n60000 java 1\n');
  });

  it('is the same when it is read again', () => {
    const arrivals = rush(20, 'python');
    assert.deepEqual(parseTrace(`# what it is\n${formatTrace(arrivals)}`), arrivals);
  });

  it('has nothing but arrivals', () => {
    assert.throws(() => parseTrace('20 python\n'), /no arrival/);
  });
});
