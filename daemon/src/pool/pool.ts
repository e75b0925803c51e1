/**
 * Warm containers: some of each runtime wait, a lease takes one at once, and the pool refills in the background. Where none waits,
 * the lease waits for a new one, which goes before any refill. A container that was used goes to nobody but its owner, who asks for
 * that, once it is proved clean.
 *
 * Start reading at `lease`. Behind it: how many should wait (shelves.ts, demand.ts), making them (creations.ts, turns.ts), the memory
 * for them (room.ts), those that were used (used.ts), and that none stays behind (cleaner.ts).
 */
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { VolumeMount } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import type { CodeRunnerError, PoolStatus } from '../protocol/index.ts';
import type { Images } from '../runtimes/images.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { Cleaner } from './cleaner.ts';
import { Creations } from './creations.ts';
import type { EngineLink } from './engine-link.ts';
import { MemoryBudget } from './memory.ts';
import { Recipes } from './recipes.ts';
import { Room } from './room.ts';
import type { Sandbox } from './sandbox.ts';
import type { Shelf, Waiter } from './shelf.ts';
import { Shelves } from './shelves.ts';
import { Shares } from './turns.ts';
import { UsedSandboxes } from './used.ts';

/** How often it is looked whether fewer should wait than do. */
const REPLAN_MS = 5_000;
/** The rest of the engine's memory is for what runs beside the sandboxes. */
const MEMORY_SHARE = 0.8;

/** A sandbox for one run. Whoever has it must dispose of it. */
export interface Lease extends AsyncDisposable {
  readonly sandbox: Sandbox;
  /** The container was waiting when it was asked for. */
  readonly hit: boolean;
  /** Destroys the container and lets the pool refill. Resolves when it is gone. */
  dispose(): Promise<void>;
  /** Keeps the container for the owner's next run of this kind, in the place of {@link dispose}, where the lease was for that; else destroys it. */
  giveBack(): Promise<void>;
}

export interface LeaseRequest {
  runtime: Runtime;
  owner: string;
  memoryBytes: number;
  /** Installed packages, as a folder of the container. */
  mount?: VolumeMount;
  /**
   * A container that served another run of this kind will do, and may serve the next one: what its owner's runs must have in common for
   * that, beside language and memory. Left out: neither.
   */
  reuse?: string;
  signal: AbortSignal;
}

/** What time it is for the estimate of demand, in milliseconds, and how often it is looked at while nothing comes. */
export interface Timing {
  now(): number;
  replanMs: number;
}

export class Pool {
  readonly #config: Config;
  readonly #link: EngineLink;
  readonly #recipes: Recipes;
  readonly #log: Logger;
  readonly #timing: Timing;
  readonly #shares: Shares;
  readonly #memory: MemoryBudget<Waiter>;
  readonly #shelves: Shelves;
  readonly #cleaner: Cleaner;
  readonly #room: Room;
  readonly #creations: Creations;
  readonly #used: UsedSandboxes;
  #replanning: NodeJS.Timeout | undefined;
  #isClosed = false;

