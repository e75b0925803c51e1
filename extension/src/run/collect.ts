/** The files that go along with a run. Knows the file system and the rules, but not VS Code. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { SourceFile } from '@coderunner/daemon/client';
import { CodeRunnerError, formatBytes } from '@coderunner/daemon/protocol';
import { type FolderRules, gitignoreRules, globRules, isIgnored } from './ignore-rules.ts';

/** Up to this much together, contents travel with the request: asking what the daemon lacks would take longer. */
const INLINE_TOTAL_BYTES = 64 * 1024;
const AT_ONCE = 16;
/** A file whose time is this young may change again without its time changing. */
const YOUNG_MS = 2_000;
const OFFENDERS = 5;
/** Of all there is: what weighs less is not worth naming. */
const LEAST_SHARE = 0.02;
const BINARY_CHECK_BYTES = 8_192;

export interface CollectOptions {
  /** The folder whose files go along. */
  root: string;
  /** From the root on, with `/` between folders. Goes along whatever the rules say. */
  entry: string;
  /** What editors hold that is not saved, by path from the root on. */
  unsaved: ReadonlyMap<string, Uint8Array>;
  exclude: readonly string[];
  maxFiles: number;
  maxBytes: number;
  signal: AbortSignal;
}

export interface Collected {
  files: SourceFile[];
  /** Files that could not be read, and stay behind. */
  unreadable: string[];
}

/** Refused because of its files; `offenders` are the folders or files that weigh most, from the root on. */
export class TooMuch extends CodeRunnerError {
  readonly offenders: readonly string[];

  constructor(code: 'too_many_files' | 'too_large', message: string, offenders: readonly string[]) {
    super(code, message, { hint: 'Leave out what the program does not need, or run the file alone.' });
    this.offenders = offenders;
  }
}

interface Found {
  path: string;
  size: number;
  mtimeMs: number;
  executable: boolean;
}

/** SHA-256 of files by path, as long as their size and times are what they were. */
export class HashCache {
  readonly #known = new Map<string, { size: number; mtimeMs: number; sha256: string }>();
  #filesRead = 0;

  /** How many files had to be read so far. */
  get filesRead(): number {
    return this.#filesRead;
  }

  async hash(path: string, { size, mtimeMs }: Pick<Found, 'size' | 'mtimeMs'>): Promise<string> {
    const known = this.#known.get(path);
    if (known && known.size === size && known.mtimeMs === mtimeMs) return known.sha256;
    this.#filesRead++;
    const hash = createHash('sha256');
    await pipeline(createReadStream(path), hash);
    const sha256 = hash.digest('hex');
    if (Date.now() - mtimeMs > YOUNG_MS) this.#known.set(path, { size, mtimeMs, sha256 });
    else this.#known.delete(path);
    return sha256;
  }
}

/**
 * Collects what a run of `entry` needs, the entry first.
 * @throws CodeRunnerError entry_missing, TooMuch; the signal's reason
 */
export async function collect(options: CollectOptions, hashes: HashCache): Promise<Collected> {
  const { root, entry, unsaved } = options;
  const found = new Map<string, Found>();
  const unreadable: string[] = [];
  if (!unsaved.has(entry)) {
    found.set(entry, await examineEntry(join(root, entry), entry));
  }
  await walk('', [globRules(options.exclude)], options, found, unreadable);
  // What is unsaved has another size than its file.
  for (const path of unsaved.keys()) found.delete(path);
  const total = [...found.values()].reduce((sum, { size }) => sum + size, 0) + sizeOf(unsaved);
  if (total > options.maxBytes)
    throw new TooMuch(
      'too_large',
      `${root} has ${formatBytes(total)} of files; at most ${formatBytes(options.maxBytes)} go along with a run. Most is in ${list(heaviest(found, ({ size }) => size))}.`,
      heaviest(found, ({ size }) => size),
    );
  const files: SourceFile[] = [...unsaved].map(([path, content]) => ({ path, content }));
  const inline = total <= INLINE_TOTAL_BYTES;
  await inParallel([...found.values()], async (file) => {
    options.signal.throwIfAborted();
    try {
      files.push(await sourceFile(root, file, inline, hashes));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Deleted since it was found.
      if (code === 'ENOENT' && file.path !== entry) return;
      if ((code !== 'EACCES' && code !== 'EPERM') || file.path === entry) throw unreadableEntry(file.path, error);
      unreadable.push(file.path);
    }
  });
  const isEntry = ({ path }: SourceFile) => path === entry;
  files.sort((a, b) => Number(isEntry(b)) - Number(isEntry(a)) || (a.path < b.path ? -1 : 1));
  return { files, unreadable };
}

/**
 * The entry alone, where nothing is to go along.
 * @throws CodeRunnerError entry_missing
 */
