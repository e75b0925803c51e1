/** Who gets memory for a container, which of those that only wait gives way for it, and when what a container had is free again. */
import type { Cleaner } from './cleaner.ts';
import type { MemoryBudget } from './memory.ts';
import type { Sandbox } from './sandbox.ts';
import type { Shelf, Waiter } from './shelf.ts';
import type { Shelves } from './shelves.ts';

interface RoomOptions {
  memory: MemoryBudget<Waiter>;
  shelves: Shelves;
  cleaner: Cleaner;
  /** As many containers are made at the same time: for so many that wait there should be room. */
  atOnce: number;
  /** The kinds of used containers that nobody has, one for each. */
  usedKinds(): string[];
  /** Gives one of them up. @returns how much it has, in bytes */
  giveUpUsed(kind: string): number;
  /** There may be room for refills that found none. */
  onRoom(): void;
}

export class Room {
  readonly #options: RoomOptions;
  readonly #memory: MemoryBudget<Waiter>;
  /** A refill found none. */
  #starved = false;

  constructor(options: RoomOptions) {
    this.#options = options;
    this.#memory = options.memory;
  }

  /**
   * For a container that a run waits for, in its turn: those that only wait give way. Rejects with the signal's reason when aborted.
   * @param shelf where the run waits
   */
  take(bytes: number, signal: AbortSignal, shelf?: Shelf): Promise<void> {
    const room = this.#memory.take(bytes, signal, shelf);
    this.make();
    return room;
  }

  /** For a container that is to wait. @returns false where there is none now; `onRoom` tells when there may be */
  tryTake(bytes: number): boolean {
    const taken = this.#memory.tryTake(bytes);
    this.#starved ||= !taken;
    return taken;
  }

  /** What was taken is needed no more. */
  free(bytes: number): void {
    this.#memory.giveBack(bytes);
    this.make();
    if (!this.#starved) return;
    this.#starved = false;
    this.#options.onRoom();
  }

  /**
   * Those that only wait give way to what waits for room: to be called when there is one more of them. A used one does not give way to the run
   * that it will do for: that has it sooner than a new one.
   */
  make(): void {
    const { cleaner, atOnce, usedKinds } = this.#options;
    const first = this.#memory.first(atOnce);
    if (first.length === 0) return;
    const awaited = new Set(first.map(({ waiter }) => waiter?.kind));
    const used = usedKinds().sort((one, other) => Number(awaited.has(one)) - Number(awaited.has(other)));
    let freeBytes = this.#memory.free + cleaner.leavingBytes;
    for (const { bytes, waiter } of first) {
      const own = waiter?.kind === undefined ? -1 : used.indexOf(waiter.kind);
      if (own !== -1) {
        used.splice(own, 1);
        continue;
      }
      freeBytes -= bytes;
      while (freeBytes < 0) {
        const given = this.#giveWay(used.shift());
        if (given === undefined) return;
        freeBytes += given;
      }
    }
  }

  /** @param kind of a used one; without it, one that waits for whoever comes */
  #giveWay(kind: string | undefined): number | undefined {
    if (kind !== undefined) return this.#options.giveUpUsed(kind);
    const sandbox = this.#options.shelves.fullest?.idle.shift();
    if (sandbox) void this.remove(sandbox);
    return sandbox?.memoryBytes;
  }

  /** Destroys a container; its room is free when it is gone, which is when this resolves. Never rejects. */
  remove(sandbox: Sandbox): Promise<void> {
    return this.#options.cleaner.remove(sandbox, () => this.free(sandbox.memoryBytes));
  }

  /** Gives up a container whose engine is gone. */
  lose(sandbox: Sandbox): void {
    this.#options.cleaner.lose(sandbox);
    this.#memory.giveBack(sandbox.memoryBytes);
  }

  /**
   * Takes some for what is no sandbox for a run, in its turn. What is more than there is in all takes all of it.
   * @returns to be disposed of when it is needed no more
   * @throws the signal's reason when aborted
   */
  async reserve(bytes: number, signal: AbortSignal): Promise<Disposable> {
    const taken = Math.min(bytes, this.#memory.most);
    await this.take(taken, signal);
    this.#memory.reserved += taken;
    return {
      [Symbol.dispose]: () => {
        this.#memory.reserved -= taken;
        this.free(taken);
      },
    };
  }
}