  /**
   * @param options.instance identifies this daemon's data folder; containers that carry it and are not ours now are left-overs
   * @param options.used ids of the runtimes that were used lately: theirs wait from the start, others from their first use on
   */
  constructor(options: {
    config: Config;
    link: EngineLink;
    images: Images;
    instance: string;
    runtimes: readonly Runtime[];
    used: readonly string[];
    log: Logger;
    timing?: Timing;
  }) {
    const { config, link, log } = options;
    this.#config = config;
    this.#link = link;
    this.#log = log;
    this.#timing = options.timing ?? { now: () => performance.now(), replanMs: REPLAN_MS };
    this.#recipes = new Recipes(config, options.instance);
    // More than are made at the same time.
    this.#shares = new Shares(2 * config.createConcurrency);
    this.#memory = new MemoryBudget(this.#shares);
    const parts = { ...options, recipes: this.#recipes, memory: this.#memory, now: () => this.#timing.now() };
    this.#shelves = new Shelves({ ...parts, onExpired: (shelf) => void this.#clear(shelf) });
    this.#cleaner = new Cleaner({
      ...parts,
      whenNoneIsMade: () => this.#creations.idle(),
      whenPresentOnesAreMade: () => this.#creations.presentOnesEnded(),
      onLookedThrough: () => {
        for (const shelf of this.#shelves.known) shelf.resume();
        this.#creations.fillAll();
      },
    });
    this.#room = new Room({
      ...parts,
      shelves: this.#shelves,
      cleaner: this.#cleaner,
      atOnce: config.createConcurrency,
      usedKinds: () => this.#used.kinds,
      giveUpUsed: (kind) => this.#used.giveUp(kind),
      onRoom: () => this.#creations.fillAll(),
    });
    this.#creations = new Creations({
      ...parts,
      shelves: this.#shelves,
      cleaner: this.#cleaner,
      room: this.#room,
      shares: this.#shares,
      most: config.createConcurrency,
    });
    this.#used = new UsedSandboxes({
      keepMs: config.reuseKeep,
      offer: (kind, sandbox) => this.#creations.offer(kind, sandbox),
      remove: (sandbox) => void this.#room.remove(sandbox),
      onUnfit: ({ id }, error) => log.info({ container: id, err: error }, 'a used sandbox is not fit for another run'),
    });
    link.on('up', (engine) => void this.#engineUp(engine));
    link.on('down', (problem) => this.#engineDown(problem));
  }

  /** Why no new sandbox can be had for now, though the engine answers; undefined where one can. */
  get problem(): CodeRunnerError | undefined {
    return this.#creations.problem;
  }

  /** Resolves when a lease that was refused with engine_failing may be tried again. @returns false when the pool was closed before that */
  whenAble(): Promise<boolean> {
    return this.#creations.whenAble();
  }

  /** Removes what an earlier daemon left and starts filling, if the engine is there; else when it comes. */
  async start(): Promise<void> {
    this.#replanning = setInterval(() => this.#replan(), this.#timing.replanMs).unref();
    if (!this.#link.problem) await this.#engineUp(this.#link.engine);
  }

  /**
   * A container for one run: one that the owner has used, where that will do, one that waits, or a new one.
   * @throws CodeRunnerError engine_unavailable, engine_failing, engine_error, runtime_not_built, bad_limit (more memory than there is for all
   * sandboxes); the signal's reason when aborted
   */
  async lease({ runtime, owner, memoryBytes, mount, reuse, signal }: LeaseRequest): Promise<Lease> {
    signal.throwIfAborted();
    const asked = this.#shelves.of(runtime, memoryBytes, mount);
    const kind = reuse === undefined || mount ? undefined : JSON.stringify([owner, asked.image, memoryBytes, reuse]);
    const used = kind === undefined ? undefined : await this.#takeUsed(asked, kind, signal);
    // Only now: the language may have been changed meanwhile.
    const shelf = this.#shelves.of(runtime, memoryBytes, mount);
    if (used) return this.#leaseUsed(shelf, used, owner, kind, signal);
    shelf.demand.arrived(this.#timing.now());
    this.#shelves.plan();
    // The last one is for those who have few.
    const waiting = shelf.idle.length > 1 || !this.#shares.hasMany(owner) ? shelf.idle.shift() : undefined;
    if (waiting) {
      shelf.hits++;
      shelf.leased++;
    } else shelf.misses++;
    this.#shares.asked(owner, this.#timing.now());
    const sandbox =
      waiting ??
      (await this.#creations.wait(shelf, { owner, kind, signal }).catch((error) => {
        this.#shares.gaveUp(owner);
        this.#shelves.forget(shelf);
        throw error;
      }));
    this.#shares.got(owner);
    this.#shelves.served(shelf);
    this.#log.debug({ container: sandbox.id, runtime: runtime.id, owner, hit: waiting !== undefined }, 'leased');
    this.#creations.fillSoon(shelf);
    return this.#leased(shelf, sandbox, { owner, kind, hit: waiting !== undefined });
  }

  async #takeUsed(shelf: Shelf, kind: string, signal: AbortSignal): Promise<Sandbox | undefined> {
    try {
      return await this.#used.take(kind, signal);
    } catch (error) {
      this.#shelves.forget(shelf);
      // The one that was waited for may give way to a run of another kind.
      this.#room.make();
      throw error;
    }
  }

  #leaseUsed(shelf: Shelf, sandbox: Sandbox, owner: string, kind: string | undefined, signal: AbortSignal): Lease {
    if (signal.aborted) {
      this.#shelves.forget(shelf);
      void this.#room.remove(sandbox);
      throw signal.reason;
    }
    this.#shares.asked(owner, this.#timing.now());
    this.#shares.got(owner);
    shelf.leased++;
    this.#log.debug({ container: sandbox.id, runtime: shelf.runtime.id, owner, run: sandbox.runs }, 'leased again');
    return this.#leased(shelf, sandbox, { owner, kind, hit: true });
  }

  #leased(
    shelf: Shelf,
    sandbox: Sandbox,
    { owner, kind, hit }: { owner: string; kind: string | undefined; hit: boolean },
  ): Lease {
    let ended: Promise<void> | undefined;
    const end = (how: () => Promise<void>) => {
      if (!ended) this.#shares.gaveBack(owner);
      ended ??= how();
      return ended;
    };
    const dispose = () => end(() => this.#giveUp(shelf, sandbox));
    const giveBack = () => end(() => this.#keepUsed(shelf, sandbox, kind));
    return { sandbox, hit, dispose, giveBack, [Symbol.asyncDispose]: dispose };
  }

  async #keepUsed(shelf: Shelf, sandbox: Sandbox, kind: string | undefined): Promise<void> {
    const isOver = shelf.retired || this.#isClosed || this.#link.problem !== undefined;
    if (kind === undefined || isOver || sandbox.runs >= this.#config.reuseRuns) return this.#giveUp(shelf, sandbox);
    shelf.leased--;
    this.#shelves.forget(shelf);
    this.#used.keep(kind, sandbox, this.#recipes.nextUser());
    // A run may have come to wait for memory meanwhile.
    this.#room.make();
  }

  /**
   * Takes other languages. What waits in one that is not as it was goes; runs keep what they began with. Resolves when it is
   * gone.
   */
  async update(runtimes: readonly Runtime[]): Promise<void> {
    this.#used.clear();
    const gone = this.#shelves.update(runtimes);
    const going = gone.map((shelf) => this.#empty(shelf));
    this.#replan();
    await Promise.all(going);
  }

  status(): PoolStatus {
    const problem = this.#link.problem;
    const failing = problem ?? this.problem;
    return {
      engine: {
        state: problem ? 'down' : 'up',
        name: problem ? '' : this.#link.engine.name,
        problem: failing?.message ?? null,
      },
      runtimes: this.#shelves.standard.map((shelf) => ({
        runtime: shelf.runtime.id,
        least: shelf.least,
        wanted: this.#shelves.wanted(shelf),
        target: shelf.target,
        idle: shelf.idle.length,
        creating: shelf.creating,
        leased: shelf.leased,
        hits: shelf.hits,
        misses: shelf.misses,
        creationMs: shelf.demand.creationMs === undefined ? null : Math.round(shelf.demand.creationMs),
        problem: shelf.problem?.message ?? null,
      })),
      withPackages: this.#shelves.current.reduce((sum, { mount, idle }) => sum + (mount ? idle.length : 0), 0),
      used: this.#used.count,
    };
  }

  /** Fails what waits and removes what nobody has leased; leases go on. */
  close(): void {
    this.#isClosed = true;
    this.#shelves.close();
    this.#creations.close();
    this.#used.clear();
    clearInterval(this.#replanning);
    this.#cleaner.close();
    for (const shelf of this.#shelves.known) void this.#empty(shelf);
  }

  /** Closes, and resolves when every container of ours is gone; to be called when all leases have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#creations.idle();
    await this.#cleaner.finish();
  }

  /**
   * Takes room in the memory of all sandboxes for something else, in its turn; containers that only wait give way to it. What is more than there
   * is in all takes all of it.
   * @returns to be disposed of when the room is free again
   * @throws the signal's reason when aborted
   */
  reserve(bytes: number, signal: AbortSignal): Promise<Disposable> {
    return this.#room.reserve(bytes, signal);
  }

  /**
   * Lets nothing with that volume wait any more. Resolves when no container has it.
   * @returns false where a run uses it
   */
  async retire(volume: string): Promise<boolean> {
    const shelves = this.#shelves.known.filter(({ mount }) => mount?.volume === volume);
    if (shelves.some((shelf) => shelf.leased + shelf.waiters.length > 0)) return false;
    for (const shelf of shelves) shelf.stopWaiting();
    await Promise.all(shelves.map((shelf) => this.#clear(shelf)));
    // Those of runs that have just ended.
    await this.#cleaner.settled();
    return !shelves.some((shelf) => shelf.isBusy);
  }

  #empty(shelf: Shelf): Promise<unknown> {
    return Promise.all(shelf.idle.splice(0).map((sandbox) => this.#room.remove(sandbox)));
  }

  /** Removes what waits, and what is being made when it comes. */
  async #clear(shelf: Shelf): Promise<void> {
    this.#creations.dropSurplus(shelf);
    await this.#empty(shelf);
    if (shelf.creating > 0) await this.#creations.idle(shelf);
    this.#shelves.forget(shelf);
  }

  /** Plans, and does at once what follows: those that are too many go, those that are missing are made. */
  #replan(): void {
    this.#shelves.plan();
    for (const shelf of this.#shelves.current) {
      for (const sandbox of shelf.idle.splice(shelf.target)) void this.#room.remove(sandbox);
      this.#creations.fill(shelf);
    }
  }

  async #giveUp(shelf: Shelf, sandbox: Sandbox): Promise<void> {
    shelf.leased--;
    this.#shelves.forget(shelf);
    await this.#room.remove(sandbox);
  }

  async #engineUp(engine: Engine): Promise<void> {
    if (this.#cleaner.knows(engine)) return;
    this.#memory.most = this.#config.memoryBudget || Math.floor(engine.memoryBytes * MEMORY_SHARE);
    this.#memory.admit();
    this.#creations.engineUp(engine);
    this.#shelves.plan();
    // Nothing is made before what is left over is known; then all shelves are filled.
    await this.#cleaner.engineUp(engine);
  }

  #engineDown(problem: CodeRunnerError): void {
    this.#log.error({ err: problem }, 'the container engine is gone');
    this.#cleaner.engineDown(this.#creations.areUnderWay);
    this.#creations.engineDown(problem);
    this.#used.clear();
    for (const shelf of this.#shelves.known) for (const sandbox of shelf.idle.splice(0)) this.#room.lose(sandbox);
  }
}
