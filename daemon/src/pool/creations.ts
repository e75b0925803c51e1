/**
 * New containers: for runs that wait for one, each in its turn, and for the shelves that are to be filled.
 *
 * Start reading at `wait` and `fill`.
 */
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import type { Logger } from 'pino';
import { AgentGone } from '../agent/agent.ts';
import type { ContainerSpec } from '../engine/container.ts';
import { ContainerRemoved, type Engine } from '../engine/engine.ts';
import { CodeRunnerError, formatBytes } from '../protocol/index.ts';
import type { Images } from '../runtimes/images.ts';
import { Breaker } from './breaker.ts';
import type { Cleaner } from './cleaner.ts';
import { Pace } from './demand.ts';
import type { EngineLink } from './engine-link.ts';
import type { MemoryBudget } from './memory.ts';
import type { Recipes } from './recipes.ts';
import type { Room } from './room.ts';
import { mostMemory, Sandbox } from './sandbox.ts';
import type { Shelf, Waiter } from './shelf.ts';
import type { Shelves } from './shelves.ts';
import { type Shares, type Turn, Turns } from './turns.ts';

/**
 * A refill waits this long after a lease, even one that has ended, so that it takes no processor time from the run that a person waits
 * for, nor from showing what it printed. Whoever waits for a container is not kept waiting by it.
 */
const REFILL_DELAY_MS = 250;

interface CreationsOptions {
  link: EngineLink;
  images: Images;
  recipes: Recipes;
  shelves: Shelves;
  memory: MemoryBudget<Waiter>;
  room: Room;
  cleaner: Cleaner;
  shares: Shares;
  /** The most that are made at the same time. */
  most: number;
  /** Milliseconds of a clock that does not go back. */
  now(): number;
  log: Logger;
}

/** A container that is to be made. */
interface Creation {
  spec: ContainerSpec;
  /** It was asked for because a run waits; whoever gets it may be another. */
  forRun: boolean;
}

export class Creations {
  readonly #options: CreationsOptions;
  readonly #turns: Turns<Shelf, Creation>;
  #pace: Pace;
  readonly #breaker = new Breaker();
  readonly #stop = new AbortController();
  /** Aborted when the engine goes away. */
  #engineGone = new AbortController();

