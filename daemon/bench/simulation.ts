/**
 * A pool, its engine and its runs as numbers only, on a clock of their own: the pool's arithmetic (daemon/src/pool/demand.ts, turns.ts,
 * memory.ts) against arrivals.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Demand, Pace, targets } from '../src/pool/demand.ts';
import { MemoryBudget } from '../src/pool/memory.ts';
import { type Line, Shares, type Turn, Turns } from '../src/pool/turns.ts';
import type { Arrival } from './arrivals.ts';

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
};
/** Of a container, its limit, which is what it counts. */
const memoryOf = (runtime: string) => (COMPILED.has(runtime) ? 512 : 256) * 2 ** 20;
const COMPILED = new Set(['cpp', 'java', 'rust']);
/** As in the pool. */
const REFILL_DELAY_MS = 250;
const REPLAN_MS = 5_000;
const MEMORY_SHARE = 0.8;

const NEVER = new AbortController().signal;

export interface Machine {
  cores: number;
  memoryBytes: number;
  concurrency: number;
}

/** How many should wait: always as many, or as the pool decides, never fewer than that. */
export interface Policy {
  name: string;
  minimum: number;
  followsDemand: boolean;
}

export interface Outcome {
  /** How long each run waited for a container, in milliseconds, in no order. */
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

/** A run that waits for a container. */
interface Waiter {
  owner: string;
  askedAt: number;
}

/** The containers of one runtime. */
class Shelf implements Line {
  readonly memoryBytes: number;
  readonly demand = new Demand();
  readonly waiters: Waiter[] = [];
  creating = 0;
  readonly idle = { length: 0 };
  target = 0;
  leased = 0;
  paused = false;

  constructor(runtime: string) {
    this.memoryBytes = memoryOf(runtime);
  }

  /** Those still to be begun. */
  get missing(): number {
    return Math.max(0, this.waiters.length + (this.paused ? 0 : this.target - this.idle.length) - this.creating);
  }
}

/** The pool, its engine and its runs, on a clock of its own. */
export class Simulation {
  readonly #machine: Machine;
  readonly #policy: Policy;
  readonly #memory: MemoryBudget;
  /** Of containers that are being removed. */
  #leavingBytes = 0;
  /** A refill found no room. */
  #starved = false;
  readonly #pace: Pace;
  readonly #shelves = new Map<string, Shelf>();
  readonly #timers: { at: number; then(): void }[] = [];
  readonly #jobs = new Set<Job>();
  readonly #shares: Shares;
  readonly #turns: Turns<Shelf, undefined>;
  readonly #outcome: Outcome = { waits: [], misses: 0, idleSeconds: 0, mostIdle: 0, created: 0, seconds: 0 };
  #now = 0;

  constructor(machine: Machine, policy: Policy) {
    this.#machine = machine;
    this.#policy = policy;
    this.#shares = new Shares(2 * machine.concurrency);
    this.#memory = new MemoryBudget(this.#shares);
    this.#memory.most = machine.memoryBytes * MEMORY_SHARE;
    this.#pace = new Pace({ least: machine.cores, most: machine.concurrency });
    this.#turns = new Turns(this.#shares, machine.concurrency);
  }

