/**
 * All runs of this daemon: they are admitted, wait in the broker, are executed in a leased sandbox and settled. Each step is written down
 * before the next, so that after a crash every run is somewhere: those that waited run, those that ran are `lost`.
 */
import { randomBytes } from 'node:crypto';
import { availableParallelism } from 'node:os';
import type { Logger } from 'pino';
import type { Broker, Job } from '../broker/broker.ts';
import type { Config } from '../config.ts';
import { InstallFailure } from '../packages/installation.ts';
import type { Layer, Packages } from '../packages/packages.ts';
import type { EngineLink } from '../pool/engine-link.ts';
import type { Lease, LeaseRequest, Pool } from '../pool/pool.ts';
import {
  type BatchRequest,
  CHANNEL,
  CodeRunnerError,
  type EndState,
  formatDuration,
  type Run,
  type RunList,
  type RunRequest,
  type RunState,
} from '../protocol/index.ts';
import type { Images } from '../runtimes/images.ts';
import { type Runtime, withServices } from '../runtimes/runtime.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import { imageName } from '../runtimes/service.ts';
import { type Blobs, missingBlobs } from '../store/blobs.ts';
import type { ListOptions, RunKey, Store, StoredRun } from '../store/store.ts';
import { Batch, ended } from './batch.ts';
import type { CompileCache } from './compile-cache.ts';
import { execute, type Outcome } from './execute.ts';
import { LiveRun } from './live-run.ts';
import { OutputLog } from './output-log.ts';
import { inputKeysOf, keyOf } from './run-key.ts';
import { admit, admitBatch, type RunSpec, tooLarge } from './spec.ts';
import type { ExecuteContext } from './stage.ts';
import { describeStage } from './verdict.ts';

/** Small specifications of waiting runs that are kept in memory beside those of running ones; others are read back from the store. */
const SPECS_IN_MEMORY = 64;
/** As characters of JSON. */
const SMALL_SPEC = 256 * 1024;
/** What was told of a run is forgotten if the daemon is killed before that. */
const RESETTLE_EVERY_MS = 1_000;
/** Nothing had to be stopped, nor did anything go wrong with its sandbox. */
const ENDED_BY_ITSELF: ReadonlySet<EndState> = new Set(['succeeded', 'failed', 'signaled']);
/** The program might have gone on, had nobody left it. */
const CUT_SHORT: ReadonlySet<RunState> = new Set(['cancelled', 'lost']);

export interface RunsOptions {
  config: Config;
  store: Store;
  blobs: Blobs;
  compileCache: CompileCache;
  broker: Broker;
  pool: Pool;
  packages: Packages;
  link: EngineLink;
  images: Pick<Images, 'state'>;
  runtimes: Pick<Runtimes, 'usable'>;
  log: Logger;
}

/** What the metrics want to know. */
export interface RunObserver {
  settled(run: Run, queuedMs: number): void;
}

export class Runs {
  readonly #options: RunsOptions;
  readonly #live = new Map<string, LiveRun>();
  readonly #specs = new Map<string, RunSpec>();
  /** Hashes of the contents that are pinned for each run until it is settled, which must need no specification: it may not be readable. */
  readonly #pinned = new Map<string, readonly string[]>();
  /** Those with a key, by owner and key, until nothing of them runs any more. */
  readonly #batches = new Map<string, Promise<Batch>>();
  /** Ended runs whose end could not be written yet. */
  readonly #unsettled = new Set<LiveRun>();
  #resettle: NodeJS.Timeout | undefined;
  #stopping = false;
  observer: RunObserver | undefined;

  constructor(options: RunsOptions) {
    this.#options = options;
  }

  /** Brings back what an earlier daemon left. To be called before anybody can submit: what is new would be taken for left. */
  restore(): void {
    const { store, config, log } = this.#options;
    for (const stored of store.unfinished()) {
      const { owner, run } = stored;
      let why = 'the daemon ended while the program ran';
      if (run.state === 'queued') {
        try {
          this.#queueAgain(stored);
          continue;
        } catch (error) {
          why = `the daemon ended while it waited, and ${(error as Error).message}`;
        }
      }
      const live = new LiveRun(owner, run, new OutputLog(config.outputWindow), { interactive: false });
      live.move('lost', { endedAt: new Date().toISOString(), message: `Lost: ${why}.` });
      store.settle(live.run, live.output.dump());
      log.warn({ run: run.id, why }, 'a run was lost with an earlier daemon');
    }
  }

