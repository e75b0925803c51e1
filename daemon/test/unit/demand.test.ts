import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Budget, Demand, Pace, targets, type Wish } from '../../src/pool/demand.ts';

const HOUR = 3_600_000;
const MINUTE = 60_000;

/** The demand after runs that came so many milliseconds after each other. */
function after(pauses: readonly number[], creationMs = 250): { demand: Demand; now: number } {
  const demand = new Demand();
  demand.created(creationMs);
  let now = 0;
  for (const pause of pauses) {
    now += pause;
    demand.arrived(now);
  }
  return { demand, now };
}

describe('the demand for containers', () => {
  const pauses = fc.array(fc.integer({ min: 0, max: 60_000 }), { maxLength: 100 });

  it('is as large as a rush', () => {
    const { demand, now } = after(Array.from({ length: 40 }, () => 0));
    assert.equal(demand.wanted(now), 40);
  });

  it('remembers a rush for the next one, and forgets it in the end', () => {
    const { demand, now } = after(Array.from({ length: 40 }, () => 0));
    assert.ok(demand.wanted(now + 5 * 60_000) > 30);
    assert.equal(demand.wanted(now + 4 * HOUR), 0);
  });

  it('is small for one person, who runs something every few seconds', () => {
    const { demand, now } = after(Array.from({ length: 200 }, () => 4_000));
    assert.ok(demand.wanted(now) <= 2);
  });

  it('grows with every run, also with one more among others, and with the time that a creation takes', () => {
    fc.assert(
      fc.property(pauses, fc.nat(100), fc.nat(60_000), fc.nat(10_000), (some, at, later, slower) => {
        const { demand, now } = after(some);
        const before = demand.wanted(now + later);
        assert.ok(after(some, 250 + slower).demand.wanted(now + later) >= before);
        const index = at % (some.length + 1);
        const more = after(some.toSpliced(index, 0, 0));
        assert.ok(more.demand.wanted(now + later) >= before);
      }),
    );
  });

  it('never grows by itself, and is gone after a day of silence', () => {
    fc.assert(
      fc.property(pauses, fc.nat(HOUR), fc.nat(HOUR), (some, sooner, later) => {
        const { demand, now } = after(some);
        const first = demand.wanted(now + sooner);
        assert.ok(demand.wanted(now + sooner + later) <= first);
        assert.equal(demand.wanted(now + 24 * HOUR), 0);
      }),
    );
  });

  it('stands a clock that goes back', () => {
    const { demand } = after([HOUR, 0]);
    demand.arrived(0);
    assert.equal(demand.wanted(0), 3);
  });

  it('follows the time that creations take', () => {
    const demand = new Demand();
    assert.equal(demand.creationMs, undefined);
    assert.equal(demand.created(200), 1);
    assert.equal(demand.creationMs, 200);
    assert.equal(demand.created(400), 2);
    for (let count = 0; count < 50; count++) demand.created(400);
    assert.equal(Math.round(demand.creationMs ?? 0), 400);
  });
});

