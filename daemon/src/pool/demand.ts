/**
 * How many containers of each runtime should wait, and how many are made at once. Arithmetic only: callers say
 * what time it is, so that `npm run bench:pool` can ask the same of a day in a second. docs/decisions/0017 tells how its numbers were
 * found.
 *
 * Start reading at `Demand`.
 */

/** Runs that come within as many creations of each other are one rush: what is made for its first is too late for its last. */
const RUSH_CREATIONS = 4;
/** People who are told to press a key do so within a few seconds. */
const RUSH_LEAST_MS = 4_000;
/** On a machine that is busy with something else, a quiet afternoon is no rush. */
const RUSH_MOST_MS = 15_000;
/** By then all but a third of the largest rush is forgotten. */
const FORGET_MS = 30 * 60_000;
/** Where memory is short, whoever nobody asked for in the minute before the latest run of all gives way: a class has gone on to another language. */
const GONE_AFTER_MS = 60_000;
/** What is assumed until the first container was made. */
const USUAL_CREATION_MS = 250;
/** How much the latest creation counts in the moving mean of their times. */
const LATEST_SHARE = 0.2;

/** What is known of the demand for one runtime: a fast estimate of how many runs come at once, and a slow one of how many that have been. */
export class Demand {
  /** Runs of the present rush: each counts 1 when it comes, and less from then on. */
  #rush = 0;
  /** The largest that the rush has been, and less from then on. Never below it. */
  #largest = 0;
  #at = 0;
  #askedAt = Number.NEGATIVE_INFINITY;
  #creationMs = USUAL_CREATION_MS;
  #fastestMs = Number.POSITIVE_INFINITY;

  /** A run needs a container. @param now milliseconds of a clock that does not go back */
  arrived(now: number): void {
    this.#fade(now);
    this.#askedAt = this.#at;
    this.#rush += 1;
    this.#largest = Math.max(this.#largest, this.#rush);
  }

  /**
   * A container was made.
   * @returns how many times as long as the fastest it took
   */
  created(tookMs: number): number {
    const first = this.#fastestMs === Number.POSITIVE_INFINITY;
    this.#creationMs = first ? tookMs : this.#creationMs + LATEST_SHARE * (tookMs - this.#creationMs);
    this.#fastestMs = Math.min(this.#fastestMs, tookMs);
    return tookMs / this.#fastestMs;
  }

