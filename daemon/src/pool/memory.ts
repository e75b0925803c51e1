/** The memory that containers may use together. A container that has no room is not created: runs wait for it in turn, refills come back later. */

interface Waiting {
  bytes: number;
  enter(): void;
}

export class MemoryBudget {
  /** Bytes in all; infinite while nobody knows. */
  most = Number.POSITIVE_INFINITY;
  /** Those that are taken for what is no sandbox for a run. */
  reserved = 0;
  #taken = 0;
  readonly #waiting: Waiting[] = [];

  /** Bytes that containers have, or may come to use. */
  get taken(): number {
    return this.#taken;
  }

  /** How much more would have to be given back for the first so many that wait; 0 where none waits. */
  shortFor(count: number): number {
    if (this.#waiting.length === 0) return 0;
    const wanted = this.#waiting.slice(0, count).reduce((sum, { bytes }) => sum + bytes, 0);
    return Math.max(0, wanted - (this.most - this.#taken));
  }

  /** Takes room where there is some that nobody waits for. */
  tryTake(bytes: number): boolean {
    if (!this.fits(bytes)) return false;
    this.#taken += bytes;
    return true;
  }

  /** Whether there is room that nobody waits for. */
  fits(bytes: number): boolean {
    return this.#waiting.length === 0 && this.#taken + bytes <= this.most;
  }

  /** Takes room, when those who asked before have theirs. Rejects with the signal's reason when aborted. */
  take(bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.tryTake(bytes)) return resolve();
      const waiting: Waiting = {
        bytes,
        enter() {
          signal.removeEventListener('abort', aborted);
          resolve();
        },
      };
      const aborted = () => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(signal.reason);
        this.admit();
      };
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.push(waiting);
    });
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
    this.admit();
  }

  /** Lets in who has room now, in the order in which they asked; for when there may be more of it. */
  admit(): void {
    for (let [first] = this.#waiting; first && this.#taken + first.bytes <= this.most; [first] = this.#waiting) {
      this.#waiting.shift();
      this.#taken += first.bytes;
      first.enter();
    }
  }
}
