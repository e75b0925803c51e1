/**
 * Warm containers: some of each runtime wait, a lease takes one at once, and the pool refills in the background. Where none waits,
 * the lease waits for a new one, which goes before any refill.
 *
 * Start reading at `lease`. A container that was used goes to nobody but its owner, who asks for that, once it is proved clean: used.ts.
 */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { AgentGone } from '../agent/agent.ts';
import type { Config } from '../config.ts';
import type { ContainerSpec, VolumeMount } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { CodeRunnerError, formatBytes, type PoolStatus } from '../protocol/index.ts';
import type { Images } from '../runtimes/images.ts';
import { type Runtime, withServices } from '../runtimes/runtime.ts';
import { imageName } from '../runtimes/service.ts';
import { Breaker } from './breaker.ts';
import { Cleaner } from './cleaner.ts';
import { Pace, targets } from './demand.ts';
import type { EngineLink } from './engine-link.ts';
import { MemoryBudget } from './memory.ts';
import { Recipes } from './recipes.ts';
import { mostMemory, Sandbox } from './sandbox.ts';
import { Shelf, type Waiter } from './shelf.ts';
import { Shares, type Turn, Turns } from './turns.ts';
import { UsedSandboxes } from './used.ts';

/**
 * A refill waits this long after a lease, even one that has ended, so that it takes no processor time from the run that a person waits
 * for, nor from showing what it printed. Whoever waits for a container is not kept waiting by it.
 */
const REFILL_DELAY_MS = 250;
/** How often it is looked whether fewer should wait than do. */
const REPLAN_MS = 5_000;
/** The rest of the engine's memory is for what runs beside the sandboxes. */
const MEMORY_SHARE = 0.8;

/** Shelves of packages and services that wait at the same time; the one that was used least recently gives way. */
const MOST_KEPT = 4;

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

/** A container that is to be made. */
interface Creation {
  spec: ContainerSpec;
  /** It was asked for because a run waits; whoever gets it may be another. */
  forRun: boolean;
}

