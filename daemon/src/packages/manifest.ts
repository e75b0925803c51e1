/** Which packages a run asks for: its manifest, and the files beside it that say which versions. */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { execWithin } from '../bounded.ts';
import type { Installation, ManifestRule } from '../runtimes/runtime.ts';

const MOST_MS = 100;

/** A file of the run; its contents are read when they are needed. */
export interface ProjectFile {
  path: string;
  read(): Promise<Buffer>;
}

/** What goes into the container that installs, and nothing else of the run. */
export interface Manifest {
  /** `package.json`, `requirements.txt`, … */
  name: string;
  /** Its folder below the workspace; empty at the root. */
  folder: string;
  /** With paths from the workspace on, sorted. */
  files: readonly { path: string; bytes: Buffer }[];
}

/** The manifest nearest to the entry, upwards from its folder, that has something to install. */
export async function findManifest(
  entry: string,
  files: readonly ProjectFile[],
  { detect }: Pick<Installation, 'detect'>,
): Promise<Manifest | undefined> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  for (const folder of foldersAbove(entry)) {
    for (const rule of detect) {
      const found = byPath.get(posix.join(folder, rule.file));
      if (!found || (rule.when && !isLikeText(rule.when, (await found.read()).toString('utf8')))) continue;
      return { name: rule.file, folder, files: await gather(folder, rule, files) };
    }
  }
  return undefined;
}

/** What would take the daemon's time from other runs counts as alike: the package manager has its own time to see that it is not. */
function isLikeText(when: RegExp, text: string): boolean {
  return execWithin(MOST_MS, when, text) !== null;
}

/** Names what is installed: the same files give the same digest wherever they come from. */
export function digestOf({ folder, files }: Manifest): string {
  const hash = createHash('sha256').update(`${folder}\0`);
  for (const { path, bytes } of files) hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  return hash.digest('hex');
}

/** `a/b`, `a`, and the root, which is empty. */
function foldersAbove(entry: string): string[] {
  const parts = entry.split('/').slice(0, -1);
  return Array.from({ length: parts.length + 1 }, (_, index) => parts.slice(0, parts.length - index).join('/'));
}

async function gather(
  folder: string,
  rule: ManifestRule,
  files: readonly ProjectFile[],
): Promise<Manifest['files'][number][]> {
  const prefix = folder === '' ? '' : `${folder}/`;
  const wanted = files.filter(({ path }) => {
    if (!path.startsWith(prefix)) return false;
    const below = path.slice(prefix.length);
    return below === rule.file || rule.with.some((pattern) => isLike(pattern, below));
  });
  const contents = await Promise.all(wanted.map(async (file) => ({ path: file.path, bytes: await file.read() })));
  return contents.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** `NAME`, or `**\/NAME` in any folder that is not one of installed packages; `*` stands for any part of a name. */
function isLike(pattern: string, path: string): boolean {
  const anywhere = pattern.startsWith('**/');
  if (anywhere && path.split('/').includes('node_modules')) return false;
  const name = anywhere ? posix.basename(path) : path;
  const expression = pattern
    .slice(anywhere ? 3 : 0)
    .split('*')
    .map((part) => part.replace(/[.\\+?^${}()|[\]]/g, '\\$&'))
    .join('[^/]*');
  return new RegExp(`^${expression}$`).test(name);
}
