/**
 * Containers that served a run and may serve its owner's next one of the same kind: they are made fit for it, and wait a while. None goes
 * to anybody else, and none in which something of the last run may be left.
 */
import type { Sandbox } from './sandbox.ts';

interface UsedOptions {
  /** How long one waits for its owner's next run, in milliseconds. */
  keepMs: number;
  /** One of that kind can be used again. @returns whether somebody waited for it, who has it now */
  offer(kind: string, sandbox: Sandbox): boolean;
  /** Destroys one that nobody has. Never rejects. */
  remove(sandbox: Sandbox): void;
  /** Why one could not be made fit, for the log. */
  onUnfit(sandbox: Sandbox, error: Error): void;
}

interface Kept {
  readonly kind: string;
  readonly sandbox: Sandbox;
  /** Whether it can be used again; undefined while that is not known. */
  isFit: boolean | undefined;
  /** Resolves when that is known. */
  reset: Promise<void>;
  /** How often all had been given up before. */
  readonly clearings: number;
  /** Ends its time. */
  expiry: NodeJS.Timeout | undefined;
}

export class UsedSandboxes {
  readonly #options: UsedOptions;
  /** Those that nobody has. */
  readonly #kept = new Set<Kept>();
  #clearings = 0;

  constructor(options: UsedOptions) {
    this.#options = options;
  }

  /** How many there are. */
  get count(): number {
    return this.#kept.size;
  }

  /**
   * Has everything of its run removed and keeps it for the next.
   * @param kind what runs must have in common to follow each other in it, their owner among it
   * @param user the next run's, as {@link Sandbox.reset} takes it
   */
  keep(kind: string, sandbox: Sandbox, user: number): void {
    const clearings = this.#clearings;
    const kept: Kept = { kind, sandbox, isFit: undefined, reset: Promise.resolve(), expiry: undefined, clearings };
    this.#kept.add(kept);
    kept.reset = sandbox.reset(user).then(
      () => {
        kept.isFit = true;
        if (!this.#kept.has(kept)) return; // taken already, or given up
        if (this.#options.offer(kind, sandbox)) this.#kept.delete(kept);
        else kept.expiry = setTimeout(() => this.#giveUp(kept), this.#options.keepMs).unref();
      },
      (error: Error) => {
        kept.isFit = false;
        // Given up meanwhile: that is why.
        if (this.#kept.has(kept)) this.#options.onUnfit(sandbox, error);
        this.#giveUp(kept);
      },
    );
    void sandbox.agent.closed.then(() => this.#giveUp(kept));
  }

  /**
   * One of that kind, whose the caller is from now on, as soon as it is fit; undefined where there is none.
   * @throws the signal's reason when aborted; then nobody has it
   */
  async take(kind: string, signal: AbortSignal): Promise<Sandbox | undefined> {
    for (;;) {
      signal.throwIfAborted();
      const ofKind = [...this.#kept].filter((one) => one.kind === kind);
      const kept = ofKind.find(({ isFit }) => isFit) ?? ofKind[0];
      if (!kept) return undefined;
      this.#kept.delete(kept);
      clearTimeout(kept.expiry);
      await this.#untilKnown(kept, signal);
      if (kept.isFit) return kept.sandbox;
      this.#options.remove(kept.sandbox);
    }
  }

  /** Waits until it is known whether one that was taken is fit. @throws the signal's reason when aborted before; then it is as it was */
  async #untilKnown(kept: Kept, signal: AbortSignal): Promise<void> {
    const left = Promise.withResolvers<never>();
    const leave = () => {
      if (kept.isFit !== undefined) return; // whoever waits has it already
      if (kept.clearings === this.#clearings) this.#kept.add(kept);
      else this.#options.remove(kept.sandbox);
      left.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      await Promise.race([kept.reset, left.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** The kind of each, those that are kept longest first. */
  get kinds(): string[] {
    return [...this.#kept].map(({ kind }) => kind);
  }

  /** Gives up the one of that kind that is kept longest. @returns how much memory it may come to use, in bytes */
  giveUp(kind: string): number {
    const first = [...this.#kept].find((one) => one.kind === kind);
    if (!first) return 0;
    this.#giveUp(first);
    return first.sandbox.memoryBytes;
  }

  /** Gives up all that nobody has. */
  clear(): void {
    this.#clearings++;
    for (const kept of this.#kept) this.#giveUp(kept);
  }

  #giveUp(kept: Kept): void {
    if (!this.#kept.delete(kept)) return;
    clearTimeout(kept.expiry);
    this.#options.remove(kept.sandbox);
  }
}