export class Pool {
  readonly #config: Config;
  readonly #link: EngineLink;
  readonly #images: Images;
  readonly #cleaner: Cleaner;
  readonly #recipes: Recipes;
  readonly #log: Logger;
  readonly #shares: Shares;
  readonly #used: UsedSandboxes;
  readonly #turns: Turns<Shelf, Creation>;
  #pace: Pace;
  readonly #timing: Timing;
  #replanning: NodeJS.Timeout | undefined;
  /** Names of the images of languages as they are. */
  #languages: ReadonlySet<string>;
  readonly #shelves = new Map<string, Shelf>();
  readonly #retired = new Set<Shelf>();
  readonly #stop = new AbortController();
  readonly #memory = new MemoryBudget();
  /** Memory of what is no sandbox for a run. */
  #reservedBytes = 0;
  /** A refill found no room. */
  #starved = false;
  readonly #breaker = new Breaker();
  /** Aborted when the engine goes away. */
  #engineGone = new AbortController();

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
    this.#config = options.config;
    this.#link = options.link;
    this.#images = options.images;
    this.#recipes = new Recipes(options.config, options.instance);
    this.#log = options.log;
    this.#timing = options.timing ?? { now: () => performance.now(), replanMs: REPLAN_MS };
    const most = options.config.createConcurrency;
    // More than are made at the same time.
    this.#shares = new Shares(2 * most);
    this.#turns = new Turns(this.#shares, most);
    this.#pace = new Pace({ least: most, most });
    this.#cleaner = new Cleaner({
      ...options,
      whenNoneIsMade: () => this.#turns.idle(),
      onLookedThrough: () => {
        for (const shelf of this.#known) shelf.resume();
        this.#fillAll();
      },
    });
    this.#languages = new Set(options.runtimes.map(imageName));
    this.#used = new UsedSandboxes({
      keepMs: options.config.reuseKeep,
      offer: (kind, sandbox) => this.#serveByUsed(kind, sandbox),
      remove: (sandbox) => void this.#remove(sandbox),
      onUnfit: ({ id }, error) =>
        this.#log.info({ container: id, err: error }, 'a used sandbox is not fit for another run'),
    });
    const { poolPrewarm, poolSize } = options.config;
    for (const runtime of options.runtimes) {
      const shelf = this.#shelf(runtime, runtime.limits.memoryBytes);
      const waits = [...options.used, ...poolPrewarm].some((name) => name === runtime.id || name === 'all');
      shelf.least = waits ? poolSize : 0;
    }
    this.#plan();
    this.#link.on('up', (engine) => void this.#engineUp(engine));
    this.#link.on('down', (problem) => this.#engineDown(problem));
    this.#breaker.on('open', (problem) => {
      this.#log.error({ err: problem }, 'the container engine fails: nothing is asked of it for a while');
      for (const shelf of this.#known) for (const waiter of shelf.waiters.splice(0)) waiter.reject(problem);
    });
  }

  /** Why no new sandbox can be had for now, though the engine answers; undefined where one can. */
  get problem(): CodeRunnerError | undefined {
    return this.#breaker.problem;
  }

  /** Resolves when a lease that was refused with engine_failing may be tried again. @returns false when the pool was closed before that */
  async whenAble(): Promise<boolean> {
    try {
      // Never at once: whoever was refused has to be back in the queue first.
      if (this.problem) await once(this.#breaker, 'able', { signal: this.#stop.signal });
      else await turn();
      return true;
    } catch {
      return false;
    }
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
    const shelf = this.#shelf(runtime, memoryBytes, mount);
    const kind = reuse === undefined || mount ? undefined : JSON.stringify([owner, shelf.image, memoryBytes, reuse]);
    const used = kind === undefined ? undefined : await this.#used.take(kind);
    if (used) return this.#leaseUsed(shelf, used, owner, kind, signal);
    shelf.demand.arrived(this.#timing.now());
    this.#plan();
    // The last one is for those who have few.
    const waiting = shelf.idle.length > 1 || !this.#shares.hasMany(owner) ? shelf.idle.shift() : undefined;
    if (waiting) shelf.hits++;
    else shelf.misses++;
    this.#shares.asked(owner, this.#timing.now());
    const sandbox =
      waiting ??
      (await this.#wait(shelf, { owner, kind, signal }).catch((error) => {
        this.#shares.gaveUp(owner);
        throw error;
      }));
    this.#shares.got(owner);
    shelf.leased++;
    this.#keep(shelf);
    this.#log.debug({ container: sandbox.id, runtime: runtime.id, owner, hit: waiting !== undefined }, 'leased');
    this.#delayRefill(shelf, REFILL_DELAY_MS);
    return this.#leased(shelf, sandbox, { owner, kind, hit: waiting !== undefined });
  }

  #leaseUsed(shelf: Shelf, sandbox: Sandbox, owner: string, kind: string | undefined, signal: AbortSignal): Lease {
    if (signal.aborted) {
      this.#remove(sandbox);
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
    const isOver = shelf.retired || this.#stop.signal.aborted || this.#link.problem !== undefined;
    if (kind === undefined || isOver || sandbox.runs >= this.#config.reuseRuns) return this.#giveUp(shelf, sandbox);
    shelf.leased--;
    this.#forget(shelf);
    this.#used.keep(kind, sandbox, this.#recipes.nextUser());
    // A run may have come to wait for memory meanwhile.
    this.#makeRoom();
  }

  /** Whoever waits for a new one takes a used one, where it comes sooner. */
  #serveByUsed(kind: string, sandbox: Sandbox): boolean {
    for (const { waiters } of this.#known) {
      const at = waiters.findIndex((waiter) => waiter.kind === kind);
      if (at === -1) continue;
      for (const waiter of waiters.splice(at, 1)) waiter.resolve(sandbox);
      return true;
    }
    return false;
  }

  /**
   * Takes other languages. What waits in one that is not as it was goes; runs keep what they began with. Resolves when it is
   * gone.
   */
  async update(runtimes: readonly Runtime[]): Promise<void> {
    this.#used.clear();
    this.#languages = new Set(runtimes.map(imageName));
    const going: Promise<unknown>[] = [];
    for (const [key, shelf] of this.#shelves) {
      const now = runtimes.find(({ id }) => id === shelf.runtime.id);
      if (now && this.#isAsBefore(shelf, now)) {
        // Its image may have been built meanwhile.
        shelf.resume();
        this.#fill(shelf);
        continue;
      }
      const { least, demand } = shelf;
      this.#shelves.delete(key);
      going.push(this.#retire(shelf));
      if (now && shelf.isStandard) Object.assign(this.#shelf(now, now.limits.memoryBytes), { least, demand });
    }
    for (const runtime of runtimes) this.#shelf(runtime, runtime.limits.memoryBytes);
    this.#replan();
    await Promise.all(going);
  }

  #isAsBefore({ runtime, image }: Shelf, now: Runtime): boolean {
    const withItsServices = withServices(
      now,
      runtime.services.map(({ id }) => id),
    );
    return isDeepStrictEqual(withItsServices, runtime) && this.#images.tag(withItsServices) === image;
  }

  #retire(shelf: Shelf): Promise<unknown> {
    shelf.retired = true;
    shelf.stopWaiting();
    shelf.resume();
    if (shelf.isBusy) this.#retired.add(shelf);
    return Promise.all(shelf.idle.splice(0).map((sandbox) => this.#remove(sandbox)));
  }

  #forget(shelf: Shelf): void {
    if (!shelf.isBusy) this.#retired.delete(shelf);
  }

  /** All that something may still happen to. */
  get #known(): Shelf[] {
    return [...this.#shelves.values(), ...this.#retired];
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
      runtimes: this.#standardShelves().map((shelf) => ({
        runtime: shelf.runtime.id,
        least: shelf.least,
        wanted: this.#wanted(shelf),
        target: shelf.target,
        idle: shelf.idle.length,
        creating: shelf.creating,
        leased: shelf.leased,
        hits: shelf.hits,
        misses: shelf.misses,
        creationMs: shelf.demand.creationMs === undefined ? null : Math.round(shelf.demand.creationMs),
        problem: shelf.problem?.message ?? null,
      })),
      withPackages: [...this.#shelves.values()].reduce((sum, { mount, idle }) => sum + (mount ? idle.length : 0), 0),
      used: this.#used.count,
    };
  }

  /** Fails what waits and removes what nobody has leased; leases go on. */
  close(): void {
    this.#stop.abort(new CodeRunnerError('shutting_down', 'The daemon is stopping.'));
    this.#breaker[Symbol.dispose]();
    this.#used.clear();
    clearInterval(this.#replanning);
    this.#cleaner.close();
    for (const shelf of this.#known) {
      shelf.resume();
      clearTimeout(shelf.expiry);
      for (const waiter of shelf.waiters.splice(0)) waiter.reject(this.#stop.signal.reason);
      for (const sandbox of shelf.idle.splice(0)) this.#remove(sandbox);
    }
  }

  /** Closes, and resolves when every container of ours is gone; to be called when all leases have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#turns.idle();
    await this.#cleaner.finish();
  }

  /**
   * Takes room in the memory of all sandboxes for something else, in its turn; containers that only wait give way to it. What is more than there
   * is in all takes all of it.
   * @returns to be disposed of when the room is free again
   * @throws the signal's reason when aborted
   */
  async reserve(bytes: number, signal: AbortSignal): Promise<Disposable> {
    const taken = Math.min(bytes, this.#memory.most);
    const room = this.#memory.take(taken, signal);
    this.#makeRoom();
    await room;
    this.#reservedBytes += taken;
    return {
      [Symbol.dispose]: () => {
        this.#reservedBytes -= taken;
        this.#free(taken);
      },
    };
  }

  /**
   * Lets nothing with that volume wait any more. Resolves when no container has it.
   * @returns false where a run uses it
   */
  async retire(volume: string): Promise<boolean> {
    const shelves = this.#known.filter(({ mount }) => mount?.volume === volume);
    if (shelves.some((shelf) => shelf.leased + shelf.waiters.length > 0)) return false;
    for (const shelf of shelves) shelf.stopWaiting();
    await Promise.all(shelves.map((shelf) => this.#clear(shelf)));
    // Those of runs that have just ended.
    await this.#cleaner.settled();
    return !shelves.some((shelf) => shelf.isBusy);
  }

  #shelf(runtime: Runtime, memoryBytes: number, mount?: VolumeMount): Shelf {
    const name = imageName(runtime);
    const key = [name, memoryBytes, mount?.volume].join(' ');
    let shelf = this.#shelves.get(key);
    if (!shelf) {
      shelf = new Shelf(runtime, this.#images.tag(runtime), memoryBytes, mount, this.#languages.has(name));
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  /** A language that is used waits in full from now on, what a run added to it with one container for a while. */
  #keep(shelf: Shelf): void {
    const { poolSize, poolKeep } = this.#config;
    if (shelf.retired) return;
    if (shelf.isStandard && shelf.least !== poolSize) {
      shelf.least = poolSize;
      this.#plan();
    }
    if (shelf.isStandard || shelf.memoryBytes !== shelf.runtime.limits.memoryBytes) return;
    clearTimeout(shelf.expiry);
    if (this.#stop.signal.aborted) return;
    shelf.least = Math.min(1, poolSize);
    shelf.expiry = setTimeout(() => this.#expire(shelf), poolKeep);
    // In the order of their last use, so that the first is the one to give way.
    const key = [...this.#shelves].find(([, one]) => one === shelf)?.[0] as string;
    this.#shelves.delete(key);
    this.#shelves.set(key, shelf);
    const kept = [...this.#shelves.values()].filter((one) => !one.isStandard && one.least > 0);
    for (const oldest of kept.slice(0, -MOST_KEPT)) this.#expire(oldest);
    this.#plan();
  }

  #expire(shelf: Shelf): void {
    shelf.stopWaiting();
    void this.#clear(shelf);
  }

  /** Removes what waits, and what is being made when it comes. */
  async #clear(shelf: Shelf): Promise<void> {
    await Promise.all(shelf.idle.splice(0).map((sandbox) => this.#remove(sandbox)));
    if (shelf.creating > 0) await this.#turns.idle();
    if (shelf.least > 0 || shelf.isBusy || shelf.isStandard) return;
    for (const [key, one] of this.#shelves) if (one === shelf) this.#shelves.delete(key);
  }

  #wanted({ followsDemand, least, demand }: Shelf): number {
    return followsDemand ? Math.max(least, demand.wanted(this.#timing.now())) : least;
  }

  /** Says how many should wait from now on, by what came lately and the memory that there is. */
  #plan(): void {
    const shelves = [...this.#shelves.values()];
    const wishes = shelves.map((shelf) => ({
      minimum: shelf.least,
      wanted: this.#wanted(shelf),
      bytes: this.#recipes.bytes(shelf),
    }));
    const forRuns = this.#known.map((shelf) => (shelf.leased + shelf.waiters.length) * this.#recipes.bytes(shelf));
    const takenBytes = forRuns.reduce((sum, bytes) => sum + bytes, 0) + this.#reservedBytes;
    const { most } = this.#memory;
    const counts = targets(wishes, Number.isFinite(most) ? { bytes: most, takenBytes } : undefined);
    for (const [index, shelf] of shelves.entries()) shelf.target = counts[index] as number;
  }

  /** Plans, and does at once what follows: those that are too many go, those that are missing are made. */
  #replan(): void {
    this.#plan();
    for (const shelf of this.#shelves.values()) {
      for (const sandbox of shelf.idle.splice(shelf.target)) this.#remove(sandbox);
      this.#fill(shelf);
    }
  }

  /** One per runtime, as people know them; sizes that single runs asked for are not listed. */
  #standardShelves(): Shelf[] {
    return [...this.#shelves.values()].filter((shelf) => shelf.isStandard);
  }

  /** @param owner whom one was made for */
  #nextWaiter({ waiters }: Shelf, owner: string | undefined): Waiter | undefined {
    const next = waiters.find((waiter) => waiter.owner === owner) ?? this.#shares.first(waiters);
    if (next) waiters.splice(waiters.indexOf(next), 1);
    return next;
  }

  #wait(
    shelf: Shelf,
    { owner, kind, signal }: { owner: string; kind: string | undefined; signal: AbortSignal },
  ): Promise<Sandbox> {
    return new Promise((resolve, reject) => {
      if (this.#stop.signal.aborted) return reject(this.#stop.signal.reason);
      const problem = this.#link.problem;
      if (problem) return reject(problem);
      const bytes = this.#recipes.bytes(shelf);
      if (bytes > this.#memory.most) return reject(tooMuchMemory(bytes, this.#memory.most));
      this.#breaker.enter();
      const settled = () => signal.removeEventListener('abort', aborted);
      const waiter: Waiter = {
        owner,
        kind,
        resolve: (sandbox) => {
          settled();
          resolve(sandbox);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const aborted = () => {
        shelf.waiters.splice(shelf.waiters.indexOf(waiter), 1);
        reject(signal.reason);
      };
      signal.addEventListener('abort', aborted, { once: true });
      shelf.waiters.push(waiter);
      this.#fill(shelf);
    });
  }

  /** Starts as many creations as are missing; they wait for memory, those that a run waits for in turn, and for their turn. */
  #fill(shelf: Shelf): void {
    if (this.#stop.signal.aborted || this.#link.problem || this.#cleaner.isSweeping) return;
    for (let missing = shelf.missing; missing > 0; missing--) {
      const forRun = shelf.waiters.length > shelf.creating;
      const spec = this.#recipes.next(shelf);
      if (!forRun && !this.#memory.tryTake(mostMemory(spec))) {
        this.#starved = true;
        break;
      }
      shelf.creating++;
      if (forRun) void this.#admit(shelf, spec);
      else this.#turns.add(shelf, { spec, forRun });
    }
    // Also where none was missing: whoever has come to wait may use a place that others may not.
    this.#makeNext();
  }

  #fillAll(): void {
    for (const shelf of this.#known) this.#fill(shelf);
  }

  async #admit(shelf: Shelf, spec: ContainerSpec): Promise<void> {
    const room = this.#memory.take(mostMemory(spec), AbortSignal.any([this.#stop.signal, this.#engineGone.signal]));
    this.#makeRoom();
    try {
      await room;
    } catch {
      // Whoever waited was told why.
      shelf.creating--;
      this.#breaker.leave();
      return;
    }
    this.#turns.add(shelf, { spec, forRun: true });
    this.#makeNext();
  }

  #makeNext(): void {
    for (;;) {
      const turn = this.#turns.begin(this.#timing.now());
      if (!turn) return;
      void this.#make(turn)
        .catch((error) => this.#log.error({ err: error }, 'creation failed oddly'))
        .finally(() => {
          this.#turns.end(turn);
          this.#makeNext();
        });
    }
  }

  async #make({ line: shelf, task: { spec, forRun }, owner }: Turn<Shelf, Creation>): Promise<void> {
    const isRefused = forRun && shelf.waiters.length === 0 && this.problem;
    if (!isRefused && !shelf.hasSurplus) return this.#create(shelf, spec, owner);
    shelf.creating--;
    if (forRun) this.#breaker.leave();
    this.#free(mostMemory(spec));
  }

  async #create(shelf: Shelf, spec: ContainerSpec, owner: string | undefined): Promise<void> {
    let sandbox: Sandbox;
    const begun = performance.now();
    try {
      sandbox = await Sandbox.create(this.#link.engine, spec, this.#stop.signal);
    } catch (error) {
      shelf.creating--;
      this.#free(mostMemory(spec));
      if (!this.#stop.signal.aborted) await this.#creationFailed(shelf, error as Error);
      return;
    }
    this.#pace.ended(shelf.demand.created(performance.now() - begun));
    this.#turns.limit = this.#pace.limit;
    shelf.creating--;
    shelf.worked();
    this.#breaker.succeeded();
    if (this.#stop.signal.aborted) return this.#remove(sandbox);
    this.#cleaner.spare(sandbox);
    shelf.keptLast = this.#keepsForOthers(shelf, sandbox);
    if (shelf.keptLast) {
      this.#putAside(shelf, sandbox);
      return this.#fill(shelf);
    }
    const waiter = this.#nextWaiter(shelf, owner);
    if (waiter) return waiter.resolve(sandbox);
    // Whoever it was made for has given up.
    if (shelf.idle.length >= shelf.target) {
      this.#forget(shelf);
      return this.#remove(sandbox);
    }
    this.#putAside(shelf, sandbox);
  }

  #putAside(shelf: Shelf, sandbox: Sandbox): void {
    shelf.idle.push(sandbox);
    void sandbox.agent.closed.then(() => this.#idleDied(shelf, sandbox));
    // A run may have come to wait for memory while this one was being made.
    this.#makeRoom();
  }

  /**
   * Where only those wait who have many already, the first that is made is for whoever comes; where there is memory for one more, and not
   * twice in a row, so that they get theirs too.
   */
  #keepsForOthers({ idle, target, waiters, keptLast }: Shelf, { memoryBytes }: Sandbox): boolean {
    if (keptLast || idle.length > 0 || target === 0 || waiters.length === 0) return false;
    return this.#memory.fits(memoryBytes) && waiters.every(({ owner }) => this.#shares.hasMany(owner));
  }

  async #creationFailed(shelf: Shelf, error: Error): Promise<void> {
    this.#link.suspect();
    this.#images.doubt(shelf.runtime);
    const built = this.#link.problem || (await this.#images.state(shelf.runtime).catch(() => 'ready')) === 'ready';
    shelf.problem = built
      ? error instanceof CodeRunnerError
        ? error
        : new CodeRunnerError('engine_error', `No ${shelf.runtime.name} sandbox could be started: ${error.message}`, {
            cause: error,
          })
      : new CodeRunnerError('runtime_not_built', `The image of ${shelf.runtime.name} has not been built yet.`);
    const retryMs = this.#backOff(shelf);
    this.#log.warn({ runtime: shelf.runtime.id, err: shelf.problem, retryMs }, 'no sandbox could be created');
    if (!built) {
      this.#breaker.succeeded(); // the engine does what it can
      for (const waiter of shelf.waiters.splice(0)) waiter.reject(shelf.problem);
      return;
    }
    // For each that waits a creation is under way: this one's failure is no other's.
    const waiter = shelf.waiters[0];
    // Nothing ran in a container that somebody ended while it was made; who waits for it gets another chance, but not a third.
    const again = waiter !== undefined && error instanceof AgentGone && !waiter.missedOne;
    if (again) waiter.missedOne = true;
    else shelf.waiters.shift()?.reject(shelf.problem);
    // One that does not answer is the link's to find and to wait for.
    if (shelf.problem instanceof CodeRunnerError && shelf.problem.code === 'engine_unavailable') this.#breaker.leave();
    else this.#breaker.failed(shelf.problem);
    if (again) this.#fill(shelf);
  }

  /** Room for what runs wait for: containers that only wait give way. */
  #makeRoom(): void {
    while (this.#memory.short > this.#cleaner.leavingBytes) {
      if (this.#used.giveUpOne()) continue;
      const largest = this.#known.reduce<Shelf | undefined>(
        (most, shelf) => (shelf.idle.length > (most?.idle.length ?? 0) ? shelf : most),
        undefined,
      );
      const sandbox = largest?.idle.shift();
      if (!sandbox) return;
      this.#remove(sandbox);
    }
  }

  #free(bytes: number): void {
    this.#memory.giveBack(bytes);
    this.#makeRoom();
    if (!this.#starved) return;
    this.#starved = false;
    this.#fillAll();
  }

  /** Someone removed a waiting container, or it died: another takes its place, but not at once. */
  #idleDied(shelf: Shelf, sandbox: Sandbox): void {
    const at = shelf.idle.indexOf(sandbox);
    if (at === -1) return;
    shelf.idle.splice(at, 1);
    this.#log.warn({ container: sandbox.id, runtime: shelf.runtime.id }, 'a waiting sandbox died');
    this.#remove(sandbox);
    this.#link.suspect();
    this.#backOff(shelf);
  }

  async #giveUp(shelf: Shelf, sandbox: Sandbox): Promise<void> {
    shelf.leased--;
    this.#forget(shelf);
    await this.#remove(sandbox);
  }

  #remove(sandbox: Sandbox): Promise<void> {
    return this.#cleaner.remove(sandbox, () => this.#free(sandbox.memoryBytes));
  }

  #delayRefill(shelf: Shelf, delayMs: number): void {
    if (shelf.pause || this.#stop.signal.aborted) return;
    shelf.pause = setTimeout(() => {
      shelf.resume();
      this.#fill(shelf);
    }, delayMs);
  }

  /** After a failure: no refill for a while, each time longer. Those that fail together are one failure. @returns the pause */
  #backOff(shelf: Shelf): number {
    if (shelf.backOffMs !== undefined) return shelf.backOffMs;
    const pauseMs = shelf.backOff();
    this.#delayRefill(shelf, pauseMs);
    return pauseMs;
  }

  async #engineUp(engine: Engine): Promise<void> {
    if (this.#cleaner.knows(engine)) return;
    this.#engineGone = new AbortController();
    this.#memory.most = this.#config.memoryBudget || Math.floor(engine.memoryBytes * MEMORY_SHARE);
    this.#pace = new Pace({ least: engine.processors, most: this.#config.createConcurrency });
    this.#plan();
    // Nothing is made before what is left over is known; then all shelves are filled.
    await this.#cleaner.engineUp(engine);
  }

  #engineDown(problem: CodeRunnerError): void {
    this.#log.error({ err: problem }, 'the container engine is gone');
    this.#cleaner.engineDown(this.#turns.underWay > 0);
    this.#engineGone.abort(problem);
    this.#breaker.succeeded(); // from now on the link says when it can be tried
    this.#used.clear();
    for (const shelf of this.#known) {
      for (const waiter of shelf.waiters.splice(0)) waiter.reject(problem);
      for (const sandbox of shelf.idle.splice(0)) {
        this.#cleaner.lose(sandbox);
        this.#memory.giveBack(sandbox.memoryBytes);
      }
    }
  }
}

function tooMuchMemory(bytes: number, most: number): CodeRunnerError {
  return new CodeRunnerError(
    'bad_limit',
    `The sandbox may come to use ${formatBytes(bytes)}, but all sandboxes together may use ${formatBytes(most)}.`,
    { hint: 'Ask for less memory, or raise CODERUNNER_MEMORY_BUDGET.' },
  );
}
