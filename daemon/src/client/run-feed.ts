/**
 * One run as it arrives: its bytes are put in order, each delivered once, one after the other, and counted as consumed only
 * when the consumer has taken them. Knows nothing of how they travel.
 */
import type { Run } from '../protocol/resources.ts';

/** A piece of output. `data` may be a view of a larger buffer: copy it to keep it. */
export interface Output {
  channel: 'stdout' | 'stderr';
  /** Offset of the first byte in the run's output, both channels counted together. */
  seq: number;
  data: Uint8Array;
}

/** Who follows a run. */
export interface RunObserver {
  /** The next piece comes when this has returned, or its promise resolved: a slow consumer stops the program. */
  onOutput(output: Output): unknown;
  /** Output that will not come: it was printed too long ago. Called in its place between the pieces, and waited for like them. */
  onGap?(from: number, to: number): unknown;
  /** The run changed its state, or became known. */
  onState?(run: Run): void;
}

interface Gap {
  from: number;
  to: number;
}

export class RunFeed {
  /** Resolves when the run has ended and its output was taken; rejects when it can no longer be followed. */
  readonly done: Promise<Run>;
  /** Told how far the consumer has come. */
  onConsumed: (seq: number) => void = () => {};
  /** Told once when nothing more will be delivered. */
  onOver: () => void = () => {};
  #run: Run | undefined;
  readonly #observer: RunObserver;
  #queue: (Output | Gap)[] = [];
  /** Index of the next item in the queue; cheaper than shifting it. */
  #next = 0;
  #received: number;
  #busy = false;
  #ended = false;
  #over = false;
  readonly #settle = Promise.withResolvers<Run>();
  #drained: (() => void)[] = [];

  constructor(observer: RunObserver, from: number) {
    this.#observer = observer;
    this.#received = from;
    this.done = this.#settle.promise;
    // Whoever does not ask for the end need not hear that it went wrong.
    this.done.catch(() => {});
  }

  /** The run as it was last told. */
  get run(): Run | undefined {
    return this.#run;
  }

  /** Offset after what has arrived: where to go on after a break. */
  get received(): number {
    return this.#received;
  }

  get over(): boolean {
    return this.#over;
  }

  output(channel: Output['channel'], seq: number, data: Uint8Array): void {
    if (this.#over) return;
    if (seq > this.#received) this.gap(this.#received, seq);
    const known = this.#received - seq;
    if (known >= data.length) return;
    const fresh = known > 0 ? data.subarray(known) : data;
    this.#queue.push({ channel, seq: this.#received, data: fresh });
    this.#received += fresh.length;
    this.#drain();
  }

  gap(from: number, to: number): void {
    if (this.#over || to <= this.#received) return;
    this.#queue.push({ from: Math.max(from, this.#received), to });
    this.#received = to;
    this.#drain();
  }

  state(run: Run): void {
    if (this.#over) return;
    this.#run = run;
    try {
      this.#observer.onState?.(run);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Nothing comes after this; `done` resolves when the consumer has caught up. */
  end(run: Run): void {
    this.state(run);
    this.#ended = true;
    this.#drain();
  }

  /** The run can no longer be followed. */
  fail(error: unknown): void {
    if (this.#over) return;
    this.#finish();
    this.#settle.reject(error);
  }

  /** Resolves when everything that has arrived was consumed, or nothing will be any more. */
  drained(): Promise<void> {
    if (this.#over || (!this.#busy && this.#next === this.#queue.length)) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  #drain(): void {
    while (!this.#busy && !this.#over) {
      const item = this.#queue[this.#next];
      if (!item) {
        this.#queue = [];
        this.#next = 0;
        for (const resolve of this.#drained.splice(0)) resolve();
        if (this.#ended) {
          this.#finish();
          this.#settle.resolve(this.#run as Run);
        }
        return;
      }
      this.#next++;
      try {
        this.#deliver(item);
      } catch (error) {
        this.fail(error);
      }
    }
  }

  #deliver(item: Output | Gap): void {
    const isGap = 'to' in item;
    const end = isGap ? item.to : item.seq + item.data.length;
    const taken = isGap ? this.#observer.onGap?.(item.from, item.to) : this.#observer.onOutput(item);
    if (!isPromise(taken)) {
      this.onConsumed(end);
      return;
    }
    this.#busy = true;
    taken.then(
      () => {
        this.#busy = false;
        if (this.#over) return;
        this.onConsumed(end);
        this.#drain();
      },
      (error) => this.fail(error),
    );
  }

  #finish(): void {
    this.#over = true;
    this.#queue = [];
    this.#next = 0;
    for (const resolve of this.#drained.splice(0)) resolve();
    this.onOver();
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | undefined)?.then === 'function';
}
