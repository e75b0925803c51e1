/** `coderunner runtimes build`: the images, with progress on stderr. */
import { type Config, loadConfig } from '../config.ts';
import { Engine } from '../engine/engine.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { type BuildOptions, Images } from '../runtimes/images.ts';
import { loadRuntimes } from '../runtimes/load.ts';
import { type Runtime, withServices } from '../runtimes/runtime.ts';
import { BuildProgressLine } from './build-progress.ts';
import { tellDaemon } from './connect.ts';
import { say } from './output.ts';

const INTERRUPTED = 130;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Builds the images that are missing.
 * @param names ids or aliases, with what is to run beside programs, such as `python+mariadb`; none: all languages
 * @param options.force also those that are there
 */
export async function buildRuntimes(names: readonly string[], options: { force: boolean }): Promise<number> {
  const config = loadConfig();
  const { runtimes, broken } = await loadRuntimes(config);
  for (const { id, problem } of broken) await say(`coderunner: the runtime ${id} is left out: ${problem}`);
  if (runtimes.length === 0)
    throw new CodeRunnerError('bad_runtime', 'There is no language whose image could be built.', {
      hint: 'Correct what is left out, or the setting CODERUNNER_RUNTIMES_PATH.',
    });
  const wanted = names.map((name) => {
    const found = findRuntime(name.toLowerCase(), runtimes);
    if (found) return found;
    const known = runtimes.map(({ id }) => id).join(', ');
    throw new CodeRunnerError('unknown_runtime', `There is no runtime "${name}" here. There are: ${known}.`);
  });
  const code = await buildWithProgress(config, runtimes, wanted.length > 0 ? wanted : runtimes, options);
  // It would go on using what these replace, or waiting for what was missing.
  if (code === 0) await tellDaemon(config);
  return code;
}

/**
 * Builds what is missing, until Ctrl-C, with progress on stderr.
 * @param runtimes all that there are
 * @returns the exit code
 * @throws CodeRunnerError build_failed, after its last lines were shown
 */
export async function buildWithProgress(
  config: Config,
  runtimes: readonly Runtime[],
  wanted: readonly Runtime[],
  options: Pick<BuildOptions, 'force' | 'keepReplaced'>,
): Promise<number> {
  const stop = new AbortController();
  const interrupt = () => stop.abort();
  for (const name of SIGNALS) process.once(name, interrupt);
  try {
    await using engine = await Engine.connect(config, stop.signal);
    const images = new Images(config, () => engine);
    await images.prepare(runtimes);
    using progress = new BuildProgressLine();
    const built = await images.build(wanted, {
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
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt);
  }
}

/** A language by its id or alias, with the services that follow its name; undefined where there is no such language or service. */
function findRuntime(name: string, runtimes: readonly Runtime[]): Runtime | undefined {
  for (const runtime of runtimes) {
    for (const own of [runtime.id, ...runtime.aliases]) {
      if (name === own) return runtime;
      if (!name.startsWith(`${own}+`)) continue;
      const services = name.slice(own.length + 1).split('+');
      if (services.every((id) => runtime.offers.some((service) => service.id === id)))
        return withServices(runtime, services);
    }
  }
  return undefined;
}