describe('how many containers should wait', () => {
  const wishes = fc.array(
    fc.record({
      minimum: fc.nat(5),
      wanted: fc.nat(50),
      askedAt: fc.constantFrom(Number.NEGATIVE_INFINITY, 0, HOUR),
      bytes: fc.integer({ min: 1, max: 100 }),
    }),
    { minLength: 1, maxLength: 6 },
  );
  const budgets = fc.record({ bytes: fc.nat(10_000), takenBytes: fc.nat(10_000) });
  const bytesOf = (asked: readonly Wish[], counts: readonly number[]) =>
    asked.reduce((sum, { bytes }, index) => sum + bytes * (counts[index] as number), 0);
  const allOf = (asked: readonly Wish[], count: (wish: Wish) => number) => bytesOf(asked, asked.map(count));

  it('is what is wanted, but never less than the minimum, where there is memory', () => {
    const budget = { bytes: 1_000, takenBytes: 0 };
    assert.deepEqual(
      targets(
        [
          { minimum: 3, wanted: 1, askedAt: 0, bytes: 10 },
          { minimum: 3, wanted: 40, askedAt: 0, bytes: 10 },
        ],
        budget,
      ),
      [3, 40],
    );
  });

  it('is the minimum where nobody knows how much memory there is', () => {
    assert.deepEqual(targets([{ minimum: 3, wanted: 40, askedAt: 0, bytes: 10 }], undefined), [3]);
  });

  it('is less where memory is short, in equal parts', () => {
    const asked = [
      { minimum: 1, wanted: 40, askedAt: 0, bytes: 10 },
      { minimum: 1, wanted: 20, askedAt: 0, bytes: 10 },
    ];
    assert.deepEqual(targets(asked, { bytes: 400, takenBytes: 100 }), [20, 10]);
    assert.deepEqual(targets([{ minimum: 3, wanted: 3, askedAt: 0, bytes: 10 }], { bytes: 25, takenBytes: 0 }), [2]);
  });

  it('is what is wanted of what was asked for within a minute before the latest, where memory is short, before anything else', () => {
    const asked = [
      { minimum: 3, wanted: 40, askedAt: HOUR, bytes: 10 },
      { minimum: 3, wanted: 60, askedAt: HOUR - 2 * MINUTE, bytes: 20 },
      { minimum: 0, wanted: 60, askedAt: Number.NEGATIVE_INFINITY, bytes: 20 },
    ];
    assert.deepEqual(targets(asked, { bytes: 600, takenBytes: 0 }), [40, 5, 5]);
    const both = asked.map((wish) => ({ ...wish, askedAt: HOUR - MINUTE }));
    const [first = 0] = targets(both, { bytes: 600, takenBytes: 0 });
    assert.ok(first < 12, `${first} of 40`);
  });

  it('never takes more than the budget, nor more beyond the minimum than is free', () => {
    fc.assert(
      fc.property(wishes, budgets, (asked, budget) => {
        const counts = targets(asked, budget);
        assert.ok(bytesOf(asked, counts) <= budget.bytes);
        const beyond = counts.some((count, index) => count > (asked[index] as Wish).minimum);
        assert.ok(!beyond || bytesOf(asked, counts) + budget.takenBytes <= budget.bytes);
      }),
    );
  });

  it('is never below the minimum while all minimums fit, nor above what is asked for', () => {
    fc.assert(
      fc.property(wishes, budgets, (asked, budget) => {
        const fits = allOf(asked, ({ minimum }) => minimum) <= budget.bytes;
        for (const [index, count] of targets(asked, budget).entries()) {
          const { minimum, wanted } = asked[index] as Wish;
          assert.ok(!fits || count >= minimum);
          assert.ok(count <= Math.max(minimum, wanted));
        }
      }),
    );
  });

  it('leaves no memory unused that would do for another', () => {
    fc.assert(
      fc.property(wishes, fc.nat(10_000), (asked, bytes) => {
        const counts = targets(asked, { bytes, takenBytes: 0 });
        const left = bytes - bytesOf(asked, counts);
        for (const [index, wish] of asked.entries())
          assert.ok((counts[index] as number) >= Math.max(wish.minimum, wish.wanted) || wish.bytes > left);
      }),
    );
  });

  it('does not fall for whoever wants more, nor when there is more memory for one alone', () => {
    fc.assert(
      fc.property(wishes, budgets, fc.nat(5), fc.nat(20), (asked, budget, who, more) => {
        const index = who % asked.length;
        const wish = asked[index] as Wish;
        const greedier = asked.with(index, { ...wish, wanted: wish.wanted + more });
        const count = (list: readonly Wish[], of: Budget) => targets(list, of)[index] as number;
        assert.ok(count(greedier, budget) >= count(asked, budget));
        const roomier = { ...budget, bytes: budget.bytes + more * 50 };
        assert.ok((targets([wish], roomier)[0] as number) >= (targets([wish], budget)[0] as number));
      }),
    );
  });
});

describe('how many containers are made at once', () => {
  const settle = (pace: Pace, slowness: (limit: number) => number) => {
    for (let count = 0; count < 2_000; count++) pace.ended(slowness(pace.limit));
    return pace.limit;
  };

  it('begins with what is allowed, and stays there where that does no harm', () => {
    const pace = new Pace({ least: 2, most: 8 });
    assert.equal(pace.limit, 8);
    assert.equal(
      settle(pace, () => 1),
      8,
    );
  });

  it('falls to what the engine does side by side, and rises when it does more again', () => {
    const pace = new Pace({ least: 2, most: 32 });
    const withProcessors = (count: number) => (limit: number) => Math.max(1, limit / count);
    const four = settle(pace, withProcessors(4));
    assert.ok(four >= 4 && four <= 8, `${four}`);
    const sixteen = settle(pace, withProcessors(16));
    assert.ok(sixteen >= 16, `${sixteen}`);
  });

  it('stays within its bounds whatever happens', () => {
    const bounds = fc.record({ least: fc.integer({ min: 1, max: 16 }), most: fc.integer({ min: 1, max: 16 }) });
    fc.assert(
      fc.property(bounds, fc.array(fc.double({ min: 1, max: 100, noNaN: true })), ({ least, most }, slownesses) => {
        const pace = new Pace({ least, most });
        for (const slowness of slownesses) {
          pace.ended(slowness);
          assert.ok(pace.limit >= Math.min(least, most) && pace.limit <= most);
        }
      }),
    );
  });
});
