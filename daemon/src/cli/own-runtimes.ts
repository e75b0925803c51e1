/** `coderunner runtimes add`, `remove`, `check` and `reload`: users' own languages. */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { applyEdits, modify } from 'jsonc-parser';
import { type Config, loadConfig } from '../config.ts';
import { Engine } from '../engine/engine.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { describeFlaw, didYouMean, type Flaw } from '../runtimes/flaw.ts';
import { Images } from '../runtimes/images.ts';
import { addedRuntimesFolder, loadRuntimes, readLanguage } from '../runtimes/load.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { loadServices } from '../runtimes/service.ts';
import { buildWithProgress } from './build.ts';
import { connect, tellDaemon } from './connect.ts';
import { print, printJson, say } from './output.ts';

/** What a build has no use for, and may be large. */
const NOT_COPIED = ['.git', 'node_modules'];

/** Says all that is wrong with a folder. @returns 0 where nothing is */
export async function checkRuntime(folder: string, options: { json: boolean }): Promise<number> {
  const read = await readOwn(resolve(folder), loadConfig());
  const flaws = Array.isArray(read) ? read : [];
  if (options.json) await printJson(flaws);
  else if (!Array.isArray(read)) await print(`${nameOf(read)} is fine.${placeTaken(read)}`);
  else await print(flaws.map(describeFlaw).join('\n'));
  return flaws.length === 0 ? 0 : 1;
}

/**
 * Copies a language beside the others, or in the place of an earlier copy, builds its image and tries its example. Where that
 * fails everything is as it was before.
 * @param options.as its id, where not that of the file
 */
export async function addRuntime(folder: string, options: { as?: string }): Promise<number> {
  const config = loadConfig();
  const source = resolve(folder);
  const root = addedRuntimesFolder(config);
  await using undo = new AsyncDisposableStack();
  const staged = await stage(source, root, options.as);
  undo.defer(() => rm(staged, { recursive: true, force: true }));
  const read = await readOwn(staged, config);
  if (Array.isArray(read)) {
    await say(read.map((flaw) => describeFlaw({ ...flaw, file: flaw.file.replace(staged, source) })).join('\n'));
    throw new CodeRunnerError('bad_runtime', `${source} is no language that could be added.`, {
      hint: 'Correct the lines above; docs/runtimes.md says what each field takes.',
    });
  }
  // An image is the same wherever its files are; errors name the files that the person knows.
  const runtime = { ...read, folder: source };
  const others = (await loadRuntimes(config)).runtimes.filter(({ id }) => id !== runtime.id);
  const code = await buildWithProgress(config, [...others, runtime], [runtime], { keepReplaced: true });
  if (code !== 0) return code;
  const home = join(root, runtime.id);
  const before = await setAside(home);
  await rename(staged, home);
  undo.defer(async () => {
    await rm(home, { recursive: true });
    if (before) await rename(before, home);
    await tellDaemon(config);
    await removeUnusedImages(runtime.id, config);
  });
  await tellDaemon(config);
  await say(`Added ${nameOf(runtime)}.${placeTaken(runtime)}`);
  await tryExample({ ...runtime, folder: home });
  undo.move();
  if (before) await rm(before, { recursive: true });
  await removeUnusedImages(runtime.id, config);
  return 0;
}

/** Removes a language that was added, and its image. */
export async function removeRuntime(id: string): Promise<number> {
  const config = loadConfig();
  const root = addedRuntimesFolder(config);
  const added = (await readdir(root).catch(() => [])).filter((name) => !name.startsWith('.'));
  if (!added.includes(id)) {
    const { runtimes } = await loadRuntimes(config);
    const there = runtimes.find((runtime) => runtime.id === id);
    const why =
      there === undefined
        ? `No language "${id}" was added${didYouMean(id, added) || '.'}`
        : there.origin === 'bundled'
          ? `${there.name} came with CodeRunner.`
          : `${there.name} is in ${there.folder}, not added: remove it there, then \`coderunner runtimes reload\`.`;
    throw new CodeRunnerError('unknown_runtime', why, {
      hint: added.length > 0 ? `Added are: ${added.join(', ')}.` : 'No language was added.',
    });
  }
  const gone = await setAside(join(root, id));
  if (gone) await rm(gone, { recursive: true });
  await tellDaemon(config);
  const back = (await removeUnusedImages(id, config)).find((runtime) => runtime.id === id);
  await say(`Removed ${id}.${back ? ` ${nameOf(back)} is back.` : ''}`);
  return 0;
}

