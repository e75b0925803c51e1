/** The languages as they are now. They come and go while the daemon runs; what runs keeps the language that it began with. */
import { EventEmitter } from 'node:events';
import type { Config } from '../config.ts';
import type { Images } from './images.ts';
import { type LoadedRuntimes, loadRuntimes, type RuntimeProblem } from './load.ts';
import type { Runtime } from './runtime.ts';

/** `changed`: the folders were read again. */
export class Runtimes extends EventEmitter<{ changed: [] }> {
  readonly #config: Config;
  readonly #images: Images;
  #now: LoadedRuntimes;
  /** Folders are read one time after the other, so that what was read last counts. */
  #reading: Promise<void> = Promise.resolve();

  private constructor(config: Config, images: Images, now: LoadedRuntimes) {
    super();
    this.#config = config;
    this.#images = images;
    this.#now = now;
    // One for each connected client.
    this.setMaxListeners(0);
  }

  /** @param images told of all that are usable, now and later */
  static async load(config: Config, images: Images): Promise<Runtimes> {
    const now = await loadRuntimes(config);
    await images.prepare(now.runtimes);
    return new Runtimes(config, images, now);
  }

  get usable(): readonly Runtime[] {
    return this.#now.runtimes;
  }

  get broken(): readonly RuntimeProblem[] {
    return this.#now.broken;
  }

  /** Reads all folders again. */
  reload(): Promise<void> {
    const reading = this.#reading.then(async () => {
      const now = await loadRuntimes(this.#config);
      await this.#images.prepare(now.runtimes);
      this.#now = now;
      this.emit('changed');
    });
    this.#reading = reading.catch(() => {}); // whoever asked is told
    return reading;
  }
}