  /** Throws, and has done nothing, where what is stored of it cannot be read. */
  #queueAgain({ owner, priority, run }: StoredRun): void {
    const { broker, config } = this.#options;
    const spec = this.#spec(run.id);
    this.#pin(owner, run.id, hashes(spec));
    const live = liveRun(owner, run, new OutputLog(config.outputWindow), spec);
    this.#live.set(run.id, live);
    this.#endOrphan(live, spec);
    broker.enqueue({ id: run.id, owner, priority });
  }

  /** Starts working on what waits. */
  start(): void {
    const { broker, log } = this.#options;
    broker.consume((job) =>
      this.#work(job).catch((error) => {
        log.error({ err: error, run: job.id }, 'a run could not be settled');
        return 'done';
      }),
    );
  }

  get counts(): { queued: number; running: number } {
    return { queued: this.#options.broker.waiting, running: this.#options.broker.active };
  }

  /**
   * Admits a run and puts it into the queue; it may be running when this resolves. Asked again with the same key, gives the run that is
   * there already, whatever became of it.
   * @throws CodeRunnerError whatever is wrong with it; key_reused, queue_full, shutting_down, engine_unavailable, engine_failing, blobs_missing, disk_full
   */
  async submit(owner: string, request: RunRequest): Promise<LiveRun> {
    const { config, runtimes } = this.#options;
    const key = keyOf(request);
    return this.#known(owner, key) ?? this.#take(owner, admit(request, runtimes.usable, config), false, key);
  }

  /**
   * One program with many inputs. Its first run is in the queue when this resolves. Asked again with the same key, goes on with the runs
   * that are there, also where the daemon has not noticed yet that the connection broke.
   * @param signal ends the batch, and with it what it still runs
   * @throws CodeRunnerError as {@link Runs.submit}; then nothing was started
   */
  async startBatch(owner: string, request: BatchRequest, signal: AbortSignal): Promise<Batch> {
    const { config, runtimes, blobs } = this.#options;
    const specs = admitBatch(request, runtimes.usable, config);
    const keys = inputKeysOf(request);
    const name = JSON.stringify([owner, request.key]);
    // Before anything is changed: the batch that has this key goes on, whatever else is asked for with it.
    for (const index of [0, request.from ?? 0]) this.#known(owner, keys?.(index));
    const before = keys && this.#batches.get(name);
    // Each run pins its contents too, but there may be moments without a run.
    const needed = hashes(specs[0] as RunSpec);
    blobs.pin(owner, needed);
    const start = async () => {
      // Where all runs so far are there already, nothing else would ask for the contents of those that follow.
      if (keys && needed.length > 0) await this.#checkBlobs(owner, specs[0] as RunSpec, needed);
      const other = await before?.catch(() => undefined);
      other?.leave();
      await other?.over;
      return Batch.start({
        request,
        // One place is left for everybody else.
        atOnce: Math.max(1, Math.min(2 * availableParallelism(), config.maxRunning - 1)),
        take: (index, promised) => this.#takeInput(owner, specs[index] as RunSpec, promised, keys?.(index)),
        cancel: (id) => this.cancel(owner, id),
        signal,
      });
    };
    const starting = start();
    if (keys) this.#batches.set(name, starting);
    const over = () => {
      blobs.unpin(owner, needed);
      if (this.#batches.get(name) === starting) this.#batches.delete(name);
    };
    try {
      const batch = await starting;
      void batch.over.then(over);
      return batch;
    } catch (error) {
      over();
      throw error;
    }
  }

  /** The run of one input: the one that is there already, unless it was cut short or its output is no longer there in whole. */
  async #takeInput(owner: string, spec: RunSpec, promised: boolean, key: RunKey | undefined): Promise<LiveRun> {
    const known = this.#known(owner, key);
    if (known) {
      if (known.stop.signal.aborted) await ended(known);
      if (known.output.isWhole && !CUT_SHORT.has(known.run.state)) return known;
      this.cancel(owner, known.id);
      await ended(known);
      this.#options.store.forgetKey(known.id);
    }
    return this.#take(owner, spec, promised, key);
  }

  /** @param promised it belongs to something that was taken already, so a full queue does not refuse it */
  async #take(owner: string, spec: RunSpec, promised = false, key?: RunKey): Promise<LiveRun> {
    const { config, broker, link, pool, store } = this.#options;
    if (this.#stopping) throw new CodeRunnerError('shutting_down', 'The daemon is stopping and takes no more runs.');
    const problem = link.problem ?? pool.problem;
    if (problem) throw problem;
    if (!promised) this.#checkRoom(owner);
    await this.#checkImage(spec);
    const needed = hashes(spec);
    const run = newRun(spec);
    const written = JSON.stringify(spec);
    // Pinned before they are looked for, so that what was found is not evicted in between.
    this.#pin(owner, run.id, needed);
    try {
      if (needed.length > 0) await this.#checkBlobs(owner, spec, needed);
      // Others may have come in while contents were looked for, also the same request once more.
      const known = this.#known(owner, key);
      if (known) {
        this.#unpin(owner, run.id);
        return known;
      }
      if (!promised) this.#checkRoom(owner);
      store.insert({ owner, priority: spec.priority, run }, written, key);
    } catch (error) {
      this.#unpin(owner, run.id);
      throw error;
    }
    const live = liveRun(owner, run, new OutputLog(config.outputWindow), spec);
    this.#live.set(run.id, live);
    this.#endOrphan(live, spec);
    if (this.#specs.size < SPECS_IN_MEMORY && written.length <= SMALL_SPEC) this.#specs.set(run.id, spec);
    broker.enqueue({ id: run.id, owner, priority: spec.priority });
    return live;
  }

  /** @throws CodeRunnerError not_found, also for another owner's run */
  get(owner: string, id: string): Run {
    return (this.#findLive(owner, id) ?? this.#findStored(owner, id)).run;
  }

  /** The run to follow; one that ended long ago comes back with what is kept of its output. @throws CodeRunnerError not_found */
  follow(owner: string, id: string): LiveRun {
    const live = this.#findLive(owner, id);
    if (live) return live;
    const { run } = this.#findStored(owner, id);
    const output = this.#options.store.output(id);
    const log = output ? OutputLog.restore(output.from, Buffer.from(output.bytes)) : new OutputLog(1);
    return new LiveRun(owner, run, log, { interactive: false });
  }

  list(owner: string, options: ListOptions): RunList {
    const { runs, next } = this.#options.store.list(owner, options);
    return { runs: runs.map(({ run }) => this.#live.get(run.id)?.run ?? run), next };
  }

  /** Ends a run: at once where it waits, as soon as its container is told where it runs. Ended runs stay as they are. @throws CodeRunnerError not_found */
  cancel(owner: string, id: string): Run {
    const live = this.#findLive(owner, id);
    if (!live) return this.get(owner, id);
    this.#end(live, { state: 'cancelled', message: 'Cancelled.' });
    return live.run;
  }

  /**
   * Takes no more runs, lets those that run finish for `graceMs` or until `hurry` is aborted, then ends them. What waits, also for a
   * sandbox, stays in the store for the next daemon; the pool must be closed meanwhile.
   */
  async stop(graceMs: number, hurry: AbortSignal): Promise<void> {
    this.#stopping = true;
    const endAll = () => {
      for (const live of this.#live.values()) {
        if (live.run.state !== 'queued')
          this.#end(live, { state: 'cancelled', message: 'Cancelled: the daemon was stopped.' });
      }
    };
    const grace = setTimeout(endAll, graceMs);
    hurry.addEventListener('abort', endAll, { once: true });
    if (hurry.aborted) endAll();
    await this.#options.broker.stop();
    clearTimeout(grace);
    clearInterval(this.#resettle);
    for (const live of this.#unsettled) this.#write(live);
  }

  /** Ends a run that nobody has followed for as long as it asked for. */
  #endOrphan(live: LiveRun, { orphanMs }: RunSpec): void {
    if (orphanMs === undefined) return;
    const message = `Cancelled: nobody followed it for ${formatDuration(orphanMs)}.`;
    const wait = () => setTimeout(() => this.#end(live, { state: 'cancelled', message }), orphanMs).unref();
    let timer = wait();
    live.output.onFollowed = (followed) => {
      clearTimeout(timer);
      if (!followed && !live.ended) timer = wait();
    };
    live.on('state', () => {
      if (live.ended) clearTimeout(timer);
    });
  }

  #end(live: LiveRun, outcome: Outcome): void {
    if (this.#options.broker.remove(live.id)) this.#settle(live, outcome);
    else live.stop.abort(outcome);
  }

  async #work(job: Job): Promise<'done' | 'again'> {
    const live = this.#live.get(job.id);
    if (!live) return 'done';
    try {
      return await this.#execute(live);
    } catch (error) {
      this.#options.log.error({ err: error, run: job.id }, 'a run failed inside the daemon');
      const problem =
        error instanceof CodeRunnerError
          ? error
          : new CodeRunnerError('internal', `The run failed inside CodeRunner: ${(error as Error).message}`);
      if (!live.ended) this.#settle(live, { state: 'failed', message: problem.message, error: problem.toJSON() });
      return 'done';
    }
  }

  async #execute(live: LiveRun): Promise<'done' | 'again'> {
    const { pool, runtimes, blobs, compileCache, config, store } = this.#options;
    const spec = this.#spec(live.id);
    this.#specs.set(live.id, spec);
    const language = runtimes.usable.find(({ id }) => id === spec.runtime);
    if (!language) {
      const problem = new CodeRunnerError('unknown_runtime', `The runtime "${spec.runtime}" is no longer here.`);
      this.#settle(live, { state: 'failed', message: problem.message, error: problem.toJSON() });
      return 'done';
    }
    const runtime = withServices(language, spec.services);
    live.move('starting', { startedAt: new Date().toISOString() });
    let lease: Lease;
    let packages: ExecuteContext['packages'];
    try {
      using layer = await this.#packages(live, spec, language);
      packages = layer && { contents: layer.contents, installed: layer.exit };
      lease = await pool.lease({
        runtime,
        owner: live.owner,
        memoryBytes: spec.limits.memoryBytes,
        ...(layer ? { mount: layer.mount } : {}),
        ...this.#reuse(spec, runtime),
        signal: live.stop.signal,
      });
    } catch (error) {
      return this.#noSandbox(live, error);
    }
    let endedByItself = false;
    try {
      // Until here a daemon that comes back finds it queued, and runs it; from here on it must not run twice.
      store.update(live.run);
      const outcome = await execute({ live, spec, runtime, lease, packages, blobs, compileCache, config });
      endedByItself = ENDED_BY_ITSELF.has(outcome.state) && !outcome.error;
      this.#settle(live, outcome);
    } finally {
      // In the background: whoever waits for the run does not wait for the engine to clean up.
      void (endedByItself ? lease.giveBack() : lease.dispose()).catch((error) =>
        this.#options.log.warn({ err: error, run: live.id }, 'a sandbox could not be removed'),
      );
    }
    return 'done';
  }

  /** Whether the run may have a used container, and leave its own: where nothing is in it but the program and its files. */
  #reuse({ reuse, tty, limits, options }: RunSpec, { services }: Runtime): Pick<LeaseRequest, 'reuse'> {
    const may = this.#options.config.reuse === 'owner' && reuse === 'owner' && tty === null && services.length === 0;
    return may ? { reuse: JSON.stringify([limits, options]) } : {};
  }

  /** What the run's manifest names; what installing it prints is a part of the run's output. */
  #packages(live: LiveRun, spec: RunSpec, runtime: Runtime): Promise<Layer | undefined> {
    const { packages, blobs } = this.#options;
    const files = spec.files.map((file) => ({
      path: file.path,
      read: () =>
        'content' in file
          ? Promise.resolve(Buffer.from(file.content, file.encoding ?? 'utf8'))
          : blobs.read(live.owner, file.sha256),
    }));
    return packages.layerFor({
      owner: live.owner,
      runtime,
      entry: spec.entry,
      files,
      signal: live.stop.signal,
      onInstall: () => {
        live.move('installing');
        live.announce();
      },
      // The program's own output stays its own; a terminal has one channel only, and wants its line ends.
      print: (text) =>
        live.print(
          spec.tty ? CHANNEL.stdout : CHANNEL.stderr,
          Buffer.from(spec.tty ? text.replaceAll('\n', '\r\n') : text),
        ),
    });
  }

  /** Nothing ran yet, so nothing is lost: back to the queue where the engine went away, else the run ends saying why. */
  #noSandbox(live: LiveRun, error: unknown): 'done' | 'again' {
    const { link, pool, broker } = this.#options;
    if (live.stop.signal.aborted) {
      this.#settle(live, live.stop.signal.reason as Outcome);
      return 'done';
    }
    if (error instanceof InstallFailure && !link.problem) {
      const stages = error.exit ? [describeStage(error.exit)] : [];
      const exitCode = error.exit?.exitCode ?? null;
      this.#settle(live, { state: error.state, message: error.message, error: error.error.toJSON(), stages, exitCode });
      return 'done';
    }
    const problem =
      error instanceof CodeRunnerError
        ? error
        : new CodeRunnerError('engine_error', `No sandbox could be started: ${(error as Error).message}`);
    if (problem.code === 'engine_failing') {
      live.move('queued', { startedAt: null });
      live.announce();
      void pool.whenAble().then((able) => able && broker.resume());
      return 'again';
    }
    if (problem.code === 'engine_unavailable' || problem.code === 'shutting_down' || link.problem) {
      live.move('queued', { startedAt: null });
      live.announce();
      void link.whenUp().then((up) => up && broker.resume());
      return 'again';
    }
    this.#settle(live, { state: 'failed', message: problem.message, error: problem.toJSON() });
    return 'done';
  }

  #settle(live: LiveRun, { state, ...more }: Outcome): void {
    this.#unpin(live.owner, live.id);
    this.#specs.delete(live.id);
    live.move(state, { ...more, endedAt: new Date().toISOString() });
    this.#write(live);
    live.announce();
    const { run } = live;
    this.observer?.settled(run, Date.parse(run.startedAt ?? run.endedAt ?? run.createdAt) - Date.parse(run.createdAt));
  }

  /** Writes a run's end down. While that fails (a full disk) the run stays in memory, and it is tried again. */
  #write(live: LiveRun): void {
    try {
      this.#options.store.settle(live.run, live.output.dump());
      this.#unsettled.delete(live);
      this.#live.delete(live.id);
      if (this.#unsettled.size === 0) {
        clearInterval(this.#resettle);
        this.#resettle = undefined;
      }
    } catch (error) {
      if (!this.#unsettled.has(live))
        this.#options.log.error({ err: error, run: live.id }, 'the end of a run could not be written; trying again');
      this.#unsettled.add(live);
      this.#resettle ??= setInterval(() => {
        for (const waiting of this.#unsettled) this.#write(waiting);
      }, RESETTLE_EVERY_MS);
    }
  }

  /** Keeps a run's contents until it is settled. */
  #pin(owner: string, id: string, needed: readonly string[]): void {
    this.#options.blobs.pin(owner, needed);
    this.#pinned.set(id, needed);
  }

  /** May be called again. */
  #unpin(owner: string, id: string): void {
    this.#options.blobs.unpin(owner, this.#pinned.get(id) ?? []);
    this.#pinned.delete(id);
  }

  /** @throws Error where it cannot be read: the disk may fail, or have failed while it was written */
  #spec(id: string): RunSpec {
    const kept = this.#specs.get(id);
    if (kept) return kept;
    try {
      const stored = this.#options.store.spec(id);
      if (stored === undefined) throw new Error('it is not there');
      const spec = JSON.parse(stored) as RunSpec | null;
      if (!Array.isArray(spec?.files)) throw new Error('it is none');
      return spec;
    } catch (error) {
      throw new Error(`its specification cannot be read (${(error as Error).message})`, { cause: error });
    }
  }

  #findLive(owner: string, id: string): LiveRun | undefined {
    const live = this.#live.get(id);
    return live?.owner === owner ? live : undefined;
  }

  #findStored(owner: string, id: string): StoredRun {
    const stored = this.#options.store.get(id);
    if (stored?.owner === owner) return stored;
    throw new CodeRunnerError('not_found', `There is no run ${id.slice(0, 40)}.`);
  }

  /** The run that was asked for with this key before. @throws CodeRunnerError key_reused */
  #known(owner: string, key: RunKey | undefined): LiveRun | undefined {
    const found = key && this.#options.store.keyed(owner, key.name);
    if (!found) return undefined;
    if (found.requestHash === key.requestHash) return this.follow(owner, found.id);
    throw new CodeRunnerError('key_reused', `The key belongs to the run ${found.id}, which is another one.`, {
      details: { id: found.id },
    });
  }

  #checkRoom(owner: string): void {
    const { broker, config } = this.#options;
    const full = (waiting: number, whose: string, setting: string) =>
      new CodeRunnerError(
        'queue_full',
        `${waiting.toLocaleString('en')} ${whose} are waiting already; no more are taken (${setting}).`,
      );
    if (broker.waiting >= config.maxQueued) throw full(broker.waiting, 'runs', 'CODERUNNER_MAX_QUEUED');
    const own = broker.waitingOf(owner);
    if (own >= config.maxQueuedPerOwner) throw full(own, 'of your runs', 'CODERUNNER_MAX_QUEUED_PER_OWNER');
  }

  /** Clients can build what is missing. That the engine does not answer is found by whoever asks it for a sandbox. */
  async #checkImage(spec: RunSpec): Promise<void> {
    const { images, runtimes } = this.#options;
    const runtime = withServices(runtimes.usable.find(({ id }) => id === spec.runtime) as Runtime, spec.services);
    const state = await images.state(runtime).catch(() => 'ready');
    if (state === 'ready') return;
    const name = imageName(runtime);
    throw new CodeRunnerError('runtime_not_built', `The image of ${runtime.name} has not been built yet.`, {
      hint: `Build it with \`coderunner runtimes build ${name}\`.`,
      details: { runtime: name },
    });
  }

  async #checkBlobs(owner: string, spec: RunSpec, needed: string[]): Promise<void> {
    const { blobs, config } = this.#options;
    const missing = await blobs.missing(owner, needed);
    if (missing.length > 0) throw missingBlobs(missing);
    let total = 0;
    for (const file of spec.files) {
      total +=
        'content' in file
          ? Buffer.byteLength(file.content, file.encoding ?? 'utf8')
          : ((await blobs.size(owner, file.sha256)) ?? 0);
    }
    if (total > config.maxRunBytes)
      throw tooLarge('The files of the run', total, config.maxRunBytes, 'CODERUNNER_MAX_RUN_BYTES');
  }
}

