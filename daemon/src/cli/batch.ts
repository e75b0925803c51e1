/** `coderunner run --input-dir`: one program, each file of a folder as its input, a line for each of them. */

import { mkdir, realpath, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Client, StartBatch } from '../client/client.ts';
import { CodeRunnerError, type ErrorBody } from '../protocol/errors.ts';
import type { BatchEnd, BatchResult } from '../protocol/resources.ts';
import { formatBytes, formatDuration } from '../protocol/units.ts';
import { connect } from './connect.ts';
import { JsonLines } from './json-lines.ts';
import { accentOut, OWN_FAILURE, print, reason, say, stderr } from './output.ts';
import { collectProject } from './project.ts';
import { limitsOf, type RunOptions, withImage } from './run.ts';
import { findInputs, requestInputs, type TestInput } from './test-inputs.ts';

const FAILED = 1;
const MOST_NAME_CHARACTERS = 40;
const VERDICT_CHARACTERS = 'compile failed'.length;

/** How many of the inputs have which end. */
interface Totals {
  total: number;
  passed: number;
  failed: number;
  /** Runs that had to compile. */
  compiled: number;
}

/** @returns the exit code: 0 where all inputs passed */
export async function runBatch(file: string, args: string[], options: RunOptions): Promise<number> {
  const stop = new AbortController();
  let code: number | undefined;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (code !== undefined) process.exit(code);
      code = 128 + constants.signals[name];
      stop.abort();
    });
  }
  try {
    return await submit(file, args, options, stop.signal);
  } catch (error) {
    if (code !== undefined) return code;
    if (!options.json || !(error instanceof CodeRunnerError)) throw error;
    await new JsonLines().error(error);
    return OWN_FAILURE;
  }
}

async function submit(file: string, args: string[], options: RunOptions, signal: AbortSignal): Promise<number> {
  const folder = checkOptions(options);
  const tests = await findInputs(folder);
  const keep = await outputFolder(options.outputDir, folder);
  await using connected = connect({ signal, quiet: options.quiet || options.json });
  const { client, config } = connected;
  const project = await collectProject(file, { ...options, ...config });
  const program = {
    ...project,
    args,
    env: options.env,
    options: options.option,
    services: options.service,
    cold: options.cold,
    limits: limitsOf(options),
    stopAtFirstFailure: options.stopAtFirstFailure,
    ...(options.runtime === undefined ? {} : { runtime: options.runtime }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
  };
  const totals: Totals = { total: tests.length, passed: 0, failed: 0, compiled: 0 };
  const view = options.json ? new JsonView() : new TableView(tests, options.quiet);
  try {
    for await (const inputs of requestInputs(folder, tests)) {
      const end = await attend(client, { ...program, inputs }, view, keep, totals, signal);
      if (end.error) throw CodeRunnerError.from(end.error as Partial<ErrorBody>);
      if (end.skipped > 0) break;
    }
  } catch (error) {
    await view.end(totals, false);
    throw error;
  }
  await view.end(totals, true);
  if (totals.compiled > 1 && config.compileCacheBytes === 0 && !options.quiet)
    await say(
      `coderunner: compiled ${totals.compiled} times, since compiled programs are not kept (CODERUNNER_COMPILE_CACHE_BYTES).`,
    );
  return totals.passed === totals.total ? 0 : FAILED;
}

/** One request of it. The first one in a language has its image built before. */
async function attend(
  client: Client,
  request: StartBatch,
  view: TableView | JsonView,
  keep: string | undefined,
  totals: Totals,
  signal: AbortSignal,
): Promise<BatchEnd> {
  const { first, lines } = await withImage(async () => {
    const lines = client.batch(request, signal);
    // Only a batch that was taken has a first line.
    return { first: await lines.next(), lines };
  });
  try {
    for (let next = first; !next.done; next = await lines.next()) {
      const line = next.value;
      if (line.type === 'end') return line;
      if (line.passed) totals.passed++;
      else totals.failed++;
      if (line.run.stages.some(({ stage }) => stage === 'compile')) totals.compiled++;
      if (keep !== undefined) await keepOutput(keep, line);
      await view.result(line, totals);
    }
  } finally {
    await lines.return(undefined);
  }
  throw new CodeRunnerError('protocol_error', 'The daemon did not say how the batch ended.');
}

/** @returns the folder of inputs */
function checkOptions({ inputDir, collect, out, stdin, detach, tty, outputDir }: RunOptions): string {
  const refuse = (message: string, hint: string): never => {
    throw new CodeRunnerError('bad_usage', message, { hint });
  };
  if (inputDir === undefined) {
    const name = outputDir === undefined ? '--stop-at-first-failure' : '--output-dir';
    return refuse(`${name} needs --input-dir FOLDER.`, 'Say with --input-dir where the inputs are.');
  }
  const others = { '--stdin': stdin !== undefined, '--tty': tty, '--detach': detach };
  for (const [name, given] of Object.entries({
    ...others,
    '--collect': collect.length > 0,
    '--out': out !== undefined,
  }))
    if (given) refuse(`--input-dir does not go with ${name}.`, 'Leave out one of them.');
  return inputDir;
}

/** @throws CodeRunnerError bad_usage, where it is the folder of inputs, whose expected outputs would be overwritten; bad_path */
async function outputFolder(folder: string | undefined, inputs: string): Promise<string | undefined> {
  if (folder === undefined) return undefined;
  await writing(folder, () => mkdir(folder, { recursive: true }));
  if ((await realpath(folder)) === (await realpath(inputs)))
    throw new CodeRunnerError('bad_usage', '--output-dir is the folder of the inputs.', {
      hint: 'Name another folder, so that no expected output is overwritten.',
    });
  return folder;
}

async function keepOutput(folder: string, { name, stdout, stderr, encoding }: BatchResult): Promise<void> {
  await writing(folder, async () => {
    await writeFile(join(folder, `${name}.out`), stdout, encoding);
    if (stderr !== '') await writeFile(join(folder, `${name}.err`), stderr, encoding);
  });
}

async function writing(folder: string, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    throw new CodeRunnerError('bad_path', `Nothing can be written into ${folder}: ${reason(error)}.`, {
      hint: 'Name with --output-dir a folder that you may write to, and that has room.',
      cause: error,
    });
  }
}

