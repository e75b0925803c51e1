import type { Disposable } from 'vscode';

/** Longer than a short program takes from the click to its drawn output. */
const LATER_MS = 250;

/**
 * Something that nobody waits for: done a little after it was asked for, once for all that asked meanwhile. The window draws what a program
 * prints with the same thread that would be busy with this.
 */
export class Later implements Disposable {
  readonly #action: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(action: () => void) {
    this.#action = action;
  }

  ask(): void {
    this.#timer ??= setTimeout(() => this.now(), LATER_MS);
  }

  /** At once, if it was asked for. */
  now(): void {
    if (this.#timer === undefined) return;
    this.dispose();
    this.#action();
  }

  /** It is not done any more. */
  dispose(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
