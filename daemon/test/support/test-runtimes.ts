/** Languages for tests, from `fixtures/runtimes`: they stand on the image of one of ours, so building them takes a moment. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Config, loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Images } from '../../src/runtimes/images.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { buildImages } from '../helpers/images.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/runtimes/', import.meta.url));

/** A folder of languages with one in it, whose image is built. Disposing of it removes the folder; the image stays for the next time. */
export class TestRuntimes implements AsyncDisposable {
  readonly engine: Engine;
  /** To be given to a daemon as `runtimesPath`. */
  readonly path: string;
  readonly runtime: Runtime;
  readonly image: string;

  private constructor(engine: Engine, path: string, runtime: Runtime, image: string) {
    this.engine = engine;
    this.path = path;
    this.runtime = runtime;
    this.image = image;
  }

  /**
   * @param id a folder of `fixtures/runtimes`; its files are below /opt/ID in the image
   * @param base the language that it stands on
   */
  static async create(id: string, base: string): Promise<TestRuntimes> {
    const engine = await Engine.connect(loadConfig());
    const path = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    try {
      const { images: bases } = await buildImages(loadConfig(), engine, [base]);
      await cp(join(FIXTURES, id), join(path, id), { recursive: true });
      const dockerfile = `FROM ${bases.tag({ id: base })}\nCOPY . /opt/${id}\n`;
      await writeFile(join(path, id, 'Dockerfile'), dockerfile);
      const config: Config = { ...loadConfig(), runtimesPath: path };
      const { runtimes, broken } = await loadRuntimes(config);
      const runtime = runtimes.find((one) => one.id === id);
      if (!runtime) throw new Error(`The test runtime is broken: ${JSON.stringify(broken)}`);
      const images = new Images(config, () => engine);
      await images.prepare(runtimes);
      await images.build([runtime], { onProgress() {}, signal: new AbortController().signal });
      return new TestRuntimes(engine, path, runtime, images.tag(runtime));
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      await rm(path, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
    await rm(this.path, { recursive: true, force: true });
  }
}
