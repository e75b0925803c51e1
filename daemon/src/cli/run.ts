/** `coderunner run`: a file's way into a sandbox, and its output, input, signals and end back to the person. */
import { constants } from 'node:os';
import type { Client, StartRequest } from '../client/client.ts';
import type { RunObserver } from '../client/run-feed.ts';
import type { RunHandle } from '../client/run-handle.ts';
import { CodeRunnerError, type ErrorBody } from '../protocol/errors.ts';
import type { Run } from '../protocol/resources.ts';
import { formatBytes, formatDuration } from '../protocol/units.ts';
import { connect } from './connect.ts';
import { forward, openInput, rawTerminal, terminalSize, tidyScreen } from './input.ts';
import { JsonLines } from './json-lines.ts';
import { OWN_FAILURE, say, sayError, stderr, stdout } from './output.ts';
import { collectProject } from './project.ts';

export interface RunOptions {
  runtime?: string;
  tty: boolean;
  stdin?: string;
  env: Record<string, string>;
  option: Record<string, string>;
  service: string[];
  /** Milliseconds. */
  timeout?: number;
  cpu?: number;
  /** Bytes. */
  memory?: number;
  outputLimit?: number;
  collect: string[];
  out?: string;
  only: boolean;
  include: string[];
  cold: boolean;
  json: boolean;
  quiet: boolean;
  verbose: boolean;
  detach: boolean;
  inputDir?: string;
  outputDir?: string;
  stopAtFirstFailure: boolean;
  priority?: number;
}

const TIMED_OUT = 124;
const OUT_OF_MEMORY = 137;

/** @returns the exit code: the program's own, or what shells and `timeout` use for the other ends */
export async function run(file: string, args: string[], options: RunOptions): Promise<number> {
  const interrupts = new Interrupts();
  try {
    return await submit(file, args, options, interrupts);
  } catch (error) {
    if (interrupts.code !== undefined) return interrupts.code;
    if (!options.json || !(error instanceof CodeRunnerError)) throw error;
    await new JsonLines().error(error);
    return OWN_FAILURE;
  }
}

async function submit(file: string, args: string[], options: RunOptions, interrupts: Interrupts): Promise<number> {
  checkOptions(options);
  await using connected = connect({ signal: interrupts.signal, quiet: options.quiet || options.json });
  const { client, config } = connected;
  const project = await collectProject(file, { ...options, ...config });
  const typed = options.stdin === undefined && process.stdin.isTTY && !options.detach;
  const request: StartRequest = {
    ...project,
    args,
    env: options.env,
    options: options.option,
    services: options.service,
    collect: options.collect,
    cold: options.cold,
    limits: limitsOf(options),
    ...(options.runtime === undefined ? {} : { runtime: options.runtime }),
    ...(options.tty ? { tty: terminalSize() } : {}),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  };
  if (options.detach) return await detach(client, request, options);
  // Whoever types needs longer than a program that only computes.
  const patient = typed && options.timeout === undefined ? { wallMs: config.maxWall } : {};
  return await attend(client, request, patient, options, interrupts);
}

function checkOptions({ collect, out, detach, tty, json }: RunOptions): void {
  const refuse = (message: string, hint: string) => {
    throw new CodeRunnerError('bad_usage', message, { hint });
  };
  if (collect.length > 0 && out === undefined)
    refuse('--collect needs --out DIR.', 'Say with --out which folder produced files are written into.');
  if (out !== undefined && collect.length === 0)
    refuse('--out needs --collect GLOB.', "Say with --collect which files are wanted, such as --collect '*.png'.");
  if (detach && (tty || collect.length > 0 || json))
    refuse('--detach goes with neither --tty nor --collect nor --json.', 'Leave out --detach, or the other one.');
}

/** The limits that were asked for. */
export function limitsOf({ timeout, cpu, memory, outputLimit }: RunOptions): NonNullable<StartRequest['limits']> {
  return {
    ...(timeout === undefined ? {} : { wallMs: timeout }),
    ...(cpu === undefined ? {} : { cpuMs: cpu }),
    ...(memory === undefined ? {} : { memoryBytes: memory }),
    ...(outputLimit === undefined ? {} : { outputBytes: outputLimit }),
  };
}