export async function collectAlone(path: string, name: string): Promise<Collected> {
  const { executable } = await examineEntry(path, name);
  try {
    return { files: [{ path: name, content: await readFile(path), executable }], unreadable: [] };
  } catch (error) {
    throw unreadableEntry(name, error);
  }
}

/** Whether a file holds what no program text does. */
export function looksBinary(bytes: Uint8Array): boolean {
  return bytes.subarray(0, BINARY_CHECK_BYTES).includes(0);
}

async function examineEntry(full: string, path: string): Promise<Found> {
  let handle: FileHandle | undefined;
  try {
    const stats = await stat(full);
    if (!stats.isFile())
      throw new CodeRunnerError(
        'entry_missing',
        `${path} is ${stats.isDirectory() ? 'a folder' : 'no regular file'}.`,
        {
          hint: 'Open the file that is to be run.',
        },
      );
    handle = await open(full);
    const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(BINARY_CHECK_BYTES), position: 0 });
    if (looksBinary(buffer.subarray(0, bytesRead)))
      throw new CodeRunnerError('entry_missing', `${path} is a binary file, not a program’s text.`, {
        hint: 'Open the file that is to be run.',
      });
    return { path, size: stats.size, mtimeMs: stats.mtimeMs, executable: (stats.mode & 0o100) !== 0 };
  } catch (error) {
    throw error instanceof CodeRunnerError ? error : unreadableEntry(path, error);
  } finally {
    await handle?.close();
  }
}

function unreadableEntry(path: string, error: unknown): CodeRunnerError {
  const gone = (error as NodeJS.ErrnoException).code === 'ENOENT';
  const message = gone ? `There is no file ${path} any more.` : `${path} cannot be read: ${(error as Error).message}.`;
  return new CodeRunnerError('entry_missing', message, {
    hint: gone ? 'Save it, then run it again.' : 'Look at its permissions.',
    cause: error,
  });
}

/** Hidden files and links stay behind: a link may lead anywhere, also in circles. */
async function walk(
  folder: string,
  above: readonly FolderRules[],
  options: CollectOptions,
  found: Map<string, Found>,
  unreadable: string[],
): Promise<void> {
  options.signal.throwIfAborted();
  const here = join(options.root, folder);
  let entries: Awaited<ReturnType<typeof listFolder>>;
  try {
    entries = await listFolder(here);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' && folder !== '') return;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    unreadable.push(folder);
    return;
  }
  const rules = entries.some((entry) => entry.name === '.gitignore' && entry.isFile())
    ? [...above, gitignoreRules(folder, await readFile(join(here, '.gitignore'), 'utf8'))]
    : above;
  const folders: string[] = [];
  const files: string[] = [];
  for (const entry of entries) {
    const path = folder + entry.name;
    if (entry.name.startsWith('.')) continue;
    if (entry.isDirectory() && !isIgnored(`${path}/`, rules)) folders.push(`${path}/`);
    else if (entry.isFile() && !found.has(path) && !isIgnored(path, rules)) files.push(path);
  }
  await inParallel(files, async (path) => {
    try {
      const { size, mtimeMs, mode } = await stat(join(options.root, path));
      found.set(path, { path, size, mtimeMs, executable: (mode & 0o100) !== 0 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  });
  if (found.size > options.maxFiles) {
    const offenders = heaviest(found, () => 1);
    throw new TooMuch(
      'too_many_files',
      `${options.root} has more than ${options.maxFiles.toLocaleString('en')} files, the most that go along with a run. Most are in ${list(offenders)}.`,
      offenders,
    );
  }
  for (const path of folders) await walk(path, rules, options, found, unreadable);
}

function listFolder(folder: string) {
  return readdir(folder, { withFileTypes: true });
}

async function sourceFile(root: string, file: Found, inline: boolean, hashes: HashCache): Promise<SourceFile> {
  const full = join(root, file.path);
  const { path, executable } = file;
  if (inline) return { path, executable, content: await readFile(full) };
  return { path, executable, sha256: await hashes.hash(full, file), content: () => readFile(full) };
}

/** The folders just below the root, or files in it, that weigh most. */
function heaviest(found: ReadonlyMap<string, Found>, weigh: (file: Found) => number): string[] {
  const weights = new Map<string, number>();
  for (const file of found.values()) {
    const slash = file.path.indexOf('/');
    const top = slash < 0 ? file.path : file.path.slice(0, slash);
    weights.set(top, (weights.get(top) ?? 0) + weigh(file));
  }
  const all = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  return [...weights]
    .filter(([, weight]) => weight >= all * LEAST_SHARE)
    .sort(([, a], [, b]) => b - a)
    .slice(0, OFFENDERS)
    .map(([name]) => name);
}

function list(names: readonly string[]): string {
  return names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

function sizeOf(unsaved: ReadonlyMap<string, Uint8Array>): number {
  return [...unsaved.values()].reduce((sum, { length }) => sum + length, 0);
}

async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, items.length) }, worker));
}
