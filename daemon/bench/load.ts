/** Many runs, and none: how fast containers are replaced, what a burst does, what an idle daemon costs. */
import { availableParallelism } from 'node:os';
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Context } from './context.ts';
import { anyContainerOf, cycleContainers } from './engine.ts';
import { program, requestFor } from './programs.ts';
import type { Measurement } from './report.ts';

const MB = 1_000_000;

/** Runs one after the other on several lanes, each in a container of its own, against the engine creating and removing the same containers. */
export async function refill({ daemon, sandbox, docker, quick }: Context): Promise<Measurement> {
  const seconds = quick ? 2 : 15;
  const concurrency = Math.max(2, availableParallelism());
  const request = requestFor(program('hello.py'));
  const pool: number[] = [];
  const engine: number[] = [];
  for (let round = 0; round < (quick ? 1 : 4); round++) {
    await daemon.poolFull();
    pool.push(await runsPerSecond(sandbox, request, { lanes: concurrency * 3, seconds }));
    await daemon.poolFull();
    const like = await anyContainerOf(docker, 'python');
    engine.push(await cycleContainers(docker, { like, concurrency, seconds }));
  }
  const list = (rates: number[]) => rates.map((rate) => rate.toFixed(1)).join(', ');
  return {
    what: `python hellos a second, each in a new container, sustained for ${seconds} s`,
    against: { what: `create + start + remove of the same container by the engine’s API, ${concurrency} at a time` },
    ratio: mean(pool) / mean(engine),
    bar: { atLeast: 0.9 },
    notes: [`runs a second: ${list(pool)}; containers a second by the engine: ${list(engine)}`],
  };
}

/** Lanes that each start a run when their last one has ended. The first runs, which empty the pool, are not counted. */
async function runsPerSecond(
  sandbox: Context['sandbox'],
  request: Parameters<Context['sandbox']['run']>[0],
  { lanes, seconds }: { lanes: number; seconds: number },
): Promise<number> {
  let begin = performance.now();
  let ended = 0;
  let counting = false;
  const lane = async () => {
    for (let first = true; !counting || performance.now() - begin < seconds * 1000; first = false) {
      const { run } = await sandbox.run(request);
      if (run.state !== 'succeeded') throw new Error(`A run ended ${run.state}: ${run.message}`);
      if (!first && !counting) {
        counting = true;
        begin = performance.now();
      } else if (counting) ended++;
    }
    return performance.now();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return ended / ((performance.now() - begin) / 1000);
}

/** Everything submitted in one go, by one owner, on one connection. */
export async function burst({ daemon, sandbox, quick }: Context): Promise<Measurement> {
  await daemon.poolFull();
  const count = quick ? 100 : 1_000;
  const before = daemon.residentBytes();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, daemon.residentBytes());
  }, 50);
  const numbered = program('numbered.py');
  const begin = performance.now();
  const started: number[] = [];
  const outcomes = await Promise.all(
    Array.from({ length: count }, (_, index) => {
      const outcome = sandbox.run(requestFor(numbered, [`${index}`]));
      return outcome.then(
        ({ run, output }) => {
          started[index] = Date.parse(run.startedAt ?? '');
          if (run.state !== 'succeeded') return `run ${index} ended ${run.state}: ${run.message ?? run.error?.message}`;
          return output === `run ${index}\n` ? undefined : `run ${index} printed ${JSON.stringify(output)}`;
        },
        (error: Error) => `run ${index} was not accepted: ${error.message}`,
      );
    }),
  ).finally(() => clearInterval(watch));
  const seconds = (performance.now() - begin) / 1000;
  const early = started.findIndex((at, index) => at < (started[index - 1] ?? 0));
  const failed = outcomes.filter((outcome) => outcome !== undefined);
  return {
    what: `${count} python hellos submitted at once: all finish, in the order they were submitted`,
    figure: { value: peak / MB, unit: 'MB RSS' },
    bar: { atMost: 250 },
    notes: [
      `${seconds.toFixed(1)} s, ${(count / seconds).toFixed(1)} a second; the daemon’s memory: ${(before / MB).toFixed(0)} MB before, ${(peak / MB).toFixed(0)} MB at most`,
    ],
    wrong: [
      ...failed.slice(0, 3),
      ...(failed.length > 3 ? [`and ${failed.length - 3} more`] : []),
      ...(early === -1 ? [] : [`run ${early} started before run ${early - 1}`]),
    ],
  };
}

/** A daemon whose pools are full and that nobody uses. */
export async function idleMemory({ daemon, quick }: Context): Promise<Measurement> {
  await daemon.poolFull();
  const { pool } = await daemon.status();
  const seconds = quick ? 1 : 10;
  await delay(seconds * 500);
  const cpuBefore = daemon.cpuSeconds();
  await delay(seconds * 1000);
  const cpuPercent = ((daemon.cpuSeconds() - cpuBefore) / seconds) * 100;
  const waiting = pool.runtimes.map(({ runtime, idle }) => `${idle} ${runtime}`).join(', ');
  return {
    what: `the daemon’s resident memory with ${waiting} waiting`,
    figure: { value: daemon.residentBytes() / MB, unit: 'MB RSS' },
    bar: { atMost: 80 },
    notes: [`${cpuPercent.toFixed(2)} % of one processor over ${seconds} s; should be below 1 %`],
  };
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
