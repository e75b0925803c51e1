/** Shows how the build of images goes on: one line that changes at a terminal, a line a step elsewhere. */
import { stripVTControlCharacters } from 'node:util';
import type { BuildProgress } from '../runtimes/images.ts';

/** How the engine's own text names a step; the line does so already. */
const STEP = /^Step \d+\/\d+ : /;

export class BuildProgressLine implements Disposable {
  readonly #live = process.stderr.isTTY;
  #shown = '';

  show({ image, step, steps, text }: BuildProgress): void {
    const what = image === 'base' ? 'base image' : `image of ${image}`;
    const where = steps === undefined ? '' : ` ${step}/${steps}`;
    const line = `${what}${where}: ${stripVTControlCharacters(text).replace(STEP, '').trim()}`;
    if (this.#live) {
      process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns || 80) - 1)}`);
    } else if (steps === undefined || STEP.test(text)) {
      // What the steps themselves print is for the error, should there be one.
      if (line !== this.#shown) process.stderr.write(`${line}\n`);
    }
    this.#shown = line;
  }

  /** Takes the changing line away. */
  clear(): void {
    if (this.#live && this.#shown !== '') process.stderr.write('\r\x1b[K');
    this.#shown = '';
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}
