/**
 * Asks one daemon for more than a machine can do, as many owners at once, and checks that each got their own and all of it: every program prints
 * a secret of its owner. Start reading at `load`.
 */
import { performance } from 'node:perf_hooks';
import { isEnd, type RunList, type RunRequest } from '../../src/protocol/index.ts';
import { until } from '../support/test-pool.ts';
import { Connection, Refused, type Seen } from './connection.ts';
import { SharedDaemon } from './shared-daemon.ts';

export interface LoadOptions {
  /** How long connections loop, and how long what was queued at once may run before the rest is cancelled. */
  seconds: number;
  /** That many connections loop. */
  connections: number;
  /** So many press Run at the same moment. */
  people: number;
  /** Runs that are queued at once. */
  queued: number;
  /** So many one owner runs one after the other, alone and beside a flood. */
  hellos: number;
}

export interface Finding {
  what: string;
  /** What was counted and measured. */
  figures: string;
  /** What did not hold; nothing where all did. */
  wrong: string[];
  /** Depends on how fast the machine is at the moment: for people and long runs, not for a test. */
  timed?: boolean;
}

const MiB = 2 ** 20;
const LINES = 3_000;
const MOST_RUNNING = 16;
/** Memory of a container that none waits with, so that a run has to have one made. */
const UNUSUAL_MEMORY = 200 * MiB;
const COLD_HELLOS = 9;
const FLOODER = 'flooder';
const QUIET = 'quiet';

/** Prints the secret and the number of the run; with a third argument so many times. */
export const PROGRAMS: readonly { runtime: string; path: string; content: string }[] = [
  {
    runtime: 'python',
    path: 'main.py',
    content: "import sys\nprint((' '.join(sys.argv[1:3]) + '\\n') * int((sys.argv + ['1'])[3]), end='')\n",
  },
  {
    runtime: 'javascript',
    path: 'main.js',
    content:
      'const [secret, number, times = 1] = process.argv.slice(2);\nprocess.stdout.write(`${secret} ${number}\\n`.repeat(times));\n',
  },
  {
    runtime: 'bash',
    path: 'main.sh',
    content: 'for ((i = 0; i < ${3:-1}; i++)); do echo "$1 $2"; done\n',
  },
];

interface Job {
  request: RunRequest;
  expected: string;
}

class Load {
  readonly daemon: SharedDaemon;
  readonly options: LoadOptions;
  /** Owners of connections that behave. */
  readonly owners: readonly string[];
  /** What was wrong, each once. */
  readonly wrong = new Set<string>();
  readonly waits: number[] = [];
  readonly ids = new Map<string, Set<string>>();
  started = 0;
  ended = 0;
  #number = 0;

  constructor(daemon: SharedDaemon, options: LoadOptions, owners: readonly string[]) {
    this.daemon = daemon;
    this.options = options;
    this.owners = owners;
  }

  owner(index: number): string {
    return this.owners[index % this.owners.length] as string;
  }

  job(owner: string, { times = 1, more = {} }: { times?: number; more?: Partial<RunRequest> } = {}): Job {
    const number = ++this.#number;
    const { runtime, path, content } = PROGRAMS[number % PROGRAMS.length] as (typeof PROGRAMS)[number];
    return {
      request: {
        runtime,
        files: [{ path, content }],
        args: [secretOf(owner), `${number}`, `${times}`],
        stdin: null,
        ...more,
        // On a machine that does much else.
        limits: { wallMs: 600_000, ...more.limits },
      },
      expected: `${secretOf(owner)} ${number}\n`.repeat(times),
    };
  }

  /** Takes down a run that its owner was told of. */
  note(owner: string, id: string): void {
    this.started++;
    const ids = this.ids.get(owner) ?? new Set();
    this.ids.set(owner, ids.add(id));
  }

  /** Checks how a run ended. @param cancelled it may also have been cancelled, by its owner */
  check(owner: string, job: Job, { run, output, waitMs }: Seen, cancelled = false): void {
    this.ended++;
    if (waitMs !== undefined) this.waits.push(waitMs);
    if (cancelled && run.state === 'cancelled') return;
    if (run.state !== 'succeeded') this.wrong.add(`a run of ${owner} ended ${run.state}: ${run.message}`);
    else if (output !== job.expected)
      this.wrong.add(
        `${owner} expected ${job.expected.length} characters of ${secretOf(owner)}, and got ${output.length}: ${JSON.stringify(output.slice(0, 100))}`,
      );
  }

