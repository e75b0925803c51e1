/** A run as it arrives: each byte once, in order, and counted as taken only when it was. */
import assert from 'node:assert/strict';
import { RunFeed, type RunObserver } from '../../src/client/run-feed.ts';
import { newRun } from '../support/daemon.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

/** Writes down what it is given; each piece is taken when `take` is called. */
class SlowReader implements RunObserver {
  seen = '';
  readonly #waiting: (() => void)[] = [];

  onOutput({ data }: { data: Uint8Array }): Promise<void> {
    this.seen += new TextDecoder().decode(data);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  onGap(from: number, to: number): void {
    this.seen += `[${from}-${to}]`;
  }

  async take(): Promise<void> {
    this.#waiting.shift()?.();
    await new Promise(setImmediate);
  }
}

describe("a client's feed of a run", () => {
  it('gives the next piece, and counts the last one, only when that was taken', async () => {
    const reader = new SlowReader();
    const feed = new RunFeed(reader, 0);
    const consumed: number[] = [];
    feed.onConsumed = (seq) => consumed.push(seq);
    feed.output('stdout', 0, bytes('one'));
    feed.output('stdout', 3, bytes('two'));
    feed.end(newRun('r_1', { state: 'succeeded' }));
    assert.equal(reader.seen, 'one');
    assert.deepEqual(consumed, []);
    let done = false;
    feed.done.then(() => {
      done = true;
    });
    await reader.take();
    assert.equal(reader.seen, 'onetwo');
    assert.deepEqual(consumed, [3]);
    assert.equal(done, false);
    await reader.take();
    assert.deepEqual(consumed, [3, 6]);
    assert.equal((await feed.done).state, 'succeeded');
  });

  it('drops what it had already, also in the middle of a piece', () => {
    let seen = '';
    const onOutput: RunObserver['onOutput'] = ({ data }) => {
      seen += new TextDecoder().decode(data);
    };
    const feed = new RunFeed({ onOutput }, 0);
    feed.output('stdout', 0, bytes('abcd'));
    feed.output('stdout', 0, bytes('abcd'));
    feed.output('stderr', 2, bytes('cdef'));
    assert.equal(seen, 'abcdef');
    assert.equal(feed.received, 6);
  });

  it('tells of a gap between the pieces, whether the daemon names it or not', async () => {
    const reader = new SlowReader();
    const feed = new RunFeed(reader, 0);
    feed.output('stdout', 0, bytes('ab'));
    feed.gap(2, 10);
    feed.output('stdout', 10, bytes('cd'));
    feed.output('stdout', 20, bytes('ef'));
    for (let piece = 0; piece < 3; piece++) await reader.take();
    assert.equal(reader.seen, 'ab[2-10]cd[12-20]ef');
  });

  it('an observer that fails ends the following, once, with its own error', async () => {
    const problem = new Error('disk full');
    let over = 0;
    const feed = new RunFeed({ onOutput: () => Promise.reject(problem) }, 0);
    feed.onOver = () => over++;
    feed.output('stdout', 0, bytes('x'));
    await assert.rejects(feed.done, problem);
    feed.output('stdout', 1, bytes('y'));
    feed.fail(new Error('later'));
    assert.equal(over, 1);
  });
});
