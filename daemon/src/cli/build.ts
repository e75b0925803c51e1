/** `coderunner runtimes build`: the images, with progress on stderr. */
import { stripVTControlCharacters } from 'node:util';
import { loadConfig } from '../config.ts';
import { Engine } from '../engine/engine.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { type BuildProgress, Images } from '../runtimes/images.ts';
import { loadRuntimes } from '../runtimes/runtime.ts';
import { say } from './output.ts';

const INTERRUPTED = 130;

/**
 * Builds the images that are missing.
 * @param names ids or aliases; none: all languages
 * @param options.force also those that are there
 */
export async function buildRuntimes(names: readonly string[], options: { force: boolean }): Promise<number> {
  const config = loadConfig();
  const { runtimes, broken } = await loadRuntimes(config.runtimesPath);
  for (const { id, problem } of broken) await say(`coderunner: the runtime ${id} is left out: ${problem}`);
  const wanted = names.map((name) => {
    const found = runtimes.find(({ id, aliases }) => id === name.toLowerCase() || aliases.includes(name.toLowerCase()));
    if (found) return found;
    const known = runtimes.map(({ id }) => id).join(', ');
    throw new CodeRunnerError('unknown_runtime', `There is no runtime "${name}" here. There are: ${known}.`);
  });
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, () => stop.abort());
  try {
    await using engine = await Engine.connect(config, stop.signal);
    const images = new Images(config, () => engine);
    await images.prepare(runtimes);
    using progress = new ProgressLine();
    const built = await images.build(wanted.length > 0 ? wanted : runtimes, {
      ...options,
      signal: stop.signal,
      onProgress: (step) => progress.show(step),
    });
    progress.clear();
    await say(built.length === 0 ? 'All images are there already.' : `Built: ${built.join(', ')}.`);
    return 0;
  } catch (error) {
    if (stop.signal.aborted) return INTERRUPTED;
    if (error instanceof CodeRunnerError && error.code === 'build_failed' && Array.isArray(error.details))
      await say(error.details.join('\n'));
    throw error;
  }
}

/** One line that changes at a terminal; elsewhere every line the engine says. */
class ProgressLine implements Disposable {
  readonly #live = process.stderr.isTTY;
  #shown = false;

  show({ image, step, steps, text }: BuildProgress): void {
    const where = steps === undefined ? '' : ` ${step}/${steps}`;
    const line = `${image}${where}: ${stripVTControlCharacters(text).trim()}`;
    if (!this.#live) {
      process.stderr.write(`${line}\n`);
      return;
    }
    process.stderr.write(`\r\x1b[K${line.slice(0, Math.max(1, process.stderr.columns - 1))}`);
    this.#shown = true;
  }

  clear(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
    this.#shown = false;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