  async once(connection: Connection, owner: string, job: Job): Promise<Seen> {
    const followed = connection.start(job.request);
    this.note(owner, (await followed.taken).id);
    const seen = await followed.exit;
    this.check(owner, job, seen);
    return seen;
  }
}

/** @returns one finding after the other, as they come */
export async function* load(options: LoadOptions): AsyncGenerator<Finding> {
  const { people, queued } = options;
  const mostQueued = Math.ceil(queued / people) + 10;
  const owners = Array.from({ length: people }, (_, index) => `owner-${index + 1}`);
  await using daemon = await SharedDaemon.start([...owners, FLOODER, QUIET], {
    CODERUNNER_POOL_PREWARM: PROGRAMS.map(({ runtime }) => runtime).join(','),
    CODERUNNER_MAX_QUEUED_PER_OWNER: `${mostQueued}`,
    CODERUNNER_MAX_RUNNING: `${MOST_RUNNING}`,
  });
  await daemon.quiet(QUIET);
  const test = new Load(daemon, options, owners);
  const unloaded = await hellos(test);
  // Now everything that is opened once is open.
  const before = { descriptors: await daemon.descriptors(QUIET), bytes: daemon.residentBytes };
  yield await atOnce(test);
  yield* beside(test, unloaded, mostQueued);
  yield* loops(test, mostQueued);
  yield await allQueued(test);
  yield await nothingCrossed(test);
  let descriptors = before.descriptors;
  // Connections to the engine that are kept for the next request go after a while.
  const flat = until(async () => {
    descriptors = await daemon.descriptors(QUIET);
    return descriptors <= before.descriptors + 10;
  });
  const leaks = await flat.then(
    () => [],
    () => ['descriptors leak'],
  );
  yield {
    what: 'the daemon is as it was before',
    figures: `${before.descriptors} descriptors of its own before, ${descriptors} after; ${mb(before.bytes)} before, ${mb(daemon.residentBytes)} after`,
    wrong: leaks,
  };
  const left = await daemon.end();
  yield { what: 'it leaves nothing', figures: `${left} containers`, wrong: left > 0 ? ['containers are left'] : [] };
}

/** How long a hello takes when nobody else runs anything, and what a container costs that was not waiting. */
async function hellos(test: Load): Promise<{ p99Ms: number; creationMs: number }> {
  const connection = await Connection.open(test.daemon.client(QUIET));
  const warm: number[] = [];
  const cold: number[] = [];
  const hello = (more?: Partial<RunRequest>) => test.once(connection, QUIET, test.job(QUIET, more ? { more } : {}));
  for (let i = 0; i < test.options.hellos; i++) {
    warm.push((await hello()).tookMs);
    await test.daemon.quiet(QUIET);
  }
  for (let i = 0; i < COLD_HELLOS; i++) {
    cold.push((await hello({ limits: { memoryBytes: UNUSUAL_MEMORY } })).tookMs);
    await test.daemon.quiet(QUIET);
  }
  await connection.cut();
  return { p99Ms: quantile(warm, 0.99), creationMs: Math.max(0, quantile(cold, 0.5) - quantile(warm, 0.5)) };
}

/** Everybody presses Run at the same moment. */
async function atOnce(test: Load): Promise<Finding> {
  const wrong = fresh(test);
  const begin = performance.now();
  await Promise.all(
    test.owners.map(async (owner) => {
      const connection = await Connection.open(test.daemon.client(owner));
      await test.once(connection, owner, test.job(owner));
      await connection.cut();
    }),
  );
  const seconds = (performance.now() - begin) / 1000;
  return {
    what: `${test.owners.length} people at once`,
    figures: `all answered within ${seconds.toFixed(1)} s; waits: ${waits(test)}`,
    wrong: wrong(),
  };
}

