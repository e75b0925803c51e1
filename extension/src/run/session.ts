/** One run of a program, from collecting its files to its end. The console, the output channel and the status bar watch it. */
import type { Output, RunHandle } from '@coderunner/daemon/client';
import {
  CodeRunnerError,
  type ErrorBody,
  isEnd,
  type Run,
  type RuntimeInfo,
  type TtySize,
} from '@coderunner/daemon/protocol';
import { EventEmitter, l10n, type Uri, workspace } from 'vscode';
import type { Phase, RunView } from '../console/messages.ts';
import { Transcript } from '../console/transcript.ts';
import type { Daemon } from '../daemon/daemon.ts';
import { buildImage } from '../daemon/images.ts';
import { translated } from '../translations.ts';
import type { HashCache } from './collect.ts';
import { explain, type Failure } from './failures.ts';
import type { Program } from './program.ts';
import { type Asked, filesOf, firstLine, requestOf, wantsTerminal } from './request.ts';
import { chooseRuntime } from './runtimes.ts';

/** A place in a document; lines and characters count from 0 on. */
export interface SourcePlace {
  uri: Uri;
  line: number;
  character: number | null;
}

export interface SessionOptions {
  id: number;
  program: Program;
  daemon: Daemon;
  hashes: HashCache;
  /** Of the console that it will be shown in. */
  size: TtySize;
  /** The id of a run that was started before, to be followed again instead of starting one. */
  resume?: string;
}

export class Session {
  readonly id: number;
  readonly program: Program;
  readonly transcript: Transcript;
  /** Resolves when nothing more will happen; never rejects. */
  readonly over: Promise<void>;
  readonly #daemon: Daemon;
  readonly #hashes: HashCache;
  readonly #changed = new EventEmitter<void>();
  readonly #printed = new EventEmitter<Output>();
  readonly #stop = new AbortController();
  readonly #resume: string | undefined;
  #size: TtySize;
  #phase: Phase;
  #run: Run | undefined;
  #handle: RunHandle | undefined;
  #failure: Failure | undefined;
  /** Why it was refused, for buttons that need to know. */
  #error: unknown;
  #problem: SourcePlace | undefined;
  #startedAt: number | undefined;
  #elapsedMs: number | undefined;
  /** Typed before the program was there to take it. */
  #typedEarly: Uint8Array[] = [];
  #eofEarly = false;
  /** No longer followed: what still arrives is not told to anybody. */
  #left = false;

