/** Finds the languages: those that come with CodeRunner, and beside them users' own. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { BUNDLED_RUNTIMES, type Config } from '../config.ts';
import { checkDockerfile } from './dockerfile.ts';
import { describeFlaw, type Flaw } from './flaw.ts';
import { JsonText } from './json-text.ts';
import { parseRuntime, type Runtime } from './runtime.ts';
import { loadServices, type Service } from './service.ts';

/** Where users' own languages are. */
type OwnFolders = Pick<Config, 'dataDir' | 'runtimesPath'>;

/** A folder that cannot be used, and why. */
export interface RuntimeProblem {
  id: string;
  /** The first of its flaws, in a line. */
  problem: string;
}

export interface LoadedRuntimes {
  /** The usable ones, by id. */
  readonly runtimes: Runtime[];
  readonly broken: readonly RuntimeProblem[];
}

/** Where `coderunner runtimes add` puts languages. */
export function addedRuntimesFolder({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'runtimes');
}

/**
 * Reads all languages. One of a user's own takes the place of one with the same id that came with CodeRunner; an added one that
 * of one in `runtimesPath`. A broken one never hides the others.
 * @param own where users' own are; left out: none
 */
export async function loadRuntimes(own?: OwnFolders): Promise<LoadedRuntimes> {
  const found = new Map<string, Runtime>();
  const broken: RuntimeProblem[] = [];
  const offers = await loadServices();
  for (const root of [BUNDLED_RUNTIMES, ...(own ? ownRoots(own) : [])]) {
    const folders = await foldersOf(root).catch((error: NodeJS.ErrnoException) => {
      // Nobody has added one yet.
      if (own && root === addedRuntimesFolder(own) && isMissing(error)) return [];
      broken.push({ id: basename(root), problem: `The folder of languages cannot be read: ${error.message}.` });
      return [];
    });
    for (const folder of folders) {
      const read = await readLanguage(folder, offers, [...found.values()], { isNamedById: true });
      if (Array.isArray(read)) broken.push({ id: basename(folder), problem: summary(read, folder) });
      else if (read) found.set(read.id, read);
    }
  }
  return { runtimes: [...found.values()].sort((a, b) => a.id.localeCompare(b.id)), broken };
}

/** The folders in which users' own languages come and go, the one that counts most last. */
export function ownRoots(own: OwnFolders): string[] {
  return [...(own.runtimesPath ? [own.runtimesPath] : []), addedRuntimesFolder(own)];
}

/** The folders in one, but for hidden ones: those are not finished yet. */
async function foldersOf(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true });
  return entries
    .filter((entry) => (entry.isDirectory() || entry.isSymbolicLink()) && !entry.name.startsWith('.'))
    .map(({ name }) => join(root, name))
    .sort();
}

/**
 * The language of a folder, all that is wrong with it, or undefined where it is none (agent/, base/ and the like).
 * @param others languages beside it; the one with its id is the one whose place it takes
 * @param options.isNamedById whether the folder must have the language's name
 */
export async function readLanguage(
  folder: string,
  offers: readonly Service[],
  others: readonly Runtime[],
  options: { isNamedById: boolean },
): Promise<Runtime | Flaw[] | undefined> {
  const file = join(folder, 'runtime.json');
  const source = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (source instanceof Error)
    return isMissing(source) ? undefined : [{ file, message: `It cannot be read: ${source.message}.` }];
  const runtime = parseRuntime(source, folder, offers);
  const flaws = [...(Array.isArray(runtime) ? runtime : []), ...(await dockerfileFlaws(folder))];
  if (!Array.isArray(runtime)) flaws.unshift(...clashes(runtime, file, source, others, options));
  if (flaws.length > 0 || Array.isArray(runtime)) return flaws;
  const isReplacement = others.some(({ id, origin }) => id === runtime.id && origin !== 'own');
  return isReplacement ? { ...runtime, origin: 'replacement' } : runtime;
}

async function dockerfileFlaws(folder: string): Promise<Flaw[]> {
  const file = join(folder, 'Dockerfile');
  const source = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => error);
  if (!(source instanceof Error)) return checkDockerfile(file, source);
  const message = isMissing(source) ? 'There is no Dockerfile.' : `It cannot be read: ${source.message}.`;
  return [{ file, message }];
}

/** Names and endings that are not its own. */
function clashes(
  runtime: Runtime,
  file: string,
  source: string,
  others: readonly Runtime[],
  { isNamedById }: { isNamedById: boolean },
): Flaw[] {
  const text = JsonText.parse(file, source.replace(/^\uFEFF/, '')) as JsonText;
  const rivals = others.filter(({ id }) => id !== runtime.id);
  const flaws: Flaw[] = [];
  const folder = basename(runtime.folder);
  if (isNamedById && folder !== runtime.id)
    flaws.push(text.flaw(['id'], `id is "${runtime.id}", but the folder is called "${folder}".`));
  const own = [runtime.id, ...runtime.aliases].map((name, index) => ({
    path: index === 0 ? ['id'] : ['aliases', index - 1],
    what: `the name "${name}"`,
    owner: rivals.find(({ id, aliases }) => id === name || aliases.includes(name)),
  }));
  const endings = runtime.extensions.map((ending, index) => ({
    path: ['extensions', index],
    what: `the ending "${ending}"`,
    owner: rivals.find(({ extensions }) => extensions.some((one) => one.toLowerCase() === ending.toLowerCase())),
  }));
  for (const { path, what, owner } of [...own, ...endings]) {
    if (owner) flaws.push(text.flaw(path, `${capital(what)} belongs to ${owner.id} already.`));
  }
  return flaws;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function isMissing({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function summary(flaws: readonly Flaw[], folder: string): string {
  const [first, ...more] = flaws;
  if (!first) return 'It cannot be used.';
  const rest = more.length > 0 ? ` (and ${more.length} more: \`coderunner runtimes check ${folder}\`)` : '';
  return `${describeFlaw(first)}${rest}`;
}
