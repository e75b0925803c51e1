/**
 * A circuit breaker for an engine that answers but cannot start containers: after a few failures in a row nobody tries any more, so that what is asked
 * meanwhile fails at once instead of piling up. After a pause, each time longer, one may try; its success lets everybody in again.
 */
import { EventEmitter } from 'node:events';
import { CodeRunnerError } from '../protocol/index.ts';

/** A single failure may be the container's own; so many in a row, of whatever language, are the engine's. */
const FAILURES_TO_OPEN = 3;
const PAUSE_FIRST_MS = 1_000;
const PAUSE_MOST_MS = 30_000;

interface BreakerEvents {
  /** Nobody should try for now. */
  open: [CodeRunnerError];
  /** It may be tried: the pause is over, or it works again. */
  able: [];
}

export class Breaker extends EventEmitter<BreakerEvents> implements Disposable {
  #failures = 0;
  #pauseMs = PAUSE_FIRST_MS;
  #pause: NodeJS.Timeout | undefined;
  #problem: CodeRunnerError | undefined;
  #trying = false;

  constructor() {
    super();
    this.setMaxListeners(0); // each run that waits for it is one
  }

  /** Why nothing may be tried now; undefined where something may. */
  get problem(): CodeRunnerError | undefined {
    return this.#pause || this.#trying ? this.#problem : undefined;
  }

  /** Asks to try. After a pause only one may, until it has succeeded or failed. @throws CodeRunnerError engine_failing */
  enter(): void {
    if (this.problem) throw this.problem;
    this.#trying = this.#problem !== undefined;
  }

  /** Whoever was to try came to neither: another may. */
  leave(): void {
    if (!this.#trying) return;
    this.#trying = false;
    this.emit('able');
  }

  succeeded(): void {
    const wasOpen = this.#problem !== undefined;
    this.#close();
    if (wasOpen) this.emit('able');
  }

  failed(error: Error): void {
    this.#trying = false;
    this.#failures++;
    if (this.#pause || this.#failures < FAILURES_TO_OPEN) return;
    this.#problem = new CodeRunnerError(
      'engine_failing',
      `The container engine starts no sandboxes: ${error.message}`,
      {
        cause: error,
      },
    );
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.emit('able');
    }, this.#pauseMs).unref();
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MOST_MS);
    this.emit('open', this.#problem);
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  #close(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    this.#problem = undefined;
    this.#trying = false;
    this.#failures = 0;
    this.#pauseMs = PAUSE_FIRST_MS;
  }
}
