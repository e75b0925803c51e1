/**
 * Warm containers: some of each runtime wait, a lease takes one at once, and the pool refills in the background. Where none waits,
 * the lease waits for a new one, which goes before any refill.
 *
 * Start reading at `lease`. The pool never hands a used container out again.
 */
import { randomInt } from 'node:crypto';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { type ContainerSpec, RUN_UIDS } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { CodeRunnerError, type PoolStatus } from '../protocol/index.ts';
import type { Images } from '../runtimes/images.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import type { EngineLink } from './engine-link.ts';
import { Sandbox } from './sandbox.ts';

/** A refill waits this long after a lease, or until the lease ends, so that it does not take processor time from the run that a person waits for. */
const REFILL_DELAY_MS = 250;
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 30_000;

/** A sandbox for one run. Whoever has it must dispose of it. */
export interface Lease extends AsyncDisposable {
  readonly sandbox: Sandbox;
  /** The container was waiting when it was asked for. */
  readonly hit: boolean;
  /** Destroys the container and lets the pool refill. Resolves when it is gone. */
  dispose(): Promise<void>;
}

export interface LeaseRequest {
  runtime: Runtime;
  owner: string;
  memoryBytes: number;
  signal: AbortSignal;
}

interface Waiter {
  resolve(sandbox: Sandbox): void;
  reject(error: Error): void;
}

/** The waiting containers of one runtime and one size of memory. */
class Shelf {
  readonly runtime: Runtime;
  readonly memoryBytes: number;
  /** How many should wait; 0 for sizes that only single runs asked for. */
  readonly target: number;
  readonly idle: Sandbox[] = [];
  readonly waiters: Waiter[] = [];
  creating = 0;
  leased = 0;
  hits = 0;
  misses = 0;
  problem: Error | undefined;
  /** How long the next pause after a failure is. */
  retryMs = RETRY_FIRST_MS;
  /** No refill before that; a timer ends it. */
  pause: NodeJS.Timeout | undefined;
  /** The length of the present pause, where a failure is its reason. */
  backOffMs: number | undefined;

  constructor(runtime: Runtime, memoryBytes: number, target: number) {
    this.runtime = runtime;
    this.memoryBytes = memoryBytes;
    this.target = target;
  }

  get missing(): number {
    const wanted = this.waiters.length + (this.pause ? 0 : this.target - this.idle.length);
    return Math.max(0, wanted - this.creating);
  }

  resume(): void {
    clearTimeout(this.pause);
    this.pause = undefined;
    this.backOffMs = undefined;
  }
}

export class Pool {
  readonly #config: Config;
  readonly #link: EngineLink;
  readonly #images: Images;
  readonly #instance: string;
  readonly #log: Logger;
  readonly #creation: PQueue;
  readonly #shelves = new Map<string, Shelf>();
  readonly #stop = new AbortController();
  /** Every container that is not given up: waiting or leased. */
  readonly #live = new Set<string>();
  /** The user of the container created last; other daemons begin elsewhere. */
  #user = randomInt(RUN_UIDS);
  /** Nothing is created while left-overs are looked for, or a new container would be taken for one. */
  #sweeping = true;
  #sweptFor: Engine | undefined;
  /** Removals under way, so that stopping can wait for them. */
  readonly #removals = new Set<Promise<void>>();

  /** @param instance identifies this daemon's data folder; containers that carry it and are not ours now are left-overs */
  constructor(options: {
    config: Config;
    link: EngineLink;
    images: Images;
    instance: string;
    runtimes: Runtime[];
    log: Logger;
  }) {
    this.#config = options.config;
    this.#link = options.link;
    this.#images = options.images;
    this.#instance = options.instance;
    this.#log = options.log;
    this.#creation = new PQueue({ concurrency: options.config.createConcurrency });
    for (const runtime of options.runtimes) this.#shelf(runtime, runtime.limits.memoryBytes);
    this.#link.on('up', (engine) => void this.#engineUp(engine));
    this.#link.on('down', (problem) => this.#engineDown(problem));
  }

