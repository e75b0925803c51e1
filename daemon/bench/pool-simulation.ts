/**
 * What waiting for a container is like under one rule or another for how many should wait: the pool's own arithmetic
 * (daemon/src/pool/demand.ts) against arrivals, on a machine that exists as numbers only.
 *
 *   npm run bench:pool                    a lecture, a day of a team, a judge, one person; always the same figures
 *   npm run bench:pool -- --trace FILE    arrivals that happened: what `coderunner ps --all --limit 10000 --json` printed
 *   --cores N, --memory BYTES, --concurrency N, --pool-size N
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { type Budget, Demand, Pace, targets } from '../src/pool/demand.ts';
import { type Line, Shares, type Turn, Turns } from '../src/pool/turns.ts';
import { lecture, pause, seeded } from './arrivals.ts';

/** Of one container, measured on two cores with Docker 20.10 (docs/performance.md): a python hello. */
const COSTS = {
  /** Processor time for creating and starting it, of engine and kernel. */
  createCpuMs: 150,
  /** What it takes besides. */
  createLatencyMs: 90,
  /** Processor time for removing it. */
  removeCpuMs: 50,
  /** Processor time of the run itself. */
  runCpuMs: 20,
  /** Its limit of memory, which is what it counts. */
  memoryBytes: 256 * 2 ** 20,
};
/** As in the pool. */
const REFILL_DELAY_MS = 250;
const REPLAN_MS = 5_000;
const MEMORY_SHARE = 0.8;

interface Arrival {
  at: number;
  runtime: string;
}

interface Scenario {
  what: string;
  arrivals: Arrival[];
}

interface Machine {
  cores: number;
  memoryBytes: number;
  concurrency: number;
}

/** How many should wait: always as many, or as the pool decides, never fewer than that. */
interface Policy {
  name: string;
  minimum: number;
  followsDemand: boolean;
}

interface Outcome {
  waits: number[];
  misses: number;
  /** Containers that waited, added up over time. */
  idleSeconds: number;
  mostIdle: number;
  created: number;
  seconds: number;
}

/** Work that takes processor time, shared fairly, and then some time besides. */
interface Job {
  cpuMs: number;
  then(): void;
}

/** The containers of one runtime. */
class Shelf implements Line {
  readonly demand = new Demand();
  readonly waiters: { owner: string; askedAt: number }[] = [];
  creating = 0;
  readonly idle = { length: 0 };
  target = 0;
  leased = 0;
  paused = false;

  /** Those still to be begun. */
  get missing(): number {
    return Math.max(0, this.waiters.length + (this.paused ? 0 : this.target - this.idle.length) - this.creating);
  }
}

/** Arrivals do not say whose they are. */
const OWNER = 'everybody';

/** The pool, its engine and its runs, on a clock of its own. */
class Simulation {
  readonly #machine: Machine;
  readonly #policy: Policy;
  readonly #budget: Budget;
  readonly #pace: Pace;
  readonly #shelves = new Map<string, Shelf>();
  readonly #timers: { at: number; then(): void }[] = [];
  readonly #jobs = new Set<Job>();
  readonly #shares = new Shares(Number.POSITIVE_INFINITY);
  readonly #turns: Turns<Shelf, undefined>;
  readonly #outcome: Outcome = { waits: [], misses: 0, idleSeconds: 0, mostIdle: 0, created: 0, seconds: 0 };
  #now = 0;

  constructor(machine: Machine, policy: Policy) {
    this.#machine = machine;
    this.#policy = policy;
    this.#budget = { bytes: machine.memoryBytes * MEMORY_SHARE, takenBytes: 0 };
    this.#pace = new Pace({ least: machine.cores, most: machine.concurrency });
    this.#turns = new Turns(this.#shares, machine.concurrency);
  }

