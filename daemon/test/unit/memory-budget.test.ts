import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MemoryBudget } from '../../src/pool/memory.ts';
import { Shares } from '../../src/pool/turns.ts';

const NEVER = new AbortController().signal;

const turn = () => new Promise((resolve) => setImmediate(resolve));

function budget(most: number): MemoryBudget {
  const memory = new MemoryBudget();
  memory.most = most;
  return memory;
}

describe('the memory of all sandboxes', () => {
  it('is given in the order in which it was asked for, and never to who may come back while somebody waits', async () => {
    const memory = budget(10);
    await memory.take(8, NEVER);
    const order: string[] = [];
    const large = memory.take(10, NEVER).then(() => order.push('large'));
    const small = memory.take(1, NEVER).then(() => order.push('small'));
    assert.equal(memory.tryTake(1), false, 'it would fit, but somebody waits');
    assert.deepEqual(memory.first(1), [{ bytes: 10 }]);
    assert.deepEqual(memory.first(3), [{ bytes: 10 }, { bytes: 1 }]);
    assert.equal(memory.free, 2);
    memory.giveBack(8);
    await large;
    assert.deepEqual(order, ['large']);
    memory.giveBack(10);
    await small;
    assert.deepEqual(order, ['large', 'small']);
    assert.equal(memory.tryTake(9), true);
  });

  it('is given to the owner who comes first, and what is nobody’s before that', async () => {
    const shares = new Shares(10);
    const memory = new MemoryBudget(shares);
    memory.most = 3;
    await memory.take(3, NEVER);
    const line = { waiters: ['ann', 'ann', 'bob'].map((owner) => ({ owner })) };
    const other = { waiters: [{ owner: 'bob' }, { owner: 'ann' }] };
    for (const { owner } of [...line.waiters, ...other.waiters]) shares.asked(owner, 0);
    shares.asked('ann', 0);
    shares.got('ann');
    const order: string[] = [];
    const take = (name: string, bytes: number, of: typeof line) =>
      memory.take(bytes, NEVER, of).then(() => {
        const next = shares.first(of.waiters) as { owner: string };
        of.waiters.splice(of.waiters.indexOf(next), 1);
        shares.got(next.owner);
        order.push(`${next.owner}: ${name}`);
      });
    const asking = [
      ...line.waiters.map(() => take('one', 2, line)),
      ...other.waiters.map(() => take('two', 3, other)),
      memory.take(3, NEVER).then(() => order.push('for no run')),
    ];
    const bytes = (first: { bytes: number; waiter?: { owner: string } }[]) =>
      first.map((one) => `${one.waiter?.owner} ${one.bytes}`);
    assert.deepEqual(bytes(memory.first(4)), ['undefined 3', 'bob 2', 'bob 3', 'ann 2']);
    for (let ended = 0; ended < asking.length; ended++) {
      memory.giveBack(memory.taken);
      await turn();
    }
    await Promise.all(asking);
    assert.deepEqual(order, ['for no run', 'bob: one', 'ann: one', 'bob: two', 'ann: one', 'ann: two']);
  });

  it('is given at once to the owner who comes first, also where others wait for more than there is', async () => {
    const shares = new Shares(10);
    const memory = new MemoryBudget(shares);
    memory.most = 8;
    for (const owner of ['ann', 'ann', 'bob']) shares.asked(owner, 0);
    shares.got('ann');
    await memory.take(4, NEVER);
    void memory.take(6, NEVER, { waiters: [{ owner: 'ann' }] });
    await memory.take(1, NEVER, { waiters: [{ owner: 'bob' }] });
  });

  it('that comes free all at once is for everybody who waits', async () => {
    const shares = new Shares(10);
    const memory = new MemoryBudget(shares);
    memory.most = 2;
    await memory.take(2, NEVER);
    const order: string[] = [];
    for (const owner of ['ann', 'ann', 'bob', 'bob']) {
      shares.asked(owner, 0);
      void memory.take(1, NEVER, { waiters: [{ owner }] }).then(() => order.push(owner));
    }
    memory.giveBack(2);
    await turn();
    assert.deepEqual(order, ['ann', 'bob']);
  });

  it('is given to who asked when there was more, once nobody else has any', async () => {
    const memory = budget(10);
    await memory.take(5, NEVER);
    const large = memory.take(10, NEVER);
    memory.most = 6;
    memory.giveBack(5);
    await large;
  });

  it('lets those behind one that gives up pass', async () => {
    const memory = budget(10);
    await memory.take(5, NEVER);
    const gone = new AbortController();
    const large = memory.take(10, gone.signal);
    const small = memory.take(5, NEVER);
    gone.abort(new Error('cancelled'));
    await assert.rejects(large, /cancelled/);
    await small;
    await assert.rejects(memory.take(1, gone.signal), /cancelled/);
  });

  it('is never more than there is, and everybody whose turn can come gets it', async () => {
    const action = fc.oneof(
      fc.record({ do: fc.constant('take' as const), bytes: fc.integer({ min: 1, max: 10 }) }),
      fc.record({ do: fc.constant('try' as const), bytes: fc.integer({ min: 1, max: 10 }) }),
      fc.record({ do: fc.constant('give' as const), which: fc.nat() }),
      fc.record({ do: fc.constant('abort' as const), which: fc.nat() }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 60 }), async (actions) => {
        const memory = budget(10);
        const held: number[] = [];
        const asked: { bytes: number; abort: AbortController; settled: boolean; promise: Promise<void> }[] = [];
        const sum = () => held.reduce((total, bytes) => total + bytes, 0);
        for (const one of actions) {
          if (one.do === 'take') {
            const abort = new AbortController();
            const entry = { bytes: one.bytes, abort, settled: false, promise: Promise.resolve() };
            entry.promise = memory.take(one.bytes, abort.signal).then(
              () => {
                entry.settled = true;
                held.push(one.bytes);
              },
              () => {
                entry.settled = true;
              },
            );
            asked.push(entry);
          } else if (one.do === 'try') {
            if (memory.tryTake(one.bytes)) held.push(one.bytes);
          } else if (one.do === 'give' && held.length > 0) {
            const [bytes] = held.splice(one.which % held.length, 1);
            memory.giveBack(bytes as number);
          } else if (one.do === 'abort' && asked.length > 0) asked[one.which % asked.length]?.abort.abort();
          await turn();
          assert.equal(memory.taken, sum());
          assert.ok(memory.taken <= 10);
        }
        while (asked.some(({ settled }) => !settled)) {
          memory.giveBack(held.shift() as number);
          await turn();
        }
      }),
      { numRuns: 200 },
    );
  });
});
