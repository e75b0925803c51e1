/** A run that is being followed: what its caller holds. */
import type { Run, TtySize } from '../protocol/resources.ts';
import type { DaemonApi } from './api.ts';
import type { RunFeed } from './run-feed.ts';

/** How a caller's wishes travel; one implementation for the WebSocket, one for plain HTTP. */
export interface Wire {
  /** Resolves when the daemon has room for all of it. */
  write(bytes: Uint8Array): Promise<void>;
  eof(): Promise<void>;
  resize(size: TtySize): void;
  cancel(): Promise<void>;
  /** Nobody follows any more. */
  release(): void;
}

export class RunHandle implements Disposable {
  /**
   * Resolves when the run has ended and all its output was taken; rejects with a CodeRunnerError when it can no longer be
   * followed.
   */
  readonly done: Promise<Run>;
  readonly #feed: RunFeed;
  readonly #wire: Wire;
  readonly #api: DaemonApi;
  /** Input goes one piece after the other, however the caller calls. */
  #input: Promise<void> = Promise.resolve();

  constructor(feed: RunFeed, wire: Wire, api: DaemonApi) {
    this.#feed = feed;
    this.#wire = wire;
    this.#api = api;
    this.done = feed.done;
  }

  get id(): string {
    return this.run.id;
  }

  /** As it was last told. */
  get run(): Run {
    return this.#feed.run as Run;
  }

  /**
   * Input for the program. Resolves when it is on its way, which is not before the program has taken enough of what came
   * before: awaiting it gives back-pressure.
   * @throws CodeRunnerError run_ended, stdin_closed; not_running where a broken connection could not be made again
   */
  write(bytes: Uint8Array): Promise<void> {
    return this.#after(() => this.#wire.write(bytes));
  }

  /** Closes the program's input, after what was written before. */
  eof(): Promise<void> {
    return this.#after(() => this.#wire.eof());
  }

  /** @param name such as `SIGINT`. @throws CodeRunnerError run_ended, also while the program has not started; bad_request */
  signal(name: string): Promise<void> {
    return this.#api.signal(this.id, name);
  }

  /** Tells a program in a terminal its new size. */
  resize(size: TtySize): void {
    this.#wire.resize(size);
  }

  /** Ends the run; its end comes through `done`. */
  cancel(): Promise<void> {
    return this.#wire.cancel();
  }

  /** Stops following; the run goes on. */
  [Symbol.dispose](): void {
    this.#wire.release();
  }

  #after(action: () => Promise<void>): Promise<void> {
    const result = this.#input.then(action);
    // What fails is told to its own caller; later input is refused for its own reasons.
    this.#input = result.catch(() => {});
    return result;
  }
}
