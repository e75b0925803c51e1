/** The memory that containers may use together. A container that has no room is not created: runs wait for it in turn, refills come back later. */
import { Shares, type Waiting } from './turns.ts';

/** Runs that are all content with the same container. */
interface Line<W extends Waiting> {
  /** In the order in which they came. */
  readonly waiters: readonly W[];
}

interface Ask<W extends Waiting> {
  readonly bytes: number;
  readonly line: Line<W> | undefined;
  enter(): void;
}

export class MemoryBudget<W extends Waiting = Waiting> {
  /** Bytes in all; infinite while nobody knows. */
  most = Number.POSITIVE_INFINITY;
  /** Those that are taken for what is no sandbox for a run. */
  reserved = 0;
  #taken = 0;
  /** In the order in which they came. */
  readonly #asks: Ask<W>[] = [];
  readonly #shares: Shares;

  /** @param shares whose turn it is among owners */
  constructor(shares = new Shares(0)) {
    this.#shares = shares;
  }

  /** Bytes that containers have, or may come to use. */
  get taken(): number {
    return this.#taken;
  }

  /** Bytes that nobody has; less than none where there was more before. */
  get free(): number {
    return this.most - this.#taken;
  }

  /** The first so many that wait for room, in their turn: how much for each, and for which run, where it is one's. */
  first(count: number): { bytes: number; waiter?: W }[] {
    const forRuns = [...this.#lines()].flatMap(([{ waiters }, asks]) =>
      this.#shares
        .sorted(waiters)
        .slice(0, asks.length)
        .map((waiter, index) => ({ bytes: (asks[index] as Ask<W>).bytes, waiter })),
    );
    forRuns.sort((one, other) => this.#shares.compare(one.waiter.owner, other.waiter.owner));
    const others = this.#asks.filter(({ line }) => !line).map(({ bytes }) => ({ bytes }));
    return [...others, ...forRuns].slice(0, count);
  }

  /** Takes room where there is some that nobody waits for. */
  tryTake(bytes: number): boolean {
    if (!this.fits(bytes)) return false;
    this.#taken += bytes;
    return true;
  }

  /** Whether there is room that nobody waits for. */
  fits(bytes: number): boolean {
    return this.#asks.length === 0 && bytes <= this.free;
  }

  /**
   * Takes room in its turn. Rejects with the signal's reason when aborted.
   * @param line where the run waits that it is for: the line of the owner with the smallest part comes first. What is for no run comes
   * before all others
   */
  take(bytes: number, signal: AbortSignal, line?: Line<W>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.tryTake(bytes)) return resolve();
      const ask: Ask<W> = {
        bytes,
        line,
        enter() {
          signal.removeEventListener('abort', aborted);
          resolve();
        },
      };
      const aborted = () => {
        this.#asks.splice(this.#asks.indexOf(ask), 1);
        reject(signal.reason);
        this.admit();
      };
      signal.addEventListener('abort', aborted, { once: true });
      this.#asks.push(ask);
      this.admit();
    });
  }

  giveBack(bytes: number): void {
    this.#taken -= bytes;
    this.admit();
  }

  /** Lets in who has room now, each in its turn; for when there may be more of it. */
  admit(): void {
    // What is more than there is, since there was more when it was asked for, has room when nobody else has any.
    const given = new Map<string, number>();
    for (;;) {
      const { ask, owner } = this.#next(given);
      if (!ask || Math.min(ask.bytes, this.most) > this.free) return;
      this.#asks.splice(this.#asks.indexOf(ask), 1);
      this.#taken += ask.bytes;
      if (owner !== undefined) given.set(owner, (given.get(owner) ?? 0) + 1);
      ask.enter();
    }
  }

  #next(given: ReadonlyMap<string, number>): { ask?: Ask<W> | undefined; owner?: string } {
    const [first] = this.#asks;
    if (!first || this.free <= 0) return { ask: first };
    const forNoRun = this.#asks.find(({ line }) => !line);
    if (forNoRun) return { ask: forNoRun };
    let best: { waiter: W; ask: Ask<W> } | undefined;
    for (const [{ waiters }, [ask]] of this.#lines()) {
      const waiter = this.#shares.first(waiters, given);
      if (!ask || !waiter) continue;
      if (!best || this.#shares.compare(waiter.owner, best.waiter.owner, given) < 0) best = { waiter, ask };
    }
    return best ? { ask: best.ask, owner: best.waiter.owner } : { ask: first };
  }

  #lines(): Map<Line<W>, Ask<W>[]> {
    const lines = new Map<Line<W>, Ask<W>[]>();
    for (const ask of this.#asks) {
      if (!ask.line) continue;
      const asks = lines.get(ask.line) ?? [];
      asks.push(ask);
      lines.set(ask.line, asks);
    }
    return lines;
  }
}
