/**
 * Which containers should wait: of each language as many as its demand and the memory allow; of what single runs asked for beside that,
 * one for a while. It only says so: others make and remove them.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config.ts';
import type { VolumeMount } from '../engine/container.ts';
import type { Images } from '../runtimes/images.ts';
import { type Runtime, withServices } from '../runtimes/runtime.ts';
import { imageName } from '../runtimes/service.ts';
import { targets } from './demand.ts';
import type { MemoryBudget } from './memory.ts';
import type { Recipes } from './recipes.ts';
import { Shelf } from './shelf.ts';

/** Shelves of packages and services that wait at the same time; the one that was used least recently gives way. */
const MOST_KEPT = 4;

interface ShelvesOptions {
  config: Config;
  images: Images;
  recipes: Recipes;
  memory: MemoryBudget;
  runtimes: readonly Runtime[];
  /** Ids of the runtimes that were used lately. */
  used: readonly string[];
  /** Milliseconds of a clock that does not go back. */
  now(): number;
  /** Nothing should wait there any more: the time is over for which packages or services do. */
  onExpired(shelf: Shelf): void;
}

export class Shelves {
  readonly #options: ShelvesOptions;
  /** Names of the images of languages as they are. */
  #languages: ReadonlySet<string>;
  /** By what makes their containers alike; what single runs asked for is in the order of its last use. */
  readonly #current = new Map<string, Shelf>();
  /** Of languages that were changed or removed, as long as something may still happen to them. */
  readonly #retired = new Set<Shelf>();
  #isClosed = false;

  constructor(options: ShelvesOptions) {
    this.#options = options;
    const { runtimes, used, config } = options;
    this.#languages = new Set(runtimes.map(imageName));
    for (const runtime of runtimes) {
      const shelf = this.of(runtime, runtime.limits.memoryBytes);
      const waits = [...used, ...config.poolPrewarm].some((name) => name === runtime.id || name === 'all');
      shelf.least = waits ? config.poolSize : 0;
    }
    this.plan();
  }

  /** Those that something may wait on. */
  get current(): Shelf[] {
    return [...this.#current.values()];
  }

  /** All that something may still happen to. */
  get known(): Shelf[] {
    return [...this.#current.values(), ...this.#retired];
  }

  /** One per runtime, as people know them, without the sizes that single runs asked for. */
  get standard(): Shelf[] {
    return this.current.filter((shelf) => shelf.isStandard);
  }

  /** Where most containers wait; undefined where none do. */
  get fullest(): Shelf | undefined {
    return this.known.reduce<Shelf | undefined>(
      (most, shelf) => (shelf.idle.length > (most?.idle.length ?? 0) ? shelf : most),
      undefined,
    );
  }

  /** The one of these containers. */
  of(runtime: Runtime, memoryBytes: number, mount?: VolumeMount): Shelf {
    const key = keyOf(runtime, memoryBytes, mount);
    let shelf = this.#current.get(key);
    if (!shelf) {
      const isLanguage = this.#languages.has(imageName(runtime));
      const kind = { runtime, image: this.#options.images.tag(runtime), memoryBytes, mount };
      shelf = new Shelf(kind, { bytes: this.#options.recipes.bytes(kind), isLanguage });
      this.#current.set(key, shelf);
    }
    return shelf;
  }

  /** A run has one of it: a language waits in full from now on, what the run added to it with one container for a while. */
  served(shelf: Shelf): void {
    const { poolSize, poolKeep } = this.#options.config;
    if (shelf.retired) return;
    if (shelf.isStandard && shelf.least !== poolSize) {
      shelf.least = poolSize;
      this.plan();
    }
    if (shelf.isStandard || shelf.memoryBytes !== shelf.runtime.limits.memoryBytes) return;
    clearTimeout(shelf.expiry);
    if (this.#isClosed || poolSize === 0) return;
    shelf.least = 1;
    shelf.expiry = setTimeout(() => this.#expire(shelf), poolKeep);
    // Now it is the last, and the first is the one to give way.
    const key = keyOf(shelf.runtime, shelf.memoryBytes, shelf.mount);
    this.#current.delete(key);
    this.#current.set(key, shelf);
    const kept = this.current.filter((one) => !one.isStandard && one.least > 0);
    for (const oldest of kept.slice(0, -MOST_KEPT)) this.#expire(oldest);
    this.plan();
  }

  /** How many should wait, whatever memory there is. */
  wanted({ followsDemand, least, demand }: Shelf): number {
    return followsDemand ? Math.max(least, demand.wanted(this.#options.now())) : least;
  }

  /** Says how many should wait from now on, by what came lately and the memory that there is. */
  plan(): void {
    const { memory } = this.#options;
    const shelves = this.current;
    const wishes = shelves.map((shelf) => ({
      minimum: shelf.least,
      wanted: this.wanted(shelf),
      askedAt: shelf.demand.askedAt,
      bytes: shelf.bytes,
    }));
    const forRuns = this.known.reduce((sum, { leased, waiters, bytes }) => sum + (leased + waiters.length) * bytes, 0);
    const budget = { bytes: memory.most, takenBytes: forRuns + memory.reserved };
    const counts = targets(wishes, Number.isFinite(memory.most) ? budget : undefined);
    for (const [index, shelf] of shelves.entries()) shelf.target = counts[index] as number;
  }

  /**
   * Takes other languages; those that are as they were are tried again, since their images may have been built meanwhile.
   * @returns the shelves of those that are not, on which nothing should wait any more
   */
  update(runtimes: readonly Runtime[]): Shelf[] {
    this.#languages = new Set(runtimes.map(imageName));
    const gone: Shelf[] = [];
    for (const [key, shelf] of this.#current) {
      shelf.resume();
      const now = runtimes.find(({ id }) => id === shelf.runtime.id);
      if (now && this.#isAsBefore(shelf, now)) continue;
      this.#current.delete(key);
      shelf.retired = true;
      const { least, demand } = shelf;
      shelf.stopWaiting();
      if (shelf.isBusy) this.#retired.add(shelf);
      gone.push(shelf);
      if (now && shelf.isStandard) Object.assign(this.of(now, now.limits.memoryBytes), { least, demand });
    }
    for (const runtime of runtimes) this.of(runtime, runtime.limits.memoryBytes);
    this.plan();
    return gone;
  }

  /**
   * To be called whenever something there has ended: when nothing more may happen, a language that was changed or removed is forgotten, and
   * what single runs asked for beside a language, of which there may be any number.
   */
  forget(shelf: Shelf): void {
    if (shelf.isBusy || shelf.idle.length > 0) return;
    this.#retired.delete(shelf);
    if (shelf.least > 0 || shelf.isStandard) return;
    const key = keyOf(shelf.runtime, shelf.memoryBytes, shelf.mount);
    if (this.#current.get(key) === shelf) this.#current.delete(key);
  }

  close(): void {
    this.#isClosed = true;
    for (const shelf of this.known) {
      shelf.resume();
      clearTimeout(shelf.expiry);
    }
  }

  #expire(shelf: Shelf): void {
    shelf.stopWaiting();
    this.#options.onExpired(shelf);
  }

  #isAsBefore({ runtime, image }: Shelf, now: Runtime): boolean {
    const withItsServices = withServices(
      now,
      runtime.services.map(({ id }) => id),
    );
    return isDeepStrictEqual(withItsServices, runtime) && this.#options.images.tag(withItsServices) === image;
  }
}

function keyOf(runtime: Runtime, memoryBytes: number, mount: VolumeMount | undefined): string {
  return [imageName(runtime), memoryBytes, mount?.volume].join(' ');
}
