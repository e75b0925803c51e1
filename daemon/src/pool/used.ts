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
  /** Whether it can be used again; it may not be known yet. */
  fit: Promise<boolean>;
  /** Ends its time. */
  expiry: NodeJS.Timeout | undefined;
}

export class UsedSandboxes {
  readonly #options: UsedOptions;
  /** Those that nobody has; of each kind, the one that is fit first comes first. */
  readonly #kept = new Set<Kept>();

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
    const kept: Kept = { kind, sandbox, fit: Promise.resolve(false), expiry: undefined };
    this.#kept.add(kept);
    kept.fit = sandbox.reset(user).then(
      () => {
        if (!this.#kept.has(kept)) return true; // taken already, or given up
        if (this.#options.offer(kind, sandbox)) this.#kept.delete(kept);
        else kept.expiry = setTimeout(() => this.#giveUp(kept), this.#options.keepMs).unref();
        return true;
      },
      (error: Error) => {
        // Given up meanwhile: that is why.
        if (this.#kept.has(kept)) this.#options.onUnfit(sandbox, error);
        this.#giveUp(kept);
        return false;
      },
    );
    void sandbox.agent.closed.then(() => this.#giveUp(kept));
  }

  /** One of that kind, whose the caller is from now on, as soon as it is fit; undefined where there is none. Never rejects. */
  async take(kind: string): Promise<Sandbox | undefined> {
    for (;;) {
      const kept = [...this.#kept].find((one) => one.kind === kind);
      if (!kept) return undefined;
      this.#kept.delete(kept);
      clearTimeout(kept.expiry);
      if (await kept.fit) return kept.sandbox;
      this.#options.remove(kept.sandbox);
    }
  }

  /** Gives up the one that is kept longest. @returns false where there is none */
  giveUpOne(): boolean {
    const [first] = this.#kept;
    if (first) this.#giveUp(first);
    return first !== undefined;
  }

  /** Gives up all that nobody has. */
  clear(): void {
    while (this.giveUpOne());
  }

  #giveUp(kept: Kept): void {
    if (!this.#kept.delete(kept)) return;
    clearTimeout(kept.expiry);
    this.#options.remove(kept.sandbox);
  }
}