/** One owner floods; another runs a hello now and then. */
async function* beside(
  test: Load,
  unloaded: { p99Ms: number; creationMs: number },
  mostQueued: number,
): AsyncGenerator<Finding> {
  const wrong = fresh(test);
  const flooded = await Connection.open(test.daemon.client(FLOODER));
  let ended = 0;
  // As many are queued from the first hello to the last, however fast they go.
  const over = new AbortController();
  const first: Promise<unknown>[] = [];
  const flood = Array.from({ length: mostQueued }, async () => {
    while (!over.signal.aborted) {
      const job = test.job(FLOODER);
      const followed = flooded.start(job.request);
      first.push(followed.taken);
      test.note(FLOODER, (await followed.taken).id);
      over.signal.addEventListener('abort', followed.cancel);
      if (over.signal.aborted) followed.cancel();
      test.check(FLOODER, job, await followed.exit, true);
      over.signal.removeEventListener('abort', followed.cancel);
      ended++;
    }
  });
  await Promise.all(first);
  const connection = await Connection.open(test.daemon.client(QUIET));
  const quiet: number[] = [];
  const [begin, endedBefore] = [performance.now(), ended];
  for (let i = 0; i < test.options.hellos; i++)
    quiet.push((await test.once(connection, QUIET, test.job(QUIET))).tookMs);
  const perSecond = ((ended - endedBefore) / (performance.now() - begin)) * 1000;
  await connection.cut();
  over.abort();
  await Promise.all(flood);
  await flooded.cut();
  const most = 2 * unloaded.p99Ms + unloaded.creationMs;
  const p99 = quantile(quiet, 0.99);
  const figures = `p50 ${ms(quantile(quiet, 0.5))}, p99 ${ms(p99)} of ${quiet.length}; alone p99 ${ms(unloaded.p99Ms)}, one creation ${ms(unloaded.creationMs)}: the bar is ${ms(most)}; ${perSecond.toFixed(1)} runs a second of the flood`;
  yield { what: `hellos while another owner has ${mostQueued} runs queued`, figures, wrong: wrong() };
  yield {
    what: 'they take no longer than the bar',
    figures,
    wrong: p99 > most ? ['they take longer'] : [],
    timed: true,
  };
}

/** Connections that run one program after the other, some slowly, some broken off, beside a flood. */
async function* loops(test: Load, mostQueued: number): AsyncGenerator<Finding> {
  const { daemon, options } = test;
  const wrong = fresh(test);
  const end = performance.now() + options.seconds * 1000;
  const goesOn = (round: number) => round === 0 || performance.now() < end;
  const kinds = { steady: 0, slow: 0, broken: 0 };
  const looping = async (index: number) => {
    const owner = test.owner(index);
    const client = daemon.client(owner);
    const kind = index % 10 === 3 ? 'slow' : index % 10 === 7 ? 'broken' : 'steady';
    // Each page of output is acknowledged when the daemon has answered something else in between.
    const reads = kind === 'slow' ? () => client.json('GET', '/v1/status') : undefined;
    let connection = await Connection.open(client, reads);
    for (let round = 0; goesOn(round); round++) {
      kinds[kind]++;
      const job = test.job(owner, kind === 'steady' ? {} : { times: LINES });
      if (kind !== 'broken') {
        await test.once(connection, owner, job);
        continue;
      }
      const { id } = await connection.start(job.request).taken;
      test.note(owner, id);
      await connection.cut();
      connection = await Connection.open(client);
      test.check(owner, job, await connection.subscribe(id, 0).exit);
      const middle = Math.floor(job.expected.length / 2);
      const { output } = await connection.subscribe(id, middle).exit;
      if (output !== job.expected.slice(middle)) test.wrong.add(`${owner} came back to another output`);
    }
    await connection.cut();
  };
  const flood = { asked: 0, refused: 0 };
  const flooding = async () => {
    const connection = await Connection.open(daemon.client(FLOODER));
    for (let round = 0; goesOn(round); round++) {
      const all = Array.from({ length: mostQueued * 2 + MOST_RUNNING }, () => {
        const job = test.job(FLOODER);
        return { job, followed: connection.start(job.request) };
      });
      flood.asked += all.length;
      await Promise.all(
        all.map(async ({ job, followed }) => {
          try {
            test.note(FLOODER, (await followed.taken).id);
          } catch (error) {
            if (!(error instanceof Refused)) throw error;
            flood.refused++;
            const { code, retryAfterSeconds } = error.body;
            if (code !== 'queue_full' || !retryAfterSeconds)
              test.wrong.add(`a flood was refused with ${error.message}`);
            return;
          }
          followed.cancel();
          test.check(FLOODER, job, await followed.exit, true);
        }),
      );
    }
    await connection.cut();
  };
  const resident: number[] = [];
  const watch = setInterval(() => resident.push(daemon.residentBytes), 500);
  const begin = performance.now();
  try {
    await Promise.all([flooding(), ...Array.from({ length: options.connections }, (_, index) => looping(index))]);
  } finally {
    clearInterval(watch);
  }
  const seconds = (performance.now() - begin) / 1000;
  const runs = Object.values(kinds).reduce((sum, count) => sum + count, 0);
  yield {
    what: `${options.connections} connections for ${options.seconds} s in three languages: ${kinds.steady} runs of steady ones, ${kinds.slow} read slowly, ${kinds.broken} broken off and come back to; a flood of ${flood.asked}`,
    figures: `${(runs / seconds).toFixed(1)} runs a second beside the flood, of which ${flood.refused} were refused; waits: ${waits(test)}`,
    wrong: [...wrong(), ...(flood.refused === 0 ? ['no flood was refused'] : [])],
  };
  const half = Math.ceil(resident.length / 2);
  const [first, second] = [resident.slice(0, half), resident.slice(half)].map((part) => quantile(part, 0.5));
  yield {
    what: 'the daemon’s memory is flat',
    figures: `median of the first half ${mb(first as number)}, of the second ${mb(second as number)}, most ${mb(quantile(resident, 1))}`,
    wrong: (second as number) > (first as number) * 1.25 + 16 * MiB ? ['it grows'] : [],
    timed: true,
  };
}

