/** Many people at once, or one program for a long time: what a rate alone does not tell. */
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { lecture } from './arrivals.ts';
import type { BenchDaemon } from './daemon.ts';
import { type Summary, summarise } from './measure.ts';

const MINUTE = 60_000;
const PEOPLE = 40;
/** By then nobody takes the languages that were measured before for wanted any more, and containers that were used for them are gone. */
const IDLE_MS = MINUTE;
const MB = 1_000_000;

/** Does it once; throws where the result is wrong. */
type Once = () => Promise<void>;

/**
 * After idleness as many people as in a classroom press Run at once, twice: what the first time teaches the pool is what the second finds.
 * @returns how long each of them waited
 */
export async function bursts(daemon: BenchDaemon, once: Once): Promise<[unprepared: Summary, prepared: Summary]> {
  const burst = async () => {
    await daemon.poolFull();
    const times = await Promise.all(Array.from({ length: PEOPLE }, () => timed(once)));
    return summarise(times);
  };
  await delay(IDLE_MS);
  return [await burst(), await burst()];
}

/** A lecture of that length, three times as busy as others where it is short. @returns how long each run took */
export async function playLecture(once: Once, minutes: number): Promise<Summary> {
  const lengthMs = minutes * MINUTE;
  const arrivals = lecture({ lengthMs, everyMs: Math.min(5 * MINUTE, lengthMs / 3) }).sort((a, b) => a - b);
  const begin = performance.now();
  const times: Promise<number>[] = [];
  for (const at of arrivals) {
    await delay(Math.max(0, begin + at - performance.now()));
    times.push(timed(once));
  }
  return summarise(await Promise.all(times));
}

/** What the daemon held when that many runs had ended. */
export interface Held {
  runs: number;
  residentBytes: number;
  openFiles: number;
}

/** Runs one after the other on several lanes; tells of the daemon's memory twenty times in between. */
export async function* manyRuns(
  daemon: BenchDaemon,
  once: Once,
  { runs, lanes }: { runs: number; lanes: number },
): AsyncGenerator<Held> {
  const step = Math.ceil(runs / 20);
  for (let done = 0; done < runs; ) {
    const until = Math.min(runs, done + step);
    const lane = async () => {
      while (done < until) {
        done++;
        await once();
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    yield { runs: done, residentBytes: daemon.residentBytes(), openFiles: daemon.openFiles() };
  }
}

/**
 * How much more the daemon holds in the last quarter than in the second: what the first holds is what it takes to be busy.
 * @returns megabytes
 */
export function growth(held: readonly Held[]): number {
  const quarter = Math.ceil(held.length / 4);
  const mean = (part: readonly Held[]) => part.reduce((sum, { residentBytes }) => sum + residentBytes, 0) / part.length;
  return (mean(held.slice(-quarter)) - mean(held.slice(quarter, 2 * quarter))) / MB;
}

async function timed(once: Once): Promise<number> {
  const begin = performance.now();
  await once();
  return performance.now() - begin;
}
