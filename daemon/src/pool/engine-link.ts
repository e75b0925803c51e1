/**
 * The daemon's connection to its container engine: there, or not there and why. The engine may be absent at the start, stop in
 * the middle and come back; this looks after it, so that nobody else has to.
 */
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import { Engine } from '../engine/engine.ts';
import { CodeRunnerError } from '../protocol/index.ts';

const PING_EVERY_MS = 5_000;
const RETRY_FIRST_MS = 500;
const RETRY_MOST_MS = 10_000;

interface EngineEvents {
  up: [Engine];
  down: [CodeRunnerError];
  /** It answered just now. */
  alive: [];
}

export class EngineLink extends EventEmitter<EngineEvents> {
  readonly #config: Config;
  readonly #stop = new AbortController();
  #engine: Engine | undefined;
  #problem = new CodeRunnerError('engine_unavailable', 'The container engine has not answered yet.');
  #watching: Promise<void> | undefined;
  /** Ends the present wait, so that the engine is looked at now. */
  #wake = new AbortController();

  constructor(config: Config) {
    super();
    this.setMaxListeners(0); // each run that waits for it is one
    this.#config = config;
  }

  /** Tries once to connect, so that the caller starts with a known state, then keeps watching. */
  async start(): Promise<void> {
    await this.#look();
    this.#watching = this.#watch();
  }

  /** @throws CodeRunnerError engine_unavailable */
  get engine(): Engine {
    if (!this.#engine) throw this.#problem;
    return this.#engine;
  }

  /** Why there is no engine; undefined while there is one. */
  get problem(): CodeRunnerError | undefined {
    return this.#engine ? undefined : this.#problem;
  }

  /** Someone saw the engine fail: look now instead of at the next round. */
  suspect(): void {
    this.#wake.abort();
  }

  /** Looks at the engine now. @returns true when it answers; false when the link was disposed of before that */
  whenUp(): Promise<boolean> {
    this.suspect();
    return once(this, 'alive', { signal: this.#stop.signal }).then(
      () => true,
      () => false,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake.abort();
    await this.#watching;
    await this.#engine?.[Symbol.asyncDispose]();
    this.#engine = undefined;
  }

  async #watch(): Promise<void> {
    let retryMs = RETRY_FIRST_MS;
    while (!this.#stop.signal.aborted) {
      retryMs = this.#engine ? RETRY_FIRST_MS : Math.min(retryMs * 2, RETRY_MOST_MS);
      this.#wake = new AbortController();
      const waitMs = this.#engine ? PING_EVERY_MS : retryMs;
      await sleep(waitMs, undefined, { signal: this.#wake.signal, ref: false }).catch(() => {});
      if (!this.#stop.signal.aborted) await this.#look();
    }
  }

  async #look(): Promise<void> {
    try {
      if (this.#engine) {
        await this.#engine.ping();
        this.emit('alive');
        return;
      }
      this.#engine = await Engine.connect(this.#config, this.#stop.signal);
      void this.#engine.gone.then(() => this.suspect());
      this.emit('up', this.#engine);
      this.emit('alive');
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      const lost = this.#engine;
      this.#engine = undefined;
      this.#problem =
        error instanceof CodeRunnerError
          ? error
          : new CodeRunnerError(
              'engine_unavailable',
              `The container engine does not answer: ${(error as Error).message}.`,
              { cause: error },
            );
      if (lost) {
        this.emit('down', this.#problem);
        await lost[Symbol.asyncDispose]();
      }
    }
  }
}