  run(arrivals: readonly Arrival[]): Outcome {
    const end = Math.max(0, ...arrivals.map(({ at }) => at));
    for (const { runtime } of arrivals) if (!this.#shelves.has(runtime)) this.#shelves.set(runtime, new Shelf());
    for (const shelf of this.#shelves.values()) shelf.idle.length = this.#policy.minimum;
    for (const { at, runtime } of arrivals) this.#at(at, () => this.#lease(this.#shelves.get(runtime) as Shelf));
    for (let at = 0; at < end; at += REPLAN_MS) this.#at(at, () => this.#replan());
    this.#timers.sort((a, b) => b.at - a.at);
    while (this.#outcome.waits.length < arrivals.length) this.#step();
    this.#outcome.seconds = this.#now / 1000;
    return this.#outcome;
  }

  /** To the next moment at which something happens. */
  #step(): void {
    const rate = Math.min(1, this.#machine.cores / this.#jobs.size);
    let least: Job | undefined;
    for (const job of this.#jobs) if (!least || job.cpuMs < least.cpuMs) least = job;
    const jobAt = least ? this.#now + least.cpuMs / rate : Number.POSITIVE_INFINITY;
    const timer = this.#timers.at(-1);
    const next = Math.min(jobAt, timer?.at ?? Number.POSITIVE_INFINITY);
    const passed = next - this.#now;
    for (const job of this.#jobs) job.cpuMs -= passed * rate;
    let idle = 0;
    for (const shelf of this.#shelves.values()) idle += shelf.idle.length;
    this.#outcome.idleSeconds += (idle * passed) / 1000;
    this.#outcome.mostIdle = Math.max(this.#outcome.mostIdle, idle);
    this.#now = next;
    if (least && jobAt === next) {
      this.#jobs.delete(least);
      least.then();
    } else {
      this.#timers.pop();
      timer?.then();
    }
  }

  #at(at: number, then: () => void): void {
    this.#timers.push({ at, then });
  }

  #after(delayMs: number, then: () => void): void {
    const at = this.#now + delayMs;
    let index = this.#timers.length;
    while (index > 0 && (this.#timers[index - 1]?.at as number) <= at) index--;
    this.#timers.splice(index, 0, { at, then });
  }

  #compute(cpuMs: number, then: () => void): void {
    this.#jobs.add({ cpuMs, then });
  }

  #lease(shelf: Shelf): void {
    shelf.demand.arrived(this.#now);
    this.#plan();
    this.#shares.asked(OWNER, this.#now);
    if (shelf.idle.length > 0) {
      shelf.idle.length--;
      this.#serve(shelf, this.#now);
    } else {
      this.#outcome.misses++;
      shelf.waiters.push({ owner: OWNER, askedAt: this.#now });
      this.#fill(shelf);
    }
  }

  #serve(shelf: Shelf, askedAt: number): void {
    this.#outcome.waits.push(this.#now - askedAt);
    shelf.leased++;
    this.#shares.got(OWNER);
    if (!shelf.paused) {
      shelf.paused = true;
      this.#after(REFILL_DELAY_MS, () => {
        shelf.paused = false;
        this.#fill(shelf);
      });
    }
    this.#compute(COSTS.runCpuMs, () => {
      shelf.leased--;
      this.#shares.gaveBack(OWNER);
      this.#compute(COSTS.removeCpuMs, () => {});
    });
  }

  #plan(): void {
    const shelves = [...this.#shelves.values()];
    const taken = shelves.reduce((sum, { leased, waiters }) => sum + leased + waiters.length, 0);
    const wishes = shelves.map(({ demand }) => ({
      minimum: this.#policy.minimum,
      wanted: this.#policy.followsDemand ? demand.wanted(this.#now) : 0,
      bytes: COSTS.memoryBytes,
    }));
    const counts = targets(wishes, { ...this.#budget, takenBytes: taken * COSTS.memoryBytes });
    for (const [index, shelf] of shelves.entries()) shelf.target = counts[index] as number;
  }

  #replan(): void {
    this.#plan();
    for (const shelf of this.#shelves.values()) {
      for (; shelf.idle.length > shelf.target; shelf.idle.length--) this.#compute(COSTS.removeCpuMs, () => {});
      this.#fill(shelf);
    }
  }

  #fill(shelf: Shelf): void {
    for (let missing = shelf.missing; missing > 0; missing--) {
      this.#turns.add(shelf, undefined);
      shelf.creating++;
    }
    this.#create();
  }

  #create(): void {
    for (;;) {
      const turn = this.#turns.begin(this.#now);
      if (!turn) return;
      this.#outcome.created++;
      const begun = this.#now;
      this.#compute(COSTS.createCpuMs, () =>
        this.#after(COSTS.createLatencyMs, () => this.#created(turn, this.#now - begun)),
      );
    }
  }