  async run(arrivals: readonly Arrival[]): Promise<Outcome> {
    const end = Math.max(0, ...arrivals.map(({ at }) => at));
    for (const { runtime } of arrivals) if (!this.#shelves.has(runtime)) this.#shelves.set(runtime, new Shelf(runtime));
    for (const shelf of this.#shelves.values())
      while (shelf.idle.length < this.#policy.minimum && this.#memory.tryTake(shelf.memoryBytes)) shelf.idle.length++;
    for (const { at, runtime, owner } of arrivals)
      this.#at(at, () => this.#lease(this.#shelves.get(runtime) as Shelf, owner));
    for (let at = 0; at < end; at += REPLAN_MS) this.#at(at, () => this.#replan());
    this.#timers.sort((a, b) => b.at - a.at);
    while (this.#outcome.waits.length < arrivals.length) {
      this.#step();
      await turn(); // whoever got memory goes on
    }
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

  #lease(shelf: Shelf, owner: string): void {
    shelf.demand.arrived(this.#now);
    this.#plan();
    const forMany = this.#shares.hasMany(owner);
    this.#shares.asked(owner, this.#now);
    const waiter = { owner, askedAt: this.#now };
    if (shelf.idle.length > (forMany ? 1 : 0)) {
      shelf.idle.length--;
      this.#serve(shelf, waiter);
    } else {
      this.#outcome.misses++;
      shelf.waiters.push(waiter);
      this.#fill(shelf);
    }
  }

  #serve(shelf: Shelf, { owner, askedAt }: Waiter): void {
    this.#outcome.waits.push(this.#now - askedAt);
    shelf.leased++;
    this.#shares.got(owner);
    if (!shelf.paused) {
      shelf.paused = true;
      this.#after(REFILL_DELAY_MS, () => {
        shelf.paused = false;
        this.#fill(shelf);
      });
    }
    this.#compute(COSTS.runCpuMs, () => {
      shelf.leased--;
      this.#shares.gaveBack(owner);
      this.#remove(shelf);
    });
  }

  #plan(): void {
    const shelves = [...this.#shelves.values()];
    const takenBytes = shelves.reduce(
      (sum, { leased, waiters, memoryBytes }) => sum + (leased + waiters.length) * memoryBytes,
      0,
    );
    const wishes = shelves.map(({ demand, memoryBytes }) => ({
      minimum: this.#policy.minimum,
      wanted: this.#policy.followsDemand ? demand.wanted(this.#now) : 0,
      askedAt: demand.askedAt,
      bytes: memoryBytes,
    }));
    const counts = targets(wishes, { bytes: this.#memory.most, takenBytes });
    for (const [index, shelf] of shelves.entries()) shelf.target = counts[index] as number;
  }

  #replan(): void {
    this.#plan();
    for (const shelf of this.#shelves.values()) {
      for (; shelf.idle.length > shelf.target; shelf.idle.length--) this.#remove(shelf);
      this.#fill(shelf);
    }
  }

  #fill(shelf: Shelf): void {
    for (let missing = shelf.missing; missing > 0; missing--) {
      const forRun = shelf.waiters.length > shelf.creating;
      if (!forRun && !this.#memory.tryTake(shelf.memoryBytes)) {
        this.#starved = true;
        break;
      }
      shelf.creating++;
      if (forRun) void this.#admit(shelf);
      else this.#turns.add(shelf, undefined);
    }
    this.#create();
  }

  async #admit(shelf: Shelf): Promise<void> {
    const room = this.#memory.take(shelf.memoryBytes, NEVER, shelf);
    this.#makeRoom();
    await room;
    this.#turns.add(shelf, undefined);
    this.#create();
  }

  #makeRoom(): void {
    const first = this.#memory.first(this.#machine.concurrency);
    const wanted = first.reduce((sum, { bytes }) => sum + bytes, 0);
    while (first.length > 0 && wanted > this.#memory.free + this.#leavingBytes) {
      const [fullest] = [...this.#shelves.values()].sort((a, b) => b.idle.length - a.idle.length);
      if (!fullest || fullest.idle.length === 0) return;
      fullest.idle.length--;
      this.#remove(fullest);
    }
  }

  #remove({ memoryBytes }: Shelf): void {
    this.#leavingBytes += memoryBytes;
    this.#compute(COSTS.removeCpuMs, () => {
      this.#leavingBytes -= memoryBytes;
      this.#memory.giveBack(memoryBytes);
      this.#makeRoom();
      if (!this.#starved) return;
      this.#starved = false;
      for (const shelf of this.#shelves.values()) this.#fill(shelf);
    });
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
    const waiter = shelf.waiters.find(({ owner }) => owner === turn.owner) ?? this.#shares.first<Waiter>(shelf.waiters);
    if (waiter) {
      shelf.waiters.splice(shelf.waiters.indexOf(waiter), 1);
      this.#serve(shelf, waiter);
    } else {
      shelf.idle.length++;
      this.#makeRoom();
    }
    this.#create();
  }
}
