/**
 * Arrivals that happened, as text: comments first, then a line for each run: milliseconds since the first, its runtime, whose it was. Owners
 * are numbers, in the order in which they came: who they were is nobody's business.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Arrival } from './arrivals.ts';

/** What a daemon's history has, also while it runs. @param dataDir its folder */
export function recordTrace(dataDir: string): Arrival[] {
  using history = new DatabaseSync(join(dataDir, 'coderunner.sqlite'), { readOnly: true });
  const runs = history
    .prepare(
      "SELECT owner, run ->> '$.runtime' AS runtime, run ->> '$.createdAt' AS createdAt FROM runs ORDER BY number",
    )
    .all() as { owner: string; runtime: string; createdAt: string }[];
  const begin = Math.min(...runs.map(({ createdAt }) => Date.parse(createdAt)));
  const owners = [...new Set(runs.map(({ owner }) => owner))];
  return runs.map(({ owner, runtime, createdAt }) => ({
    at: Date.parse(createdAt) - begin,
    runtime,
    owner: `${owners.indexOf(owner) + 1}`,
  }));
}

export function formatTrace(arrivals: readonly Arrival[]): string {
  return arrivals.map(({ at, runtime, owner }) => `${at} ${runtime} ${owner}\n`).join('');
}

/** @throws Error where a line is no arrival */
export function parseTrace(text: string): Arrival[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, at, runtime, owner] = /^(\d+) (\S+) (\S+)$/.exec(line) ?? [];
      if (at === undefined || runtime === undefined || owner === undefined)
        throw new Error(`This is no arrival, which would be milliseconds, runtime and owner: ${line}`);
      return { at: Number(at), runtime, owner };
    });
}