  /** Removes what an earlier daemon left and starts filling, if the engine is there; else when it comes. */
  async start(): Promise<void> {
    if (!this.#link.problem) await this.#engineUp(this.#link.engine);
  }

  /**
   * A container for one run: one that waits, or a new one.
   * @throws CodeRunnerError engine_unavailable, engine_error, runtime_not_built; the signal's reason when aborted
   */
  async lease({ runtime, owner, memoryBytes, signal }: LeaseRequest): Promise<Lease> {
    signal.throwIfAborted();
    const shelf = this.#shelf(runtime, memoryBytes);
    const waiting = shelf.idle.shift();
    if (waiting) shelf.hits++;
    else shelf.misses++;
    const sandbox = waiting ?? (await this.#wait(shelf, signal));
    shelf.leased++;
    this.#log.debug({ container: sandbox.id, runtime: runtime.id, owner, hit: waiting !== undefined }, 'leased');
    this.#delayRefill(shelf, REFILL_DELAY_MS);
    let disposed: Promise<void> | undefined;
    const dispose = () => {
      disposed ??= this.#giveUp(shelf, sandbox);
      return disposed;
    };
    return { sandbox, hit: waiting !== undefined, dispose, [Symbol.asyncDispose]: dispose };
  }

  status(): PoolStatus {
    const problem = this.#link.problem;
    return {
      engine: {
        state: problem ? 'down' : 'up',
        name: problem ? '' : this.#link.engine.name,
        problem: problem?.message ?? null,
      },
      runtimes: this.#standardShelves().map((shelf) => ({
        runtime: shelf.runtime.id,
        target: shelf.target,
        idle: shelf.idle.length,
        creating: shelf.creating,
        leased: shelf.leased,
        hits: shelf.hits,
        misses: shelf.misses,
        problem: shelf.problem?.message ?? null,
      })),
    };
  }

  /** Fails what waits and removes what nobody has leased; leases go on. */
  close(): void {
    this.#stop.abort(new CodeRunnerError('shutting_down', 'The daemon is stopping.'));
    for (const shelf of this.#shelves.values()) {
      shelf.resume();
      for (const waiter of shelf.waiters.splice(0)) waiter.reject(this.#stop.signal.reason);
      for (const sandbox of shelf.idle.splice(0)) this.#remove(sandbox);
    }
  }

  /** Closes, and resolves when every container of ours is gone; to be called when all leases have ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    await this.#creation.onIdle();
    await Promise.all(this.#removals);
    // What could not be removed at its time, because the engine was away or failed then.
    if (!this.#link.problem) await this.#removeLeftOvers(this.#link.engine);
  }

  #shelf(runtime: Runtime, memoryBytes: number): Shelf {
    const key = `${runtime.id} ${memoryBytes}`;
    let shelf = this.#shelves.get(key);
    if (!shelf) {
      shelf = new Shelf(runtime, memoryBytes, memoryBytes === runtime.limits.memoryBytes ? this.#config.poolSize : 0);
      this.#shelves.set(key, shelf);
    }
    return shelf;
  }

  /** One per runtime, as people know them; sizes that single runs asked for are not listed. */
  #standardShelves(): Shelf[] {
    return [...this.#shelves.values()].filter((shelf) => shelf.memoryBytes === shelf.runtime.limits.memoryBytes);
  }

  #wait(shelf: Shelf, signal: AbortSignal): Promise<Sandbox> {
    return new Promise((resolve, reject) => {
      if (this.#stop.signal.aborted) return reject(this.#stop.signal.reason);
      const problem = this.#link.problem;
      if (problem) return reject(problem);
      const settled = () => signal.removeEventListener('abort', aborted);
      const waiter: Waiter = {
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

  /** Starts as many creations as are missing; they wait for their turn, those that a run waits for first. */
  #fill(shelf: Shelf): void {
    if (this.#stop.signal.aborted || this.#link.problem || this.#sweeping) return;
    for (let missing = shelf.missing; missing > 0; missing--) {
      shelf.creating++;
      const priority = shelf.waiters.length >= shelf.creating ? 1 : 0;
      void this.#creation
        .add(() => this.#create(shelf), { priority })
        .catch((error) => this.#log.error({ err: error }, 'creation failed oddly'));
    }
  }

  async #create(shelf: Shelf): Promise<void> {
    let sandbox: Sandbox;
    try {
      sandbox = await Sandbox.create(this.#link.engine, this.#spec(shelf), this.#stop.signal);
    } catch (error) {
      shelf.creating--;
      if (!this.#stop.signal.aborted) await this.#creationFailed(shelf, error as Error);
      return;
    }
    shelf.creating--;
    shelf.problem = undefined;
    shelf.retryMs = RETRY_FIRST_MS;
    if (this.#stop.signal.aborted) return this.#remove(sandbox);
    this.#live.add(sandbox.id);
    const waiter = shelf.waiters.shift();
    if (waiter) return waiter.resolve(sandbox);
    // Whoever it was made for has given up.
    if (shelf.idle.length >= shelf.target) return this.#remove(sandbox);
    shelf.idle.push(sandbox);
    void sandbox.agent.closed.then(() => this.#idleDied(shelf, sandbox));
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
    for (const waiter of shelf.waiters.splice(0)) waiter.reject(shelf.problem);
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
    if (shelf.backOffMs === undefined) shelf.resume();
    this.#fill(shelf);
    await this.#remove(sandbox);
  }

  /** Never rejects: what cannot be removed now is when the engine is back. */
  #remove(sandbox: Sandbox): Promise<void> {
    this.#live.delete(sandbox.id);
    const removal: Promise<void> = sandbox
      .dispose()
      .catch((error) => {
        this.#log.warn(
          { container: sandbox.id, err: error },
          'a sandbox could not be removed; trying again when the engine is back, and when the daemon stops',
        );
        this.#link.suspect();
      })
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
    return removal;
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
    const pauseMs = shelf.retryMs;
    shelf.retryMs = Math.min(pauseMs * 2, RETRY_MOST_MS);
    shelf.resume(); // the pause after a lease is shorter
    shelf.backOffMs = pauseMs;
    this.#delayRefill(shelf, pauseMs);
    return pauseMs;
  }

  async #engineUp(engine: Engine): Promise<void> {
    if (this.#sweptFor === engine) return;
    this.#sweptFor = engine;
    // What was begun on the engine before it went away ends first, or it would be swept away half made.
    await this.#creation.onIdle();
    await this.#removeLeftOvers(engine);
    if (this.#sweptFor !== engine) return; // it went away meanwhile
    this.#sweeping = false;
    for (const shelf of this.#shelves.values()) {
      shelf.resume();
      this.#fill(shelf);
    }
  }

  /** Never rejects: where it fails, the next time does it. */
  async #removeLeftOvers(engine: Engine): Promise<void> {
    try {
      const left = (await engine.listOurs({ instance: this.#instance })).filter(({ id }) => !this.#live.has(id));
      await Promise.all(left.map(({ id }) => engine.remove(id)));
      if (left.length > 0) this.#log.info({ containers: left.length }, 'removed containers that were left over');
    } catch (error) {
      this.#log.warn({ err: error }, 'left-over containers could not be removed');
      this.#link.suspect();
    }
  }

  #engineDown(problem: CodeRunnerError): void {
    this.#log.error({ err: problem }, 'the container engine is gone');
    this.#sweeping = true;
    this.#sweptFor = undefined;
    for (const shelf of this.#shelves.values()) {
      for (const waiter of shelf.waiters.splice(0)) waiter.reject(problem);
      for (const sandbox of shelf.idle.splice(0)) {
        this.#live.delete(sandbox.id);
        sandbox.agent.close('The container engine is gone.');
      }
    }
  }

  #spec({ runtime, memoryBytes }: Shelf): ContainerSpec {
    const { workspaceBytes, workspaceFiles, tmpBytes, cpus, ociRuntime } = this.#config;
    this.#user = (this.#user + 1) % RUN_UIDS;
    return {
      image: this.#images.tag(runtime),
      labels: { 'coderunner.instance': this.#instance, 'coderunner.runtime': runtime.id },
      command: runtime.warm ? ['--', ...runtime.warm.argv] : [],
      user: this.#user,
      memoryBytes,
      pids: runtime.limits.pids,
      cpus,
      workspaceBytes,
      workspaceFiles,
      tmpBytes,
      ...(ociRuntime ? { ociRuntime } : {}),
    };
  }
}