  constructor(options: CreationsOptions) {
    this.#options = options;
    const { most, shares, shelves, log } = options;
    this.#turns = new Turns(shares, most);
    this.#pace = new Pace({ least: most, most });
    this.#breaker.on('open', (problem) => {
      log.error({ err: problem }, 'the container engine fails: nothing is asked of it for a while');
      for (const shelf of shelves.known) this.#refuse(shelf, problem);
    });
  }

  /** Why nothing can be made for now, though the engine answers; undefined where something can. */
  get problem(): CodeRunnerError | undefined {
    return this.#breaker.problem;
  }

  /** Resolves when what was refused with engine_failing may be tried again. @returns false when it was closed before that */
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

  /** Some are being made. */
  get areUnderWay(): boolean {
    return this.#turns.underWay > 0;
  }

  /** Resolves when none is being made for that shelf, or any, nor waits for its turn. */
  idle(shelf?: Shelf): Promise<void> {
    return this.#turns.idle(shelf);
  }

  /** Resolves when those that are being made now are there, or came to nothing. */
  presentOnesEnded(): Promise<void> {
    return this.#turns.presentOnesEnded();
  }

  /**
   * For one run, in its turn: a new container, or a used one that {@link Creations.offer} has sooner. It counts as leased at once, before who
   * waits here goes on.
   * @throws CodeRunnerError engine_unavailable, engine_failing, engine_error, runtime_not_built, bad_limit, shutting_down; the signal's
   * reason when aborted
   */
  wait(
    shelf: Shelf,
    { owner, kind, signal }: { owner: string; kind: string | undefined; signal: AbortSignal },
  ): Promise<Sandbox> {
    const { link, memory } = this.#options;
    return new Promise((resolve, reject) => {
      if (this.#stop.signal.aborted) return reject(this.#stop.signal.reason);
      const problem = link.problem;
      if (problem) return reject(problem);
      if (shelf.bytes > memory.most) return reject(tooMuchMemory(shelf.bytes, memory.most));
      this.#breaker.enter();
      const settled = () => signal.removeEventListener('abort', aborted);
      const waiter: Waiter = {
        owner,
        kind,
        resolve: (sandbox) => {
          settled();
          shelf.leased++;
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
        this.#leftWaiting(shelf);
        this.#options.room.make();
      };
      signal.addEventListener('abort', aborted, { once: true });
      shelf.waiters.push(waiter);
      this.fill(shelf);
      // It may have taken over what was asked for somebody who has left, and gave way to nobody.
      this.#options.room.make();
    });
  }

  /** Whoever waits for a new one takes a used one of that kind, where it comes sooner. @returns whether somebody did */
  offer(kind: string, sandbox: Sandbox): boolean {
    for (const shelf of this.#options.shelves.known) {
      const at = shelf.waiters.findIndex((waiter) => waiter.kind === kind);
      if (at === -1) continue;
      for (const waiter of shelf.waiters.splice(at, 1)) waiter.resolve(sandbox);
      this.#leftWaiting(shelf);
      return true;
    }
    return false;
  }

  /** Starts as many creations as are missing; they wait for memory, those that a run waits for in turn, and for their turn. */
  fill(shelf: Shelf): void {
    const { link, cleaner, recipes, room } = this.#options;
    if (this.#stop.signal.aborted || link.problem || cleaner.isSweeping) return;
    for (let missing = shelf.missing; missing > 0; missing--) {
      const forRun = shelf.waiters.length > shelf.creating;
      const spec = recipes.next(shelf);
      if (!forRun && !room.tryTake(mostMemory(spec))) break;
      shelf.creating++;
      if (forRun) void this.#admit(shelf, spec);
      else this.#turns.add(shelf, { spec, forRun });
    }
    // Also where none was missing: whoever has come to wait may use a place that others may not.
    this.#makeNext();
  }

  fillAll(): void {
    for (const shelf of this.#options.shelves.known) this.fill(shelf);
  }

  /** Fills it, but not as long as the run that has just got one wants the processor for itself. */
  fillSoon(shelf: Shelf): void {
    this.#pause(shelf, REFILL_DELAY_MS);
  }

  engineUp({ processors }: Engine): void {
    this.#engineGone = new AbortController();
    this.#pace = new Pace({ least: processors, most: this.#options.most });
  }

  /** Fails all that wait. */
  engineDown(problem: CodeRunnerError): void {
    this.#engineGone.abort(problem);
    this.#breaker.succeeded(); // from now on the link says when it can be tried
    for (const shelf of this.#options.shelves.known) shelf.refuse(problem);
  }

  /** Fails all that wait, and makes no more. */
  close(): void {
    this.#stop.abort(new CodeRunnerError('shutting_down', 'The daemon is stopping.'));
    this.#breaker[Symbol.dispose]();
    for (const shelf of this.#options.shelves.known) shelf.refuse(this.#stop.signal.reason);
  }

  async #admit(shelf: Shelf, spec: ContainerSpec): Promise<void> {
    const { room, shelves } = this.#options;
    const surplus = new AbortController();
    shelf.admissions.push(surplus);
    const ended = AbortSignal.any([this.#stop.signal, this.#engineGone.signal, surplus.signal]);
    try {
      await room.take(mostMemory(spec), ended, shelf);
      if (surplus.signal.aborted) {
        room.free(mostMemory(spec));
        throw surplus.signal.reason;
      }
    } catch {
      // Whoever waited was told why.
      if (!surplus.signal.aborted) shelf.creating--;
      shelves.forget(shelf);
      this.#breaker.leave();
      // Nothing could wait for whoever comes as long as this did.
      if (surplus.signal.aborted) this.fillAll();
      return;
    } finally {
      const at = shelf.admissions.indexOf(surplus);
      if (at !== -1) shelf.admissions.splice(at, 1);
    }
    this.#turns.add(shelf, { spec, forRun: true });
    this.#makeNext();
  }

  /** What is for nobody any more keeps no memory from others. */
  dropSurplus(shelf: Shelf): void {
    while (shelf.hasSurplus) {
      const admission = shelf.admissions.pop();
      if (!admission) return;
      shelf.creating--;
      admission.abort();
    }
  }

  /** Somebody waits no more, and got no new one. */
  #leftWaiting(shelf: Shelf): void {
    this.dropSurplus(shelf);
    if (shelf.creating === 0) this.#breaker.leave();
  }

  #refuse(shelf: Shelf, problem: Error): void {
    shelf.refuse(problem);
    this.dropSurplus(shelf);
  }

  #makeNext(): void {
    const { log, now } = this.#options;
    for (;;) {
      const turn = this.#turns.begin(now());
      if (!turn) return;
      void this.#make(turn)
        .catch((error) => log.error({ err: error }, 'creation failed oddly'))
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
    this.#options.shelves.forget(shelf);
    if (forRun) this.#breaker.leave();
    this.#options.room.free(mostMemory(spec));
  }

  async #create(shelf: Shelf, spec: ContainerSpec, owner: string | undefined): Promise<void> {
    const { link, room, cleaner, shelves } = this.#options;
    let sandbox: Sandbox;
    const begun = performance.now();
    try {
      sandbox = await Sandbox.create(link.engine, spec, this.#stop.signal);
    } catch (error) {
      if (this.#stop.signal.aborted) shelf.creating--;
      // It counts, and has its memory, until its run is told: else another would be begun for that.
      else await this.#failed(shelf, error as Error).finally(() => room.free(mostMemory(spec)));
      return;
    }
    this.#pace.ended(shelf.demand.created(performance.now() - begun));
    this.#turns.limit = this.#pace.limit;
    shelf.creating--;
    shelf.worked();
    this.#breaker.succeeded();
    if (this.#stop.signal.aborted) return room.remove(sandbox);
    cleaner.spare(sandbox);
    shelf.keptLast = this.#keepsForOthers(shelf, sandbox);
    if (shelf.keptLast) {
      this.#putAside(shelf, sandbox);
      return this.fill(shelf);
    }
    const waiter = this.#nextWaiter(shelf, owner);
    if (waiter) return waiter.resolve(sandbox);
    // Whoever it was made for has given up.
    if (shelf.idle.length >= shelf.target) {
      shelves.forget(shelf);
      return room.remove(sandbox);
    }
    this.#putAside(shelf, sandbox);
  }

  #putAside(shelf: Shelf, sandbox: Sandbox): void {
    shelf.idle.push(sandbox);
    void sandbox.agent.closed.then(() => this.#idleDied(shelf, sandbox));
    // A run may have come to wait for memory while this one was being made.
    this.#options.room.make();
  }

  /**
   * Where only those wait who have many already, the first that is made is for whoever comes; where there is memory for one more, and not
   * twice in a row, so that they get theirs too.
   */
  #keepsForOthers({ idle, target, waiters, keptLast }: Shelf, { memoryBytes }: Sandbox): boolean {
    const { memory, shares } = this.#options;
    if (keptLast || idle.length > 0 || target === 0 || waiters.length === 0) return false;
    return memory.fits(memoryBytes) && waiters.every(({ owner }) => shares.hasMany(owner));
  }

  /** @param owner whom one was made for */
  #nextWaiter({ waiters }: Shelf, owner: string | undefined): Waiter | undefined {
    const next = waiters.find((waiter) => waiter.owner === owner) ?? this.#options.shares.first(waiters);
    if (next) waiters.splice(waiters.indexOf(next), 1);
    return next;
  }

  async #failed(shelf: Shelf, error: Error): Promise<void> {
    const { link, images, log } = this.#options;
    link.suspect();
    images.doubt(shelf.runtime);
    const built = link.problem || (await images.state(shelf.runtime).catch(() => 'ready')) === 'ready';
    shelf.creating--;
    shelf.problem = built
      ? error instanceof CodeRunnerError
        ? error
        : new CodeRunnerError('engine_error', `No ${shelf.runtime.name} sandbox could be started: ${error.message}`, {
            cause: error,
          })
      : new CodeRunnerError('runtime_not_built', `The image of ${shelf.runtime.name} has not been built yet.`);
    const retryMs = this.#backOff(shelf);
    log.warn({ runtime: shelf.runtime.id, err: shelf.problem, retryMs }, 'no sandbox could be created');
    if (!built) {
      this.#breaker.succeeded(); // the engine does what it can
      this.#refuse(shelf, shelf.problem);
      return;
    }
    if (shelf.problem instanceof CodeRunnerError && shelf.problem.code === 'engine_unavailable')
      this.#countIfItAnswers(shelf.problem);
    else this.#breaker.failed(shelf.problem);
    // This one's failure is nobody's for whom another is under way.
    const waiter = shelf.waiters.length > shelf.creating ? shelf.waiters[0] : undefined;
    // Nothing ran in a container that somebody ended while it was made; who waits for it gets another chance, but not a third.
    const isGone = error instanceof AgentGone || error instanceof ContainerRemoved;
    if (waiter && isGone && !waiter.missedOne) {
      waiter.missedOne = true;
      this.fill(shelf);
    } else if (waiter) shelf.waiters.shift()?.reject(shelf.problem);
  }

  /** An engine that answers nothing is the link's to find and to wait for; one that answers, only not this, fails. */
  #countIfItAnswers(problem: CodeRunnerError): void {
    const { link, cleaner } = this.#options;
    const { signal } = this.#engineGone;
    cleaner.expectLate();
    void link.whenUp().then((up) => {
      if (up && !signal.aborted) this.#breaker.failed(problem);
      else this.#breaker.leave();
    });
  }

  /** Someone removed a waiting container, or it died: another takes its place, but not at once. */
  #idleDied(shelf: Shelf, sandbox: Sandbox): void {
    const { link, room, log } = this.#options;
    const at = shelf.idle.indexOf(sandbox);
    if (at === -1) return;
    shelf.idle.splice(at, 1);
    log.warn({ container: sandbox.id, runtime: shelf.runtime.id }, 'a waiting sandbox died');
    void room.remove(sandbox);
    link.suspect();
    this.#backOff(shelf);
  }

  /** After a failure: no refill for a while, each time longer. Those that fail together are one failure. @returns the pause */
  #backOff(shelf: Shelf): number {
    if (shelf.backOffMs !== undefined) return shelf.backOffMs;
    const pauseMs = shelf.backOff();
    this.#pause(shelf, pauseMs);
    return pauseMs;
  }

  #pause(shelf: Shelf, pauseMs: number): void {
    if (shelf.pause || this.#stop.signal.aborted) return;
    shelf.pause = setTimeout(() => {
      shelf.resume();
      this.fill(shelf);
    }, pauseMs);
  }
}

function tooMuchMemory(bytes: number, most: number): CodeRunnerError {
  return new CodeRunnerError(
    'bad_limit',
    `The sandbox may come to use ${formatBytes(bytes)}, but all sandboxes together may use ${formatBytes(most)}.`,
    { hint: 'Ask for less memory, or raise CODERUNNER_MEMORY_BUDGET.' },
  );
}