/** As many as there are, all in the queue before the first has ended; what has not run in time is cancelled. */
async function allQueued(test: Load): Promise<Finding> {
  const { daemon, options } = test;
  const wrong = fresh(test);
  const states: Record<string, number> = {};
  const begin = performance.now();
  const connections: Connection[] = [];
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), options.seconds * 1000);
  const perOwner = Math.ceil(options.queued / test.owners.length);
  let takenMs = 0;
  await Promise.all(
    test.owners.map(async (owner) => {
      const connection = await Connection.open(daemon.client(owner));
      connections.push(connection);
      const all = Array.from({ length: perOwner }, () => {
        const job = test.job(owner);
        return { job, followed: connection.start(job.request) };
      });
      for (const { followed } of all) test.note(owner, (await followed.taken).id);
      takenMs = Math.max(takenMs, performance.now() - begin);
      const cancel = () => {
        for (const { followed } of all) followed.cancel();
      };
      late.signal.addEventListener('abort', cancel);
      if (late.signal.aborted) cancel();
      for (const { job, followed } of all) {
        const seen = await followed.exit;
        states[seen.run.state] = (states[seen.run.state] ?? 0) + 1;
        test.check(owner, job, seen, true);
      }
    }),
  );
  clearTimeout(timer);
  for (const connection of connections) await connection.cut();
  const ended = Object.entries(states).map(([state, count]) => `${count} ${state}`);
  return {
    what: `${perOwner * test.owners.length} runs of ${test.owners.length} owners queued at once`,
    figures: `taken within ${(takenMs / 1000).toFixed(1)} s; ${ended.join(', ')} within ${((performance.now() - begin) / 1000).toFixed(1)} s; waits: ${waits(test)}`,
    wrong: [
      ...wrong(),
      ...(test.started === test.ended ? [] : [`${test.started} runs were taken, ${test.ended} have ended`]),
    ],
  };
}

/** Nobody sees a run of somebody else, and each of one's own has ended. */
async function nothingCrossed(test: Load): Promise<Finding> {
  const wrong = fresh(test);
  let asked = 0;
  for (const [owner, ids] of test.ids) {
    const client = test.daemon.client(owner);
    const { runs } = await client.json<RunList>('GET', '/v1/runs?limit=1000');
    for (const { id, state } of runs) {
      if (!ids.has(id)) test.wrong.add(`${owner} is shown the run ${id}, which is not theirs`);
      if (!isEnd(state)) test.wrong.add(`a run of ${owner} is still ${state}`);
    }
    for (const [other, foreign] of test.ids) {
      if (other === owner) continue;
      const [id] = foreign;
      for (const path of [`/v1/runs/${id}`, `/v1/runs/${id}/output?wait=0`]) {
        asked++;
        const { status } = await client.fetch('GET', path);
        if (status !== 404) test.wrong.add(`${owner} got ${status} for a run of ${other}`);
      }
    }
  }
  return { what: 'nothing crossed between owners', figures: `${asked} requests for others’ runs`, wrong: wrong() };
}

/** @returns what was found wrong since this was called */
function fresh(test: Load): () => string[] {
  test.waits.length = 0;
  const known = new Set(test.wrong);
  return () => [...test.wrong].filter((one) => !known.has(one));
}

function secretOf(owner: string): string {
  return `the-secret-of-${owner}`;
}

function waits({ waits }: Load): string {
  if (waits.length === 0) return 'none came to run';
  return `p50 ${ms(quantile(waits, 0.5))}, p99 ${ms(quantile(waits, 0.99))}`;
}

/** @returns the smallest value that so large a part of them does not exceed; NaN of none */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}

function ms(value: number): string {
  return value < 1000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(2)} s`;
}

function mb(bytes: number): string {
  return `${(bytes / 1e6).toFixed(0)} MB`;
}
