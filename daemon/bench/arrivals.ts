/** When people press Run, as numbers that are the same each time: for the pool as it is simulated, and for a daemon. */

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** A run that somebody asked for. */
export interface Arrival {
  /** Milliseconds from the beginning. */
  at: number;
  runtime: string;
  owner: string;
}

/** Numbers from 0 to 1 that look random and are the same each time. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Milliseconds until the next of events that come at random, so many a second. */
function pause(random: () => number, perSecond: number): number {
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

/** 15 people who each work for a while, then don't; who press Run several times while they look for a mistake. */
export function teamDay(): Arrival[] {
  const random = seeded(2);
  const arrivals: Arrival[] = [];
  for (let person = 0; person < 15; person++) {
    const runtime = ['python', 'javascript', 'java'][person % 3] as string;
    for (let at = random() * HOUR; at < 8 * HOUR; at += pause(random, 1 / 1_200)) {
      const runs = 1 + Math.floor(random() * 12);
      for (let run = 0; run < runs && at < 8 * HOUR; run++) {
        arrivals.push({ at, runtime, owner: `${person}` });
        at += 2 * SECOND + pause(random, 1 / 20);
      }
    }
  }
  return arrivals;
}

/** Submissions at random, `perSecond` of them for ten minutes. */
export function judge(perSecond: number): Arrival[] {
  const random = seeded(3);
  const arrivals: Arrival[] = [];
  for (let at = 0; at < 10 * MINUTE; at += pause(random, perSecond))
    arrivals.push({ at, runtime: random() < 0.6 ? 'python' : 'java', owner: 'judge' });
  return arrivals;
}

/** A run every ten seconds or so, sometimes twice in a row. */
export function onePerson(): Arrival[] {
  const random = seeded(4);
  const arrivals: Arrival[] = [];
  for (let at = 0; at < HOUR; at += 3 * SECOND + pause(random, 1 / 10)) {
    arrivals.push({ at, runtime: 'python', owner: 'one' });
    if (random() < 0.2) arrivals.push({ at: at + SECOND, runtime: 'python', owner: 'one' });
  }
  return arrivals;
}

/** Three classes in one room, each for ten minutes and in another language: 40 people press Run together every two and a half. */
export function threeClasses(): Arrival[] {
  const lengthMs = 10 * MINUTE;
  return ['cpp', 'javascript', 'python'].flatMap((runtime, number) =>
    lecture({ lengthMs, everyMs: lengthMs / 4 }).map((at) => ({ at: number * lengthMs + at, runtime, owner: 'class' })),
  );
}
