/** Sees to it that no container stays behind: of runs that are over, of an engine that went away, of an earlier daemon. */
import type { Logger } from 'pino';
import type { Engine, ListedContainer } from '../engine/engine.ts';
import type { EngineLink } from './engine-link.ts';
import type { Sandbox } from './sandbox.ts';

/** An engine that hung has done by then what it was asked for before. */
const LATE_MS = 5_000;

/** Marks containers, networks and volumes of packages. */
export const PACKAGES_LABEL = 'coderunner.packages';

export interface CleanerOptions {
  link: EngineLink;
  /** Containers that carry it and are not ours now are left-overs. */
  instance: string;
  log: Logger;
  /** Resolves when no container is being made. */
  whenNoneIsMade(): Promise<void>;
  /** Resolves when those that are being made now are made, or came to nothing. */
  whenPresentOnesAreMade(): Promise<void>;
  /** Left-overs are known, and containers may be made again. */
  onLookedThrough(): void;
}

export class Cleaner {
  readonly #options: CleanerOptions;
  /** Every container that is not given up: waiting or leased. */
  readonly #live = new Set<string>();
  /** Under way, so that stopping can wait for them. */
  readonly #removals = new Set<Promise<void>>();
  #leavingBytes = 0;
  #isSweeping = true;
  #engine: Engine | undefined;
  /** Creations were given up when the engine went away: one that only hung makes them still. */
  #mayComeLate = false;
  #late: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: CleanerOptions) {
    this.#options = options;
  }

  /** Left-overs are being looked for, or there is no engine: a new container would be taken for one. */
  get isSweeping(): boolean {
    return this.#isSweeping;
  }

  /** Memory of containers that are being removed. */
  get leavingBytes(): number {
    return this.#leavingBytes;
  }

  /** It is no left-over until it is removed, or lost. */
  spare(sandbox: Sandbox): void {
    this.#live.add(sandbox.id);
  }

  /** It went away with its engine; what is left of it goes when that is back. */
  lose(sandbox: Sandbox): void {
    this.#live.delete(sandbox.id);
    sandbox.agent.close('The container engine is gone.');
  }

  /**
   * Resolves when it is gone. Never rejects: what cannot be removed now is when the engine is back.
   * @param freed called when its memory is free
   */
  remove(sandbox: Sandbox, freed: () => void): Promise<void> {
    const { link, log } = this.#options;
    this.#live.delete(sandbox.id);
    this.#leavingBytes += sandbox.memoryBytes;
    const removal: Promise<void> = sandbox
      .dispose()
      .catch((error) => {
        log.warn(
          { container: sandbox.id, err: error },
          'a sandbox could not be removed; trying again when the engine is back, and when the daemon stops',
        );
        link.suspect();
      })
      .finally(() => {
        this.#removals.delete(removal);
        this.#leavingBytes -= sandbox.memoryBytes;
        freed();
      });
    this.#removals.add(removal);
    return removal;
  }

  /** Resolves when all that was being removed is gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** @returns whether that engine was there already when it was looked at last */
  knows(engine: Engine): boolean {
    return this.#engine === engine;
  }

  /** Removes all that is on the engine and not ours any more. */
  async engineUp(engine: Engine): Promise<void> {
    this.#engine = engine;
    await this.#sweep(engine);
    if (this.#engine !== engine) return;
    if (this.#mayComeLate) this.#lookLater(engine);
  }

  /** A creation failed since the engine did not answer: it may make that container all the same. */
  expectLate(): void {
    this.#mayComeLate = true;
    if (this.#engine) this.#lookLater(this.#engine);
  }

  /** @param wasMaking containers were being made on it */
  engineDown(wasMaking: boolean): void {
    this.#isSweeping = true;
    this.#engine = undefined;
    this.#mayComeLate ||= wasMaking || this.#late !== undefined;
    clearTimeout(this.#late);
    this.#late = undefined;
  }

  /** Looks for left-overs no more, but for what {@link Cleaner.finish} does. */
  close(): void {
    clearTimeout(this.#late);
    this.#isClosed = true;
  }

  /** Resolves when nothing of ours is left, but where the engine is away. */
  async finish(): Promise<void> {
    const { link } = this.#options;
    await this.settled();
    // What could not be removed at its time, because the engine was away or failed then.
    if (!link.problem) await this.#removeLeftOvers(link.engine);
  }

  #lookLater(engine: Engine): void {
    if (this.#late || this.#isClosed) return;
    this.#mayComeLate = false;
    this.#late = setTimeout(() => void this.#lookAgain(engine), LATE_MS).unref();
  }

  async #lookAgain(engine: Engine): Promise<void> {
    this.#late = undefined;
    await this.#removeLeftOvers(engine);
    // Another one may have failed meanwhile.
    if (this.#mayComeLate && this.#engine === engine) this.#lookLater(engine);
  }

  async #sweep(engine: Engine): Promise<void> {
    this.#isSweeping = true;
    // What was begun on the engine before it went away ends first, or it would be swept away half made.
    await this.#options.whenNoneIsMade();
    await this.#removeLeftOvers(engine, () => {
      if (this.#engine !== engine) return; // it went away meanwhile
      this.#isSweeping = false;
      this.#options.onLookedThrough();
    });
  }

  /**
   * Never rejects: where it fails, the next time does it.
   * @param onLookedThrough called when it is known what is left over: nobody has to wait until an engine that may be slow at it has removed that
   */
  async #removeLeftOvers(engine: Engine, onLookedThrough = () => {}): Promise<void> {
    const { link, log } = this.#options;
    try {
      const ours = await this.#list(engine).finally(onLookedThrough);
      const left = ours.filter(({ id, labels }) => !this.#live.has(id) && !isInstalling(labels));
      await Promise.all(left.map(({ id }) => engine.remove(id)));
      if (left.length > 0) log.info({ containers: left.length }, 'removed containers that were left over');
    } catch (error) {
      log.warn({ err: error }, 'left-over containers could not be removed');
      link.suspect();
    }
  }

  /** What was begun meanwhile, for a run that had waited for memory, has come to its end when this resolves: it is ours, or gone. */
  async #list(engine: Engine): Promise<ListedContainer[]> {
    const { instance, whenPresentOnesAreMade } = this.#options;
    const ours = await engine.listOurs({ instance });
    await whenPresentOnesAreMade();
    return ours;
  }
}

/** Containers that install packages carry the same instance; those who made them remove them. */
function isInstalling(labels: Record<string, string>): boolean {
  return labels[PACKAGES_LABEL] !== undefined;
}
