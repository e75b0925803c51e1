/** One run of a program, from collecting its files to its end. The console, the output channel and the status bar watch it. */
import { readFile } from 'node:fs/promises';
import type { Output, RunHandle, StartRequest } from '@coderunner/daemon/client';
import { CodeRunnerError, isEnd, type Run, type RuntimeInfo, type TtySize } from '@coderunner/daemon/protocol';
import { EventEmitter, l10n, Uri, workspace } from 'vscode';
import { setting } from '../configuration.ts';
import type { Phase, RunView } from '../console/messages.ts';
import { Transcript } from '../console/transcript.ts';
import type { Daemon } from '../daemon/daemon.ts';
import { buildImage } from '../daemon/images.ts';
import { type Collected, collect, collectAlone, type HashCache } from './collect.ts';
import { explain, type Failure } from './failures.ts';
import { type Program, unsavedBelow } from './program.ts';
import { chooseRuntime } from './runtimes.ts';

/** Somebody may be typing: longer than programs that only compute usually get. */
const PATIENT_WALL_MS = 60 * 60_000;

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
      message: this.#failure?.message ?? run?.message ?? waiting(this.#phase),
      hint: this.#failure?.hint ?? null,
      actions: this.#failure?.actions ?? [],
      exitCode: run?.exitCode ?? null,
      signal: run?.signal ?? null,
      cpuMs: run?.cpuMs ?? null,
      peakMemoryBytes: run?.peakMemoryBytes ?? null,
      acceptsInput: !ended && this.program.stdin === undefined,
      tty: run?.tty ?? this.#wantsTerminal,
      problem: problem ? { path: workspace.asRelativePath(problem.uri, false), line: problem.line + 1 } : null,
      files: run?.files ?? [],
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
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.#daemon.client.api.blob(file.sha256)) chunks.push(chunk);
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
    const scope = Uri.parse(program.uri);
    const [collected, runtime] = await Promise.all([this.#collect(scope), this.#runtime()]);
    if (collected.unreadable.length > 0)
      this.transcript.notice(l10n.t('Left out, because they cannot be read: {0}', collected.unreadable.join(', ')));
    if (runtime.state === 'not_built') await this.#build(runtime);
    this.#enter('connecting');
    const entry = entryName(program, runtime);
    const [wallTimeSeconds, memoryMiB] = [setting('wallTimeSeconds', scope), setting('memoryMiB', scope)];
    const orphanSeconds = setting('orphanSeconds', scope);
    const patient = wallTimeSeconds === 0 && program.stdin === undefined;
    const request: StartRequest = {
      files: collected.files.map((file) => (file.path === program.entry ? { ...file, path: entry } : file)),
      entry,
      runtime: runtime.id,
      args: program.args ?? [],
      env: { ...setting('environment', scope) },
      ...this.#choices(runtime, scope),
      collect: [...setting('collect', scope)],
      limits: {
        ...(wallTimeSeconds > 0 ? { wallMs: wallTimeSeconds * 1000 } : {}),
        ...(memoryMiB > 0 ? { memoryBytes: memoryMiB * 2 ** 20 } : {}),
      },
      ...(orphanSeconds > 0 ? { orphanMs: orphanSeconds * 1000 } : {}),
      ...(program.stdin === undefined ? {} : { stdin: program.stdin }),
      ...(this.#wantsTerminal ? { tty: this.#size } : {}),
    };
    const start = (limits: StartRequest['limits']) =>
      this.#daemon.client.start({ ...request, ...(limits ? { limits } : {}) }, this.#observer, this.#stop.signal);
    try {
      return await start(patient ? { ...request.limits, wallMs: PATIENT_WALL_MS } : request.limits);
    } catch (error) {
      // The daemon allows less: then its usual time has to do.
      if (!patient || !(error instanceof CodeRunnerError) || error.code !== 'bad_limit') throw error;
      return start(request.limits);
    }
  }

  /** What the person has chosen for the language. A daemon that knows no such choice says what there is. */
  #choices({ id }: RuntimeInfo, scope: Uri): Pick<StartRequest, 'options'> {
    const options = setting('options', scope)[id];
    return options ? { options } : {};
  }

  #follow(id: string): Promise<RunHandle> {
    return this.#daemon.client.follow(id, this.#observer);
  }

  /** A program whose input comes with it is given pipes: at a terminal it would be typed, echo and all. */
  get #wantsTerminal(): boolean {
    return this.program.stdin === undefined && setting('terminal', Uri.parse(this.program.uri));
  }

  async #collect(scope: Uri): Promise<Collected> {
    const { root, entry, text } = this.program;
    if (text !== undefined && root === undefined)
      return { files: [{ path: entry, content: Buffer.from(text) }], unreadable: [] };
    if (root === undefined) {
      const document = workspace.textDocuments.find((candidate) => candidate.uri.toString() === this.program.uri);
      if (document?.isDirty)
        return { files: [{ path: entry, content: Buffer.from(document.getText()) }], unreadable: [] };
      return collectAlone(scope.fsPath, entry);
    }
    const unsaved = unsavedBelow(root);
    if (text !== undefined) unsaved.set(entry, Buffer.from(text));
    const hidden = Object.entries(
      workspace.getConfiguration('files', scope).get<Record<string, unknown>>('exclude', {}),
    );
    return collect(
      {
        root,
        entry,
        unsaved,
        // Conditions ("hide it where its source is") are about what is shown, not about what a program needs.
        exclude: [...hidden.filter(([, on]) => on === true).map(([glob]) => glob), ...setting('exclude', scope)],
        maxFiles: setting('maxFiles', scope),
        maxBytes: setting('maxSizeMiB', scope) * 2 ** 20,
        signal: this.#stop.signal,
      },
      this.#hashes,
    );
  }

  async #runtime(): Promise<RuntimeInfo> {
    const chosen = chooseRuntime(this.program, await this.#daemon.runtimes(), await firstLine(this.program));
    if (chosen.state === 'ready') return chosen;
    // It may have been built since.
    const now = (await this.#daemon.runtimes(true)).find(({ id }) => id === chosen.id) ?? chosen;
    if (now.state === 'broken')
      throw new CodeRunnerError('bad_runtime', `${now.name} does not work here: ${now.problem ?? 'it is broken'}`);
    return now;
  }

  async #build(runtime: RuntimeInfo): Promise<void> {
    if (this.#daemon.url)
      throw new CodeRunnerError(
        'runtime_not_built',
        `The daemon at ${this.#daemon.url} has not prepared ${runtime.name} yet.`,
        {
          hint: 'Ask its operator to run `coderunner runtimes build`.',
        },
      );
    this.#enter('building');
    await buildImage(this.#daemon.local, runtime, (line) => this.transcript.notice(line), this.#stop.signal);
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
      if (run.error)
        this.#failure = explain(CodeRunnerError.from(run.error as Partial<CodeRunnerError>), !this.#daemon.url);
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

/** A text that is in no file has no ending, which compilers look at. */
function entryName({ root, entry, text }: Program, runtime: RuntimeInfo): string {
  return root === undefined && text !== undefined && !entry.includes('.') ? runtime.entry : entry;
}

/** A script without an ending says in its first line what runs it. */
async function firstLine({ uri, entry, text }: Program): Promise<string> {
  if (entry.includes('.')) return '';
  const whole = text ?? (await readFile(Uri.parse(uri).fsPath, 'utf8').catch(() => ''));
  return whole.slice(0, 200).split('\n', 1)[0] ?? '';
}