/** Starts it, passes on the input that there is, and leaves it. */
async function detach(client: Client, request: StartRequest, { stdin }: RunOptions): Promise<number> {
  const input = stdin === undefined ? undefined : await openInput(stdin);
  const nobody: RunObserver = { onOutput() {} };
  using handle = await start(client, input ? request : { ...request, stdin: null }, nobody);
  await stdout.write(Buffer.from(`${handle.id}\n`));
  if (input) await forward(input, handle);
  return 0;
}

/** Stays with it until it has ended. */
async function attend(
  client: Client,
  request: StartRequest,
  patient: NonNullable<StartRequest['limits']>,
  options: RunOptions,
  interrupts: Interrupts,
): Promise<number> {
  const view = options.json ? new JsonView() : new PlainView();
  const input = await openInput(options.stdin);
  const within = (limits: StartRequest['limits']) =>
    start(
      client,
      { ...request, ...(limits ? { limits } : {}), ...(input ? {} : { stdin: null }) },
      view,
      interrupts.signal,
    );
  let handle: RunHandle;
  try {
    handle = await within({ ...patient, ...request.limits });
  } catch (error) {
    // The daemon allows less than this command's settings say; then its usual limit has to do.
    const refused = error instanceof CodeRunnerError && error.code === 'bad_limit' && 'wallMs' in patient;
    if (!refused) throw error;
    handle = await within(request.limits);
  }
  using _handle = handle;
  interrupts.attach(handle);
  if (options.verbose) await view.note(`${handle.id}: ${handle.run.runtime}, ${request.files.length} files`);
  using _terminal = options.tty ? rawTerminal(handle) : undefined;
  const inputFailed = Promise.withResolvers<never>();
  if (input) forward(input, handle).catch(inputFailed.reject);
  try {
    const ended = await Promise.race([handle.done, inputFailed.promise]);
    _terminal?.[Symbol.dispose]();
    if (options.tty && ended.state !== 'succeeded' && ended.state !== 'failed') tidyScreen();
    return await finish(client, ended, view, options, interrupts);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') {
      if (!handle.run.endedAt) await client.api.cancel(handle.id);
      throw error;
    }
    // Nobody reads any more, as in `coderunner run … | head`: the program would have ended of it, too.
    await client.api.cancel(handle.id);
    return 128 + constants.signals.SIGPIPE;
  }
}

/** Starts it. */
function start(client: Client, request: StartRequest, observer: RunObserver, signal?: AbortSignal): Promise<RunHandle> {
  return withImage(() => client.start(request, observer, signal));
}

/** Does what needs the image of a language, which is built before where it is the first time. */
export async function withImage<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof CodeRunnerError) || error.code !== 'runtime_not_built') throw error;
    const { runtime } = error.details as { runtime: string };
    await say(`coderunner: preparing ${runtime} for its first run`);
    const { buildRuntimes } = await import('./build.ts');
    await buildRuntimes([runtime], { force: false });
    return action();
  }
}

async function finish(
  client: Client,
  ended: Run,
  view: JsonView | PlainView,
  options: RunOptions,
  interrupts: Interrupts,
): Promise<number> {
  if (options.collect.length > 0) {
    const { fetchFile } = await import('./collect.ts');
    const out = options.out as string;
    for (const file of ended.files) await view.file(await fetchFile(client.api, file, out), file.sizeBytes, options);
    if (ended.files.length === 0 && !options.quiet) await view.note('no produced file matches --collect');
  }
  if (view instanceof JsonView && ended.results) {
    const { fetchResults } = await import('./results.ts');
    for (const result of await fetchResults(client.api, ended)) await view.result(result);
  }
  await view.end(ended, options);
  return exitCode(ended, interrupts.code);
}

/** @param interrupted the exit code where a signal to us made us cancel the run */
function exitCode(run: Run, interrupted: number | undefined): number {
  switch (run.state) {
    case 'timed_out':
      return TIMED_OUT;
    case 'out_of_memory':
      return OUT_OF_MEMORY;
    case 'signaled':
      return 128 + signalNumber(run.signal);
    case 'cancelled':
      return interrupted ?? OWN_FAILURE;
    case 'output_limit':
    case 'lost':
      return OWN_FAILURE;
    default:
      if (run.error) return OWN_FAILURE;
      return run.exitCode ?? (run.signal === null ? OWN_FAILURE : 128 + signalNumber(run.signal));
  }
}