  readonly onDidChange = this.#changed.event;
  readonly onDidPrint = this.#printed.event;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.program = options.program;
    this.#daemon = options.daemon;
    this.#hashes = options.hashes;
    this.#size = options.size;
    this.#resume = options.resume;
    this.#phase = options.resume === undefined ? 'collecting' : 'connecting';
    this.transcript = new Transcript(options.id);
    this.over = this.#live();
  }

  /** The daemon's id of the run, once it has one. */
  get runId(): string | undefined {
    return this.#run?.id ?? this.#resume;
  }

  get run(): Run | undefined {
    return this.#run;
  }

  /** It was begun by an earlier window, which has told of its end if it had ended. */
  get resumed(): boolean {
    return this.#resume !== undefined;
  }

  get error(): unknown {
    return this.#error;
  }

  get ended(): boolean {
    return this.#failure !== undefined || isEndPhase(this.#phase);
  }

  /** Where the program should be looked at first; undefined where nothing says so, or nothing went wrong. */
  get problem(): SourcePlace | undefined {
    return this.ended && this.#phase !== 'succeeded' && this.#phase !== 'cancelled' ? this.#problem : undefined;
  }

  /** The language server has found that place, or it has moved. */
  set problem(place: SourcePlace | undefined) {
    this.#problem = place;
    if (!this.#left) this.#changed.fire();
  }

  get view(): RunView {
    const run = this.#run;
    const { ended, problem } = this;
    return {
      id: this.id,
      phase: this.#phase,
      ended,
      elapsedMs: this.#elapsedMs ?? (this.#startedAt === undefined ? null : Date.now() - this.#startedAt),
      message: this.#failure?.message ?? saidOf(run) ?? waiting(this.#phase),
      hint: this.#failure?.hint ?? null,
      actions: this.#failure?.actions ?? [],
      exitCode: run?.exitCode ?? null,
      signal: run?.signal ?? null,
      cpuMs: run?.cpuMs ?? null,
      peakMemoryBytes: run?.peakMemoryBytes ?? null,
      acceptsInput: !ended && this.program.stdin === undefined,
      tty: run?.tty ?? wantsTerminal(this.program),
      problem: problem ? { path: workspace.asRelativePath(problem.uri, false), line: problem.line + 1 } : null,
      files: run?.files ?? [],
      hasResults: Boolean(run?.results),
    };
  }

  /** Ends it, however far it has come. */
  stop(): void {
    this.#stop.abort();
    this.#handle?.cancel().catch(() => {}); // its end is told by `done`
  }

  /** Looks no more; the program goes on. */
  leave(): void {
    this.#left = true;
    this.#handle?.[Symbol.dispose]();
    if (!this.#handle) this.#stop.abort();
  }

  type(text: string): void {
    const bytes = Buffer.from(text);
    if (this.#handle) this.#write(this.#handle.write(bytes));
    else if (!this.ended) this.#typedEarly.push(bytes);
  }

  eof(): void {
    if (this.#handle) this.#write(this.#handle.eof());
    else this.#eofEarly = true;
  }

  signal(name: string): void {
    if (this.#handle) this.#write(this.#handle.signal(name));
    else this.stop();
  }

  resize(size: TtySize): void {
    this.#size = size;
    if (this.#handle && this.#run?.tty && !this.ended) this.#handle.resize(size);
  }

  /** The contents of a file that it produced. @throws CodeRunnerError not_found */
  async produced(path: string): Promise<Uint8Array> {
    const file = this.#run?.files.find((candidate) => candidate.path === path);
    if (!file) throw new CodeRunnerError('not_found', l10n.t('The run produced no file {0}.', path));
    return this.#contents(file.sha256);
  }

  /** The tables that it gave, a line each. @throws CodeRunnerError not_found */
  async results(): Promise<Uint8Array> {
    const results = this.#run?.results;
    if (!results) throw new CodeRunnerError('not_found', l10n.t('The run gave no tables.'));
    return this.#contents(results.sha256);
  }

  async #contents(sha256: string): Promise<Uint8Array> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.#daemon.client.api.blob(sha256)) chunks.push(chunk);
    return new Uint8Array(Buffer.concat(chunks));
  }

  async #live(): Promise<void> {
    try {
      // Whoever made it has to be able to listen before anything happens.
      await Promise.resolve();
      const handle = await (this.#resume === undefined ? this.#start() : this.#follow(this.#resume));
      this.#handle = handle;
      this.#observer.onState(handle.run);
      if (this.#stop.signal.aborted) await handle.cancel();
      if (this.#left) handle[Symbol.dispose]();
      for (const bytes of this.#typedEarly.splice(0)) this.#write(handle.write(bytes));
      if (this.#eofEarly) this.#write(handle.eof());
      this.#state(await handle.done);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #start(): Promise<RunHandle> {
    const { program } = this;
    const [collected, runtime] = await Promise.all([
      filesOf(program, this.#hashes, this.#stop.signal),
      this.#runtime(),
    ]);
    if (collected.unreadable.length > 0)
      this.transcript.notice(l10n.t('Left out, because they cannot be read: {0}', collected.unreadable.join(', ')));
    if (runtime.state === 'not_built') await this.#build(runtime.id, runtime.name);
    const asked = requestOf(program, runtime, collected, this.#size);
    try {
      return await this.#submit(asked);
    } catch (error) {
      // With a service beside it, a language has another image.
      const image = error instanceof CodeRunnerError && error.code === 'runtime_not_built' && imageOf(error);
      if (!image || this.#daemon.url) throw error;
      await this.#build(image, image);
      return this.#submit(asked);
    }
  }

  async #submit({ request, usual }: Asked): Promise<RunHandle> {
    this.#enter('connecting');
    const { client } = this.#daemon;
    try {
      return await client.start(request, this.#observer, this.#stop.signal);
    } catch (error) {
      if (!usual || !(error instanceof CodeRunnerError) || error.code !== 'bad_limit') throw error;
      return client.start(usual, this.#observer, this.#stop.signal);
    }
  }

  #follow(id: string): Promise<RunHandle> {
    return this.#daemon.client.follow(id, this.#observer);
  }

  async #runtime(): Promise<RuntimeInfo> {
    const line = await firstLine(this.program);
    const choose = async (fresh: boolean) => chooseRuntime(this.program, await this.#daemon.runtimes(fresh), line);
    // It may have been added since.
    const chosen = await choose(false).catch((error: unknown) => {
      if (error instanceof CodeRunnerError && error.code === 'unknown_runtime') return choose(true);
      throw error;
    });
    if (chosen.state === 'ready') return chosen;
    // It may have been built since.
    const now = (await this.#daemon.runtimes(true)).find(({ id }) => id === chosen.id) ?? chosen;
    if (now.state === 'broken')
      throw new CodeRunnerError('bad_runtime', `${now.name} does not work here: ${now.problem ?? 'it is broken'}`);
    return now;
  }

  /** @param image as the command line calls it */
  async #build(image: string, name: string): Promise<void> {
    if (this.#daemon.url)
      throw new CodeRunnerError(
        'runtime_not_built',
        `The daemon at ${this.#daemon.url} has not prepared ${name} yet.`,
        {
          hint: 'Ask its operator to run `coderunner runtimes build`.',
        },
      );
    this.#enter('building');
    const onLine = (line: string) => this.transcript.notice(line);
    await buildImage(this.#daemon.local, { id: image, name }, onLine, this.#stop.signal);
    await this.#daemon.runtimes(true);
  }

  readonly #observer = {
    onOutput: (output: Output) => {
      if (this.#left) return undefined;
      // A copy, because the buffer belongs to the connection; and no Buffer, which on its way to the page would become JSON.
      const data = new Uint8Array(output.data);
      this.#printed.fire({ ...output, data });
      return this.transcript.output(output.channel, output.seq, data);
    },
    onGap: (from: number, to: number) => this.transcript.gap(from, to),
    // What it printed may still be on its way: its end is told by `done`, after that.
    onState: (run: Run) => {
      if (!isEnd(run.state)) this.#state(run);
    },
  };

  #state(run: Run): void {
    // The first that is heard of a run that was shown before.
    if (this.#resume !== undefined && !this.#run) this.transcript.answered(run.outputBytes);
    this.#run = run;
    if (run.startedAt !== null) this.#startedAt ??= Date.now() - sinceStart(run);
    if (isEnd(run.state)) {
      this.#elapsedMs = run.wallMs ?? between(run.startedAt, run.endedAt);
      if (run.error) this.#failure = explain(CodeRunnerError.from(run.error as Partial<ErrorBody>), !this.#daemon.url);
    }
    this.#enter(run.state);
  }

  #fail(error: unknown): void {
    if (this.#left) return;
    if (this.#stop.signal.aborted && (!(error instanceof CodeRunnerError) || error.code === 'run_ended')) {
      this.#enter('cancelled');
      return;
    }
    if ((error as Error).name === 'AbortError') {
      this.#enter('cancelled');
      return;
    }
    this.#error = error;
    this.#failure = explain(error, !this.#daemon.url);
    this.#enter(this.#run ? 'lost' : 'failed');
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    if (!this.#left) this.#changed.fire();
  }

  /** What is typed after the program's end, or its input's, goes nowhere, as at every terminal. */
  #write(writing: Promise<void>): void {
    writing.catch((error: unknown) => {
      const expected =
        error instanceof CodeRunnerError && (error.code === 'run_ended' || error.code === 'stdin_closed');
      if (!expected && !this.ended) this.transcript.notice((error as Error).message);
    });
  }
}

function between(start: string | null, end: string | null): number {
  return start === null || end === null ? 0 : Date.parse(end) - Date.parse(start);
}

/** How long it has been running when it was found again, by this machine's clock and the daemon's. */
function sinceStart({ startedAt, endedAt }: Run): number {
  return startedAt === null || endedAt !== null ? 0 : Math.max(0, Date.now() - Date.parse(startedAt));
}

function isEndPhase(phase: Phase): boolean {
  return phase !== 'collecting' && phase !== 'connecting' && phase !== 'building' && isEnd(phase);
}

/** The daemon's verdict. What was cancelled was stopped: so the button is called. */
function saidOf(run: Run | undefined): string | undefined {
  return run?.message == null || run.message === 'Cancelled.' ? undefined : translated(run.message);
}

function waiting(phase: Phase): string | null {
  switch (phase) {
    case 'collecting':
      return l10n.t('Collecting files');
    case 'connecting':
      return l10n.t('Connecting to the daemon');
    case 'building':
      return l10n.t('Preparing the language’s image');
    case 'queued':
      return l10n.t('Waiting for its turn');
    case 'starting':
      return l10n.t('Starting');
    case 'installing':
      return l10n.t('Installing dependencies');
    case 'compiling':
      return l10n.t('Compiling');
    case 'cancelled':
      return l10n.t('Stopped');
    default:
      return null;
  }
}

/** Which image has to be built, as the command line calls it. */
function imageOf({ details }: CodeRunnerError): string | undefined {
  const { runtime } = (details ?? {}) as { runtime?: unknown };
  return typeof runtime === 'string' ? runtime : undefined;
}