  /** How many containers should wait for what may come, whatever memory there is. */
  wanted(now: number): number {
    this.#fade(now);
    return Math.round(this.#largest);
  }

  /** When the latest run came; minus infinity before the first. */
  get askedAt(): number {
    return this.#askedAt;
  }

  /** What creating a container takes lately, in milliseconds; undefined before the first. */
  get creationMs(): number | undefined {
    return this.#fastestMs === Number.POSITIVE_INFINITY ? undefined : this.#creationMs;
  }

  #fade(now: number): void {
    const rushMs = Math.min(RUSH_MOST_MS, Math.max(RUSH_LEAST_MS, RUSH_CREATIONS * this.#creationMs));
    const passedMs = Math.max(0, now - this.#at);
    this.#at = Math.max(this.#at, now);
    this.#rush *= Math.exp(-passedMs / rushMs);
    this.#largest *= Math.exp(-passedMs / FORGET_MS);
  }
}

/** What one runtime asks for. */
export interface Wish {
  /** As many wait in any case. */
  minimum: number;
  /** As many would be good. */
  wanted: number;
  /** When it was asked for last, in milliseconds. */
  askedAt: number;
  /** Memory that one container may use. */
  bytes: number;
}

/** The memory that there is for containers. */
export interface Budget {
  /** In all. */
  bytes: number;
  /** What runs have of it. */
  takenBytes: number;
}

/**
 * How many containers of each runtime should wait. The least that should wait is kept also while runs need the memory, as long as it
 * fits into the budget by itself; what is wanted beyond gets only what is free. Where memory is short, those go first who were asked for
 * lately, and among them those who have the smallest part of what they want.
 * @param budget undefined where nobody knows: nothing waits beyond the least
 */
export function targets(wishes: readonly Wish[], budget: Budget | undefined): number[] {
  if (!budget) return wishes.map(({ minimum }) => minimum);
  const free = budget.bytes - budget.takenBytes;
  const all = wishes.map(({ minimum, wanted }) => Math.max(minimum, wanted));
  if (wishes.reduce((sum, { bytes }, index) => sum + bytes * (all[index] ?? 0), 0) <= free) return all;
  const latest = Math.max(...wishes.map(({ askedAt }) => askedAt));
  const isGone = ({ askedAt }: Wish) => latest - askedAt > GONE_AFTER_MS;
  const raise = (counts: readonly number[], bytes: number, goal: (wish: Wish) => number) => {
    const goals = wishes.map((wish, index) => ({
      from: counts[index] ?? 0,
      to: Math.max(wish.minimum, goal(wish)),
      bytes: wish.bytes,
    }));
    return fill(goals, bytes - goals.reduce((sum, one) => sum + one.from * one.bytes, 0));
  };
  const least = raise([], budget.bytes, ({ minimum }) => minimum);
  const lately = raise(least, free, (wish) => (isGone(wish) ? wish.minimum : wish.wanted));
  return raise(lately, free, ({ wanted }) => wanted);
}

/** Gives one after the other while it fits, each to whoever is farthest from what it should get. */
function fill(goals: readonly { from: number; to: number; bytes: number }[], bytes: number): number[] {
  const counts = goals.map(({ from }) => from);
  const needed = goals.reduce((sum, goal) => sum + (goal.to - goal.from) * goal.bytes, 0);
  if (needed <= bytes) return goals.map(({ to }) => to);
  let left = bytes;
  const open = new Set(goals.keys());
  while (open.size > 0) {
    let poorest = -1;
    let part = Number.POSITIVE_INFINITY;
    for (const index of open) {
      const goal = goals[index] as (typeof goals)[number];
      if ((counts[index] as number) / goal.to < part) {
        poorest = index;
        part = (counts[index] as number) / goal.to;
      }
    }
    const goal = goals[poorest];
    if (!goal) break; // all have what they want
    if (counts[poorest] === goal.to || goal.bytes > left) {
      open.delete(poorest);
      continue;
    }
    counts[poorest] = (counts[poorest] as number) + 1;
    left -= goal.bytes;
  }
  return counts;
}

/** Creations are much slower together than alone: fewer at once end as many, and the first of them sooner. */
const CROWDED = 2;
/** There is room for one more. */
const ROOMY = 1.4;
/** Creations after which a change shows. */
const SETTLED_AFTER = 8;

/** How many containers are made at the same time, by how long that takes. */
export class Pace {
  readonly #least: number;
  readonly #most: number;
  #limit: number;
  #slowness = 1;
  #sinceChange = 0;

  /**
   * @param least as many do not hinder each other: the engine's processors. What slows them down is something else, which fewer of them
   * would not mend
   */
  constructor({ least, most }: { least: number; most: number }) {
    this.#least = Math.min(least, most);
    this.#most = most;
    this.#limit = most;
  }

  get limit(): number {
    return this.#limit;
  }

  /** @param slowness how many times as long as the fastest of its runtime a creation took */
  ended(slowness: number): void {
    this.#slowness += LATEST_SHARE * (slowness - this.#slowness);
    if (++this.#sinceChange < SETTLED_AFTER) return;
    const limit = this.#limit + (this.#slowness > CROWDED ? -1 : this.#slowness < ROOMY ? 1 : 0);
    if (limit < this.#least || limit > this.#most || limit === this.#limit) return;
    this.#limit = limit;
    this.#sinceChange = 0;
  }
}