/** `SIG34` is what a signal without a name is called. */
function signalNumber(name: string | null): number {
  return (constants.signals as Record<string, number>)[name ?? ''] ?? Number(name?.slice('SIG'.length) ?? 0);
}

/**
 * Ctrl-C, and what else asks this process to end. The first interrupt goes to the program, the next one ends the run, a third
 * one us.
 */
class Interrupts {
  readonly #starting = new AbortController();
  #handle: RunHandle | undefined;
  #count = 0;
  /** What to exit with when the run was cancelled because of a signal. */
  code: number | undefined;

  constructor() {
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => this.#received(name));
  }

  /** Aborted when the run is not wanted before it is there. */
  get signal(): AbortSignal {
    return this.#starting.signal;
  }

  attach(handle: RunHandle): void {
    this.#handle = handle;
  }

  #received(name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void {
    this.#count++;
    const code = 128 + constants.signals[name];
    if (this.#count > 2 || (this.#count > 1 && !this.#handle)) process.exit(code);
    if (this.#handle && name === 'SIGINT' && this.#count === 1) {
      this.#handle.signal(name).catch(() => this.#cancel(code)); // it does not run yet, or is not to be reached this way
      return;
    }
    this.#cancel(code);
  }

  #cancel(code: number): void {
    this.code = code;
    if (!this.#handle) {
      this.#starting.abort();
      return;
    }
    // What cannot be cancelled any more has ended, or is told by `done`.
    this.#handle.cancel().catch(() => {});
  }
}

/** For a person: the program's bytes as they are; what we have to say, on stderr. */
class PlainView implements RunObserver {
  /** Whether the cursor stands behind something that the program printed last. */
  #midLine = false;

  async onOutput({ channel, data }: Parameters<RunObserver['onOutput']>[0]): Promise<void> {
    this.#midLine = data.at(-1) !== 0x0a;
    await (channel === 'stderr' ? stderr : stdout).write(data);
  }

  onGap(from: number, to: number): Promise<void> {
    return this.note(
      `${formatBytes(to - from)} of output are missing here: they came faster than they could be taken.`,
    );
  }

  async note(text: string): Promise<void> {
    const newLine = this.#midLine && process.stderr.isTTY ? '\n' : '';
    this.#midLine = false;
    await say(`${newLine}coderunner: ${text}`);
  }

  async file(path: string, sizeBytes: number, { verbose }: RunOptions): Promise<void> {
    if (verbose) await this.note(`${path} (${formatBytes(sizeBytes)})`);
  }

  async end(run: Run, { quiet, verbose }: RunOptions): Promise<void> {
    if (run.error) await sayError(CodeRunnerError.from(run.error as Partial<ErrorBody>));
    else if (run.message !== null && !quiet) await this.note(run.message);
    if (verbose) await this.note(summary(run));
  }
}

/** For programs: a JSON object a line. */
class JsonView implements RunObserver {
  readonly #lines = new JsonLines();

  onOutput({ channel, data }: Parameters<RunObserver['onOutput']>[0]): Promise<void> {
    return this.#lines.output(channel, data);
  }

  onGap(from: number, to: number): Promise<void> {
    return this.#lines.gap(to - from);
  }

  async note(text: string): Promise<void> {
    await say(`coderunner: ${text}`);
  }

  file(path: string, sizeBytes: number): Promise<void> {
    return this.#lines.file(path, sizeBytes);
  }

  result(result: Record<string, unknown>): Promise<void> {
    return this.#lines.result(result);
  }

  async end(run: Run): Promise<void> {
    await this.#lines.stages(run);
    await this.#lines.end(run);
  }
}

function summary(run: Run): string {
  const { container, interpreter, reused } = run.warm;
  const start = interpreter ? 'waiting interpreter' : container ? 'waiting container' : 'new container';
  const parts = [run.state.replaceAll('_', ' '), start];
  if (reused) parts.push('container used before');
  if (run.compileCached) parts.push('compiled before');
  if (run.wallMs !== null) parts.push(formatDuration(run.wallMs));
  if (run.cpuMs !== null) parts.push(`CPU ${formatDuration(run.cpuMs)}`);
  if (run.peakMemoryBytes !== null) parts.push(`memory ${formatBytes(run.peakMemoryBytes)}`);
  return parts.join(', ');
}
