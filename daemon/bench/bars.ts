/** What the rates of many runs are held to; docs/performance.md says why. */
import type { Sustained } from './sustained.ts';

/** One line of the table: one way to run a language's hello, so many at a time. */
export interface Line extends Sustained {
  language: string;
  way: string;
  atOnce: number;
  /** Its rate divided by that of bare processes, as many at once or as many as were measured. */
  againstBare: number | null;
}

export interface Verdict {
  what: string;
  value: number;
  bar: string;
  met: boolean;
}

/** Of bare processes; below that many at once a processor has nothing to do. */
const REUSE_LEAST = 0.75;
const REUSE_FROM = 4;
const COMPILED_LEAST = 3;
/** Of what the engine does by itself. */
const FRESH_LEAST = 0.9;
const DAEMON_MOST_MS = 3;
const REUSE_P99_MS = 2_000;

/** Each line that a bar is about, and whether it meets it. */
export function verdicts(lines: readonly Line[]): Verdict[] {
  return lines.flatMap((line) => {
    const { language, way, atOnce, againstBare, perSecond, times, cpuMs } = line;
    if (way !== 'fresh' && way !== 'reuse') return [];
    const what = `${language}, ${way}, ${atOnce} at once`;
    const found = [atMost(`${what}: the daemon's CPU ms a run`, cpuMs.daemon, DAEMON_MOST_MS)];
    if (way === 'reuse' && language !== 'cpp' && atOnce >= REUSE_FROM && againstBare !== null)
      found.push(atLeast(`${what}: × bare`, againstBare, REUSE_LEAST));
    if (way === 'reuse' && language === 'python') found.push(atMost(`${what}: p99 ms`, times.p99Ms, REUSE_P99_MS));
    if (way === 'reuse' && language === 'cpp' && againstBare !== null)
      found.push(atLeast(`${what}: × bare`, againstBare, COMPILED_LEAST));
    const engine = lines.findLast(
      (one) => one.way === 'docker run' && one.language === language && one.atOnce <= atOnce,
    );
    if (way === 'fresh' && engine)
      found.push(atLeast(`${what}: × docker run`, perSecond / engine.perSecond, FRESH_LEAST));
    return found;
  });
}

function atLeast(what: string, value: number, bar: number): Verdict {
  return { what, value, bar: `≥ ${bar}`, met: value >= bar };
}

function atMost(what: string, value: number, bar: number): Verdict {
  return { what, value, bar: `≤ ${bar}`, met: value <= bar };
}
