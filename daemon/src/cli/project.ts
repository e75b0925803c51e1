/** The files that go along with a run: its folder's, without what is hidden, ignored or linked from elsewhere. */
import { createHash } from 'node:crypto';
import { createReadStream, type Dirent } from 'node:fs';
import { access, glob, readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import ignore, { type Ignore } from 'ignore';
import type { SourceFile } from '../client/files.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { formatBytes } from '../protocol/units.ts';
import { reason } from './output.ts';

/** Larger files are hashed as a stream and read only when the daemon lacks them. */
const READ_AT_ONCE_BYTES = 64 * 1024;

/** Characters of a name, in a message. */
const MOST_SHOWN = 200;

export interface ProjectOptions {
  /** Nothing but the file itself, and what is included by name. */
  only: boolean;
  /** Globs from the file's folder on; they take what would stay behind otherwise. */
  include: readonly string[];
  maxFiles: number;
  maxFileBytes: number;
  maxRunBytes: number;
}

export interface Project {
  /** Where the file is among the others: its name. */
  entry: string;
  files: SourceFile[];
}

/**
 * Collects what a run of `file` needs, the file first.
 * @throws CodeRunnerError entry_missing, too_many_files, too_large, bad_path
 */
export async function collectProject(file: string, options: ProjectOptions): Promise<Project> {
  const path = resolve(file);
  const [root, entry] = [dirname(path), basename(path)];
  await checkEntry(file, path);
  try {
    return { entry, files: await collect(root, entry, options) };
  } catch (error) {
    const { path: culprit } = error as NodeJS.ErrnoException;
    if (culprit === undefined) throw error;
    throw new CodeRunnerError('bad_path', `${culprit} cannot go along: ${reason(error)}.`, {
      hint: LEAVE_OUT,
      cause: error,
    });
  }
}

async function collect(root: string, entry: string, options: ProjectOptions): Promise<SourceFile[]> {
  const paths = new Set([entry]);
  const add = (found: string) => {
    paths.add(found);
    if (paths.size > options.maxFiles) throw tooMany(root, options.maxFiles);
  };
  if (!options.only) await walk(root, '', await ignoredAbove(root), add);
  for (const pattern of options.include) await addMatching(root, pattern, add);

  const files: SourceFile[] = [];
  let totalBytes = 0;
  for (const found of paths) {
    const { size, mode } = await stat(join(root, found));
    if (size > options.maxFileBytes) throw tooLarge(`The file ${found} has ${formatBytes(size)}`, options.maxFileBytes);
    totalBytes += size;
    if (totalBytes > options.maxRunBytes)
      throw tooLarge(`The folder ${root} has ${formatBytes(totalBytes)} or more`, options.maxRunBytes);
    files.push(await sourceFile(root, found, size, (mode & 0o100) !== 0));
  }
  return files;
}

async function checkEntry(file: string, path: string): Promise<void> {
  const shown = file.length > MOST_SHOWN ? `${file.slice(0, MOST_SHOWN)}…` : file;
  if (file === '') throw new CodeRunnerError('entry_missing', 'The name of the file is empty.', { hint: NAME_IT });
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error)) {
    if (found.isFile()) return;
    throw new CodeRunnerError('entry_missing', `${shown} is ${found.isDirectory() ? 'a folder' : 'no regular file'}.`, {
      hint: NAME_IT,
    });
  }
  throw new CodeRunnerError(
    'entry_missing',
    found.code === 'ENOENT' ? `There is no file ${shown}.` : `${shown} cannot be read: ${reason(found)}.`,
    { hint: 'Look at the name, and at the folder that you are in.', cause: found },
  );
}

/** The rules of one folder's .gitignore, which hold below that folder. */
interface Rules {
  folder: string;
  rules: Ignore;
}

async function walk(root: string, folder: string, above: readonly Rules[], add: (path: string) => void): Promise<void> {
  const here = join(root, folder);
  const own = await rulesOf(here);
  const rules = own ? [...above, own] : above;
  const entries = await readdir(here, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.name.startsWith('.') || isIgnored(join(here, entry.name), entry.isDirectory(), rules)) continue;
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) await walk(root, path, rules, add);
    else if (entry.isFile()) add(path);
  }
}

/** What the .gitignore files between the repository's root and this folder say; nothing where it is in no repository. */
async function ignoredAbove(root: string): Promise<Rules[]> {
  const found: Rules[] = [];
  for (let folder = root; ; folder = dirname(folder)) {
    if (folder !== root) {
      const rules = await rulesOf(folder);
      if (rules) found.unshift(rules);
    }
    if (await exists(join(folder, '.git'))) return found;
    if (dirname(folder) === folder) return [];
  }
}

async function rulesOf(folder: string): Promise<Rules | undefined> {
  try {
    return { folder, rules: ignore().add(await readFile(join(folder, '.gitignore'), 'utf8')) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'EACCES' || code === 'EISDIR') return undefined;
    throw error;
  }
}

/** The nearest folder that says anything about a path decides. */
function isIgnored(path: string, isFolder: boolean, rules: readonly Rules[]): boolean {
  for (const { folder, rules: own } of rules.toReversed()) {
    const below = relative(folder, path).split(sep).join('/');
    const { ignored, unignored } = own.test(isFolder ? `${below}/` : below);
    if (ignored || unignored) return ignored;
  }
  return false;
}

async function addMatching(root: string, pattern: string, add: (path: string) => void): Promise<void> {
  let any = false;
  for await (const match of glob(pattern, { cwd: root, withFileTypes: true }) as AsyncIterable<Dirent>) {
    if (!match.isFile()) continue;
    const path = relative(root, join(match.parentPath, match.name)).split(sep).join('/');
    if (path.startsWith('../'))
      throw new CodeRunnerError('bad_path', `--include ${pattern} names files outside of ${root}.`, {
        hint: 'What goes along is below the folder of the file that is run. Run a file further up, or copy what is needed.',
      });
    any = true;
    add(path);
  }
  if (!any)
    throw new CodeRunnerError('bad_usage', `--include ${pattern} names no file.`, {
      hint: `It is looked for from ${root} on; * stands for anything in a name, ** for folders too.`,
    });
}

async function sourceFile(root: string, path: string, size: number, executable: boolean): Promise<SourceFile> {
  const full = join(root, path);
  const mode = executable ? { executable } : {};
  if (size <= READ_AT_ONCE_BYTES) return { path, content: await readFile(full), ...mode };
  const hash = createHash('sha256');
  await pipeline(createReadStream(full), hash);
  return { path, content: () => readFile(full), sha256: hash.digest('hex'), ...mode };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

const NAME_IT = 'Name the file that is to be run.';
const LEAVE_OUT =
  'Leave files out with .gitignore, or send the file alone with --only (and --include for what it needs).';

function tooMany(root: string, most: number): CodeRunnerError {
  return new CodeRunnerError('too_many_files', `The folder ${root} has more than ${most.toLocaleString('en')} files.`, {
    hint: LEAVE_OUT,
  });
}

function tooLarge(what: string, most: number): CodeRunnerError {
  return new CodeRunnerError('too_large', `${what}; at most ${formatBytes(most)} go along.`, { hint: LEAVE_OUT });
}
