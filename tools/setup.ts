/**
 * The part of set-up that needs the packages: the bundles, the container engine, the images. `setup.mjs` starts it, with its own
 * arguments: those of a run let it build the image of that run's language only.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BuildProgressLine } from '../daemon/src/cli/build-progress.ts';
import { loadConfig } from '../daemon/src/config.ts';
import { Engine } from '../daemon/src/engine/engine.ts';
import { CodeRunnerError } from '../daemon/src/protocol/index.ts';
import { Images } from '../daemon/src/runtimes/images.ts';
import { loadRuntimes } from '../daemon/src/runtimes/load.ts';
import { type Runtime, runtimeForEntry } from '../daemon/src/runtimes/runtime.ts';
import { ensureEngine } from './engine.ts';
import { aptInstall, change, onPath, Refusal, run, say } from './system.ts';

const ROOT = join(import.meta.dirname, '..');

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  try {
    await bundles(stop.signal);
    const config = loadConfig();
    await ensureEngine(config.engine, stop.signal);
    await images(config, args, stop.signal);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return 130;
    if (error instanceof Refusal) say(error.message);
    else if (error instanceof CodeRunnerError && error.code === 'build_failed') say(explainBuild(error));
    else if (error instanceof CodeRunnerError) say(`${error.message}\n${error.hint}`);
    else throw error;
    return 1;
  }
}

function explainBuild({ details, message }: CodeRunnerError): string {
  return `${(details as string[]).join('\n')}\n${message}\nThe build’s last lines are above. Starting again goes on from here.`;
}

/** Builds the three programs unless their sources are as they were when they were last built. */
async function bundles(signal: AbortSignal): Promise<void> {
  const stamp = join(ROOT, 'node_modules/.cache/coderunner/bundles');
  const state = stateOf(['daemon/src', 'extension/src', 'webview-ui', 'esbuild.mjs', 'package-lock.json']);
  const built = existsSync(join(ROOT, 'daemon/dist/coderunner.mjs'));
  if (built && existsSync(stamp) && readFileSync(stamp, 'utf8') === state) return;
  rmSync(stamp, { force: true });
  say('Building the programs');
  const failure = await run([process.execPath, join(ROOT, 'esbuild.mjs')], signal);
  if (failure) throw new Refusal(`The programs could not be built (${failure}); the errors are above.`);
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, state);
}

/** A hash that changes when a file below one of the paths does, by name, size and time. */
function stateOf(paths: string[]): string {
  const hash = createHash('sha256');
  for (const path of paths) {
    const full = join(ROOT, path);
    const files = statSync(full).isDirectory()
      ? readdirSync(full, { recursive: true, withFileTypes: true })
          .filter((entry) => entry.isFile() && !/\/(dist|node_modules)(\/|$)/.test(entry.parentPath))
          .map((entry) => join(entry.parentPath, entry.name))
          .sort()
      : [full];
    for (const file of files) {
      const { size, mtimeMs } = statSync(file);
      hash.update(`${file}\0${size}\0${mtimeMs}\n`);
    }
  }
  return hash.digest('hex');
}

/** Builds the images that are missing; which those are, their tags say. */
async function images(
  config: ReturnType<typeof loadConfig>,
  args: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { runtimes, broken } = await loadRuntimes(config);
  for (const { id, problem } of broken) say(`The runtime ${id} is left out. ${problem}`);
  await using engine = await Engine.connect(config, signal);
  const images = new Images(config, () => engine);
  await images.prepare(runtimes);
  using progress = new BuildProgressLine();
  const wanted = args[0] === 'run' ? languagesOf(args, runtimes) : runtimes;
  const build = () => images.build(wanted, { signal, onProgress: (step) => progress.show(step) });
  try {
    await build();
  } catch (error) {
    const needsBootstrap = error instanceof CodeRunnerError && error.code === 'base_image_unavailable';
    if (!needsBootstrap || onPath('mmdebstrap') || !onPath('apt-get')) throw error;
    progress.clear();
    const why = 'No registry gives a Debian image; it can be built from Debian’s packages with mmdebstrap.';
    // Who is not root builds it in a user namespace, which needs uidmap; other systems than Debian lack Debian's keys.
    await change(why, aptInstall('mmdebstrap', 'uidmap', 'debian-archive-keyring'), signal);
    await build();
  }
}

/** Those of the files that a command line names; what is not told by a file's ending, the command builds when it finds out. */
function languagesOf(args: readonly string[], runtimes: readonly Runtime[]): Runtime[] {
  return [...new Set(args.flatMap((arg) => runtimeForEntry(arg, runtimes) ?? []))];
}