function liveRun(owner: string, run: Run, output: OutputLog, spec: RunSpec): LiveRun {
  return new LiveRun(owner, run, output, { interactive: spec.stdin === undefined });
}

function hashes(spec: RunSpec): string[] {
  return spec.files.flatMap((file) => ('sha256' in file ? [file.sha256] : []));
}

function newRun(spec: RunSpec): Run {
  return {
    id: newId(),
    state: 'queued',
    runtime: spec.runtime,
    entry: spec.entry,
    args: spec.args,
    createdAt: new Date().toISOString(),
    startedAt: null,
    endedAt: null,
    options: spec.options,
    services: spec.services,
    limits: spec.limits,
    tty: spec.tty !== null,
    exitCode: null,
    signal: null,
    message: null,
    error: null,
    wallMs: null,
    cpuMs: null,
    peakMemoryBytes: null,
    stages: [],
    compileCached: false,
    warm: { container: false, interpreter: false },
    outputBytes: 0,
    inputBytes: 0,
    files: [],
    results: null,
  };
}

/** 80 random bits, short enough to read out: `r_k3v9…`. Runs are ordered by the store, not by their ids. */
function newId(): string {
  const alphabet = '0123456789abcdefghjkmnpqrstvwxyz';
  return `r_${Array.from(randomBytes(16), (byte) => alphabet[byte & 31]).join('')}`;
}