  #created(turn: Turn<Shelf, undefined>, tookMs: number): void {
    const shelf = turn.line;
    shelf.creating--;
    this.#turns.end(turn);
    this.#pace.ended(shelf.demand.created(tookMs));
    this.#turns.limit = this.#pace.limit;
    const waiter = shelf.waiters.shift();
    if (waiter === undefined) shelf.idle.length++;
    else this.#serve(shelf, waiter.askedAt);
    this.#create();
  }
}

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** 15 people who each work for a while, then don't; who press Run several times while they look for a mistake. */
function teamDay(): Arrival[] {
  const random = seeded(2);
  const arrivals: Arrival[] = [];
  for (let person = 0; person < 15; person++) {
    const runtime = ['python', 'javascript', 'java'][person % 3] as string;
    for (let at = random() * HOUR; at < 8 * HOUR; at += pause(random, 1 / 1_200)) {
      const runs = 1 + Math.floor(random() * 12);
      for (let run = 0; run < runs && at < 8 * HOUR; run++) {
        arrivals.push({ at, runtime });
        at += 2 * SECOND + pause(random, 1 / 20);
      }
    }
  }
  return arrivals;
}

/** Submissions at random, `perSecond` of them for ten minutes. */
function judge(perSecond: number): Arrival[] {
  const random = seeded(3);
  const arrivals: Arrival[] = [];
  for (let at = 0; at < 10 * MINUTE; at += pause(random, perSecond))
    arrivals.push({ at, runtime: random() < 0.6 ? 'python' : 'java' });
  return arrivals;
}

/** A run every ten seconds or so, sometimes twice in a row. */
function onePerson(): Arrival[] {
  const random = seeded(4);
  const arrivals: Arrival[] = [];
  for (let at = 0; at < HOUR; at += 3 * SECOND + pause(random, 1 / 10)) {
    arrivals.push({ at, runtime: 'python' });
    if (random() < 0.2) arrivals.push({ at: at + SECOND, runtime: 'python' });
  }
  return arrivals;
}

async function recorded(file: string): Promise<Arrival[]> {
  const runs = JSON.parse(await readFile(file, 'utf8')) as { createdAt: string; runtime: string }[];
  const times = runs.map(({ createdAt }) => Date.parse(createdAt));
  const begin = Math.min(...times);
  return runs.map(({ runtime }, index) => ({ at: (times[index] as number) - begin, runtime }));
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

function row(scenario: Scenario, machine: Machine, policy: Policy): string {
  const { waits, misses, idleSeconds, mostIdle, created, seconds } = new Simulation(machine, policy).run(
    scenario.arrivals,
  );
  const sorted = waits.toSorted((a, b) => a - b);
  const ms = (part: number) => quantile(sorted, part).toFixed(0);
  const cells = [
    policy.name,
    ms(0.5),
    ms(0.99),
    ms(1),
    `${misses}`,
    idleSeconds.toFixed(0),
    (idleSeconds / seconds).toFixed(1),
    `${mostIdle}`,
    `${created}`,
  ];
  return `| ${cells.join(' | ')} |`;
}

const { values: options } = parseArgs({
  options: {
    trace: { type: 'string' },
    cores: { type: 'string', default: '2' },
    memory: { type: 'string', default: `${24 * 2 ** 30}` },
    concurrency: { type: 'string' },
    'pool-size': { type: 'string', default: '3' },
  },
});
const cores = Number(options.cores);
const machine: Machine = {
  cores,
  memoryBytes: Number(options.memory),
  concurrency: Number(options.concurrency ?? Math.max(2, cores)),
};
const minimum = Number(options['pool-size']);
const policies: Policy[] = [
  { name: `fixed, ${minimum} each`, minimum, followsDemand: false },
  { name: 'fixed, 40 each', minimum: 40, followsDemand: false },
  { name: `demand, at least ${minimum}`, minimum, followsDemand: true },
];
const scenarios: Scenario[] = options.trace
  ? [{ what: options.trace, arrivals: await recorded(options.trace) }]
  : [
      {
        what: 'A lecture: 40 people within 2 s, every 5 minutes for an hour',
        arrivals: lecture({ lengthMs: HOUR, everyMs: 5 * MINUTE }).map((at) => ({ at, runtime: 'python' })),
      },
      { what: 'A day of a team: 15 people, 3 languages', arrivals: teamDay() },
      { what: 'A judge: 2 submissions a second, 2 languages', arrivals: judge(2) },
      { what: 'A judge near what the machine can do: 5 a second', arrivals: judge(5) },
      { what: 'One person', arrivals: onePerson() },
    ];
console.log(`${machine.cores} cores, ${machine.concurrency} creations at once, ${machine.memoryBytes / 2 ** 30} GiB\n`);
for (const scenario of scenarios) {
  console.log(`${scenario.what} (${scenario.arrivals.length} runs)\n`);
  console.log(
    '| policy | wait p50 ms | p99 | most | misses | container-seconds idle | idle on average | most idle | made |',
  );
  console.log('| --- | --: | --: | --: | --: | --: | --: | --: | --: |');
  for (const policy of policies) console.log(row(scenario, machine, policy));
  console.log();
}
