/** The images that tests run in. */
import type { Config } from '../../src/config.ts';
import type { Engine } from '../../src/engine/engine.ts';
import { Images } from '../../src/runtimes/images.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import { type Runtime, withServices } from '../../src/runtimes/runtime.ts';

/**
 * Builds what is missing, which takes minutes the first time and next to nothing later.
 * @param wanted ids, with services as in `python+mariadb`; all languages when left out
 * @throws Error where a runtime is broken or not there
 */
export async function buildImages(
  config: Config,
  engine: Engine,
  wanted?: readonly string[],
): Promise<{ runtimes: Runtime[]; images: Images }> {
  const { runtimes, broken } = await loadRuntimes(config);
  if (broken.length > 0) throw new Error(`Broken runtimes: ${JSON.stringify(broken)}`);
  const find = (name: string): Runtime => {
    const [wantedId, ...services] = name.split('+');
    const found = runtimes.find(({ id }) => id === wantedId);
    if (!found) throw new Error(`There is no runtime ${wantedId}.`);
    return withServices(found, services);
  };
  const chosen = wanted ? wanted.map(find) : runtimes;
  const images = new Images(config, () => engine);
  await images.prepare(runtimes);
  await images.build(chosen, { onProgress() {}, signal: new AbortController().signal });
  return { runtimes: chosen, images };
}
