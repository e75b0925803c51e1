/** When people press Run, as numbers that are the same each time: for the pool as it is simulated, and for a daemon. */

const SECOND = 1_000;

/** Numbers from 0 to 1 that look random and are the same each time. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Milliseconds until the next of events that come at random, so many a second. */
export function pause(random: () => number, perSecond: number): number {
  return (-Math.log(1 - random()) / perSecond) * SECOND;
}

/**
 * A lecture: every so often 40 people try within two seconds what was just shown; in between some play with it.
 * @returns milliseconds from its beginning, not in order
 */
export function lecture({ lengthMs, everyMs }: { lengthMs: number; everyMs: number }): number[] {
  const random = seeded(1);
  const arrivals: number[] = [];
  for (let begin = everyMs / 5; begin < lengthMs; begin += everyMs)
    for (let person = 0; person < 40; person++) arrivals.push(begin + random() * 2 * SECOND);
  for (let at = 0; at < lengthMs; at += pause(random, 0.1)) arrivals.push(at);
  return arrivals;
}