/** For a person: a line for each input as it is done, what is wrong with it below, and how many passed. */
class TableView {
  readonly #count: number;
  /** Names of the inputs whose output is compared. */
  readonly #compared: ReadonlySet<string>;
  readonly #quiet: boolean;
  readonly #nameWidth: number;
  #begun = false;

  constructor(tests: readonly TestInput[], quiet: boolean) {
    this.#count = tests.length;
    this.#compared = new Set(tests.flatMap(({ name, expected }) => (expected === undefined ? [] : [name])));
    this.#quiet = quiet;
    this.#nameWidth = Math.max(5, ...tests.map(({ name }) => Math.min(MOST_NAME_CHARACTERS, name.length)));
  }

  async result(result: BatchResult, totals: Totals): Promise<void> {
    const { name, passed, run } = result;
    if (!this.#begun && !this.#quiet) await print(accentOut('dim', this.#row('INPUT', 'VERDICT', 'TIME', 'MEMORY')));
    this.#begun = true;
    if (!passed || !this.#quiet) {
      await this.#clear();
      const memory = run.peakMemoryBytes === null ? '' : formatBytes(run.peakMemoryBytes);
      const time = run.wallMs === null ? '' : formatDuration(run.wallMs);
      const verdict = verdictOf(result, this.#compared.has(name)).padEnd(VERDICT_CHARACTERS);
      await print(this.#row(name, accentOut(passed ? 'green' : 'red', verdict), time, memory));
      for (const line of details(result)) await print(accentOut('dim', `  ${line}`));
    }
    await this.#progress(totals.passed + totals.failed);
  }

  /** @param whole it was not cut short by an error or a signal */
  async end({ total, passed, failed }: Totals, whole: boolean): Promise<void> {
    if (!whole && !this.#begun) return;
    await this.#clear();
    const skipped = total - passed - failed;
    const notRun = skipped === 0 ? '' : `, ${skipped} not run`;
    if (!this.#quiet || passed < total)
      await print(`${passed} of ${total} passed${failed === 0 ? '' : `, ${failed} failed`}${notRun}`);
  }

  #row(name: string, verdict: string, time: string, memory: string): string {
    const shown = name.length > MOST_NAME_CHARACTERS ? `${name.slice(0, MOST_NAME_CHARACTERS - 1)}…` : name;
    return `${shown.padEnd(this.#nameWidth)}  ${verdict.padEnd(VERDICT_CHARACTERS)}  ${time.padStart(9)}  ${memory.padStart(9)}`.trimEnd();
  }

  async #progress(done: number): Promise<void> {
    if (process.stderr.isTTY && !this.#quiet && done < this.#count)
      await stderr.write(Buffer.from(`\r\x1b[K${done} of ${this.#count} done`));
  }

  async #clear(): Promise<void> {
    if (process.stderr.isTTY && !this.#quiet) await stderr.write(Buffer.from('\r\x1b[K'));
  }
}

/** For programs: a JSON object for each input, and one for all. */
class JsonView {
  async result({ run, type, index: _index, ...result }: BatchResult): Promise<void> {
    const { id, state, exitCode, signal, wallMs, cpuMs, peakMemoryBytes, message, error, compileCached } = run;
    const verdict = { state, exitCode, signal, wallMs, cpuMs, peakMemoryBytes, message, compileCached };
    await print(JSON.stringify({ type, id, ...result, ...verdict, ...(error ? { error } : {}) }));
  }

  async end({ total, passed, failed }: Totals, whole: boolean): Promise<void> {
    if (whole) await print(JSON.stringify({ type: 'end', total, passed, failed, skipped: total - passed - failed }));
  }
}

function verdictOf({ difference, run }: BatchResult, compared: boolean): string {
  if (difference) return 'wrong output';
  return compared && run.state === 'succeeded' ? 'passed' : run.state.replaceAll('_', ' ');
}

/** What is to be said about an input that did not pass. */
function details({ difference, passed, run, stderr, stdout, encoding }: BatchResult): string[] {
  if (passed) return [];
  if (difference) {
    const shown = (text: string | null) => (text === null ? 'nothing' : JSON.stringify(text));
    return [`line ${difference.line}: expected ${shown(difference.expected)}, printed ${shown(difference.printed)}`];
  }
  const compiler = run.state === 'compile_failed' || run.state === 'install_failed';
  const said = Buffer.from(stderr === '' && compiler ? stdout : stderr, encoding)
    .toString()
    .trimEnd()
    .split('\n');
  const lines = compiler ? said : said.slice(-1);
  const { message, error } = run;
  return [...(error ? [error.message] : message === null ? [] : [message]), ...lines].filter((line) => line !== '');
}
