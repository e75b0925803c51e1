/** The inputs of `--input-dir`: which files of a folder they are, in which order, and what the program should print for each. */
import type { Dirent } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { BatchInput } from '../protocol/resources.ts';
import { formatBytes } from '../protocol/units.ts';
import { reason } from './output.ts';

/** What goes into one request, which may have 32 MiB as JSON with the bytes as base64. */
const MOST_INPUT_BYTES = 20 * 2 ** 20;
const USUAL_BATCH_BYTES = 8 * 2 ** 20;
const MOST_BATCH_INPUTS = 1_000;

/** A test: a file with input, and where there is one, a file with what should be printed. */
export interface TestInput {
  /** The input's name without `.in`. */
  name: string;
  input: string;
  expected: string | undefined;
}

/**
 * What a folder's files are, by their names: each is an input, but for `NAME.out` and `NAME.ans` beside `NAME.in` or `NAME`. In natural
 * order: 2 before 10.
 * @throws CodeRunnerError bad_usage, where two would have the same name
 */
export function testInputs(names: readonly string[]): TestInput[] {
  const all = new Set(names);
  const isExpected = (name: string) => {
    const test = /^(.+)\.(?:out|ans)$/.exec(name)?.[1];
    return test !== undefined && (all.has(`${test}.in`) || all.has(test));
  };
  const tests = names
    .filter((name) => !isExpected(name))
    .map((input) => {
      const name = input.replace(/(?<=.)\.in$/, '');
      return { name, input, expected: [`${name}.out`, `${name}.ans`].find((path) => all.has(path) && path !== input) };
    });
  const seen = new Map<string, string>();
  for (const { name, input } of tests) {
    const other = seen.get(name);
    if (other !== undefined)
      throw new CodeRunnerError('bad_usage', `${other} and ${input} are both the input ${name}.`, {
        hint: 'Rename one of them.',
      });
    seen.set(name, input);
  }
  const natural = new Intl.Collator('en', { numeric: true });
  return tests.sort((a, b) => natural.compare(a.name, b.name) || (a.name < b.name ? -1 : 1));
}

/** The inputs of a folder; what is hidden, and folders in it, are left out. @throws CodeRunnerError bad_usage, too_large */
export async function findInputs(folder: string): Promise<TestInput[]> {
  const tests = testInputs(await filesOf(folder));
  if (tests.length === 0)
    throw new CodeRunnerError('bad_usage', `There are no inputs in ${folder}.`, {
      hint: 'Each file of the folder that --input-dir names is an input, such as 1.in.',
    });
  return tests;
}

async function filesOf(folder: string): Promise<string[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const isFile = (error as NodeJS.ErrnoException).code === 'ENOTDIR';
    throw new CodeRunnerError(
      'bad_usage',
      `The inputs cannot be read: ${isFile ? `${folder} is no folder` : `${folder}: ${reason(error)}`}.`,
      { hint: 'Look at the name after --input-dir.', cause: error },
    );
  }
  const files: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith('.')) continue;
    if (entry.isFile() || (entry.isSymbolicLink() && (await isLinkToFile(join(folder, entry.name)))))
      files.push(entry.name);
  }
  return files;
}

/** A link to nothing is one to no file. */
async function isLinkToFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ?? false;
}

/**
 * Reads them, as many at a time as one request takes, in order.
 * @throws CodeRunnerError too_large, bad_usage
 */
export async function* requestInputs(folder: string, tests: readonly TestInput[]): AsyncGenerator<BatchInput[]> {
  let batch: BatchInput[] = [];
  let bytes = 0;
  for (const { name, input, expected } of tests) {
    const stdin = await read(folder, input);
    const wanted = expected === undefined ? undefined : await read(folder, expected);
    const size = stdin.length + (wanted?.length ?? 0);
    if (size > MOST_INPUT_BYTES)
      throw new CodeRunnerError(
        'too_large',
        `The input ${name} has ${formatBytes(size)} with what is expected; at most ${formatBytes(MOST_INPUT_BYTES)} are taken.`,
        { hint: 'Run the program with it alone, by --stdin.' },
      );
    if (batch.length === MOST_BATCH_INPUTS || (batch.length > 0 && bytes + size > USUAL_BATCH_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    // As text, bytes that have to be escaped would take up to six times their size.
    const stdinText = stdin.toString('base64');
    batch.push({
      name,
      encoding: 'base64',
      stdin: stdinText,
      ...(wanted ? { expected: wanted.toString('base64') } : {}),
    });
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}

async function read(folder: string, name: string): Promise<Buffer> {
  try {
    return await readFile(join(folder, name));
  } catch (error) {
    throw new CodeRunnerError('bad_usage', `${join(folder, name)} cannot be read: ${reason(error)}.`, {
      hint: 'Look at who may read the files that --input-dir names.',
      cause: error,
    });
  }
}