/** Has the daemon read the folders again, after something in one that `runtimesPath` names was changed. */
export async function reloadRuntimes(): Promise<number> {
  const config = loadConfig();
  const isRunning = await tellDaemon(config);
  const { runtimes, broken } = await loadRuntimes(config);
  for (const { id, problem } of broken) await say(`${id} is left out: ${problem}`);
  const languages = `${runtimes.length} languages`;
  await say(isRunning ? `The daemon has ${languages}.` : `No daemon is running; the next one has ${languages}.`);
  return 0;
}

/** Those of a language that is not there any more, or was another. @returns what is there */
async function removeUnusedImages(id: string, config: Config): Promise<readonly Runtime[]> {
  const { runtimes } = await loadRuntimes(config);
  await using engine = await Engine.connect(config);
  const images = new Images(config, () => engine);
  await images.prepare(runtimes);
  await images.forget(id);
  return runtimes;
}

/** A copy with a name under which nobody looks for languages. */
async function stage(source: string, root: string, id: string | undefined): Promise<string> {
  const about = await stat(source).catch(() => undefined);
  if (!about?.isDirectory())
    throw new CodeRunnerError('bad_usage', `There is no folder ${source}.`, {
      hint: 'Name the folder that has runtime.json and Dockerfile.',
    });
  await mkdir(root, { recursive: true, mode: 0o700 });
  const staged = hidden(root);
  await cp(source, staged, {
    recursive: true,
    dereference: true,
    filter: (path) => path === source || !NOT_COPIED.includes(basename(path)),
  });
  const file = join(staged, 'runtime.json');
  if (id !== undefined) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text !== '') await writeFile(file, applyEdits(text, modify(text, ['id'], id, {})));
  }
  return staged;
}

function hidden(root: string): string {
  return join(root, `.${randomBytes(6).toString('hex')}`);
}

/** Moves a folder to where nobody looks for languages. @returns where, or undefined where it is not there */
async function setAside(folder: string): Promise<string | undefined> {
  const aside = hidden(join(folder, '..'));
  try {
    await rename(folder, aside);
    return aside;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** A language beside the others, whatever its folder is called. */
async function readOwn(folder: string, config: Config): Promise<Runtime | Flaw[]> {
  const { runtimes } = await loadRuntimes(config);
  const read = await readLanguage(folder, await loadServices(), runtimes, { isNamedById: false });
  return read ?? [{ file: join(folder, 'runtime.json'), message: 'There is no runtime.json.' }];
}

/** Runs the first of its examples, and shows what that prints. @throws CodeRunnerError bad_runtime where it fails */
async function tryExample({ id, folder, extensions }: Runtime): Promise<void> {
  const examples = join(folder, 'examples');
  const names = (await readdir(examples).catch(() => [])).sort();
  const fits = names.filter((name) => extensions.some((ending) => name.endsWith(ending)));
  const example = fits.find((name) => name.startsWith('hello.')) ?? fits[0];
  if (example === undefined) {
    await say(`It has no example to try it with: examples/hello${extensions[0]}`);
    return;
  }
  await say(`Trying examples/${example}:`);
  await using connected = connect({ quiet: true });
  const files = [{ path: example, content: await readFile(join(examples, example)) }];
  const handle = await connected.client.start(
    { runtime: id, entry: example, files, stdin: null },
    { onOutput: ({ data }) => process.stderr.write(data) },
  );
  const { state, message, exitCode } = await handle.done;
  if (state === 'succeeded') return;
  const end = message ?? (exitCode === null ? state : `exit code ${exitCode}`);
  throw new CodeRunnerError('bad_runtime', `The example does not work (${end}), so ${id} is not kept.`, {
    hint: 'Correct what it prints above: the Dockerfile, the argv in runtime.json, or the example itself.',
  });
}

function nameOf({ id, name, version, extensions }: Runtime): string {
  return `${name} ${version} (${id}, ${extensions.join(' ')})`;
}

function placeTaken({ id, origin }: Runtime): string {
  return origin === 'replacement' ? ` It takes the place of the ${id} that came with CodeRunner.` : '';
}
