/** Containers of one kind that wait, and runs that wait for one of them. What happens to them is the pool's to say. */
import type { VolumeMount } from '../engine/container.ts';
import type { Runtime } from '../runtimes/runtime.ts';
import { Demand } from './demand.ts';
import type { Kind } from './recipes.ts';
import type { Sandbox } from './sandbox.ts';

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 30_000;

/** A run that waits for a sandbox. */
export interface Waiter {
  owner: string;
  /** A used one of that kind will do, too. */
  kind: string | undefined;
  resolve(sandbox: Sandbox): void;
  reject(error: Error): void;
  /** A sandbox that was being made for it died already. */
  missedOne?: boolean;
}

/** The waiting containers of one runtime with the same services, one size of memory, and the same packages. */
export class Shelf {
  readonly runtime: Runtime;
  readonly memoryBytes: number;
  readonly mount: VolumeMount | undefined;
  /** What new containers are made of. */
  readonly image: string;
  /** What one of its containers may come to use. */
  readonly bytes: number;
  /** What people know a runtime by: nothing was asked for that is not usual. */
  readonly isStandard: boolean;
  /** The language was changed or removed: nothing waits here any more, and this goes with its last run. */
  retired = false;
  /** As many wait whatever comes; 0 for sizes that only single runs asked for, and for what was not used for long. */
  least = 0;
  /** How many should wait now. */
  target = 0;
  demand = new Demand();
  readonly idle: Sandbox[] = [];
  readonly waiters: Waiter[] = [];
  /** Under way, or waiting for memory or for their turn. */
  creating = 0;
  /** Each ends the wait for memory of one that is to be made for a run, and is no longer counted. */
  readonly admissions: AbortController[] = [];
  /** The one that was made last was kept for others, though somebody waits. */
  keptLast = false;
  leased = 0;
  hits = 0;
  misses = 0;
  problem: Error | undefined;
  /** No refill before that; a timer ends it. */
  pause: NodeJS.Timeout | undefined;
  /** The length of the present pause, where a failure is its reason. */
  backOffMs: number | undefined;
  /** How long the next one is. */
  #retryMs = RETRY_FIRST_MS;
  /** Ends the time for which packages and services wait after their last use. */
  expiry: NodeJS.Timeout | undefined;

  /**
   * @param kind what its containers are like
   * @param bytes what one of them may come to use
   * @param isLanguage no run added services
   */
  constructor(
    { runtime, image, memoryBytes, mount }: Kind,
    { bytes, isLanguage }: { bytes: number; isLanguage: boolean },
  ) {
    this.bytes = bytes;
    this.runtime = runtime;
    this.image = image;
    this.memoryBytes = memoryBytes;
    this.mount = mount;
    this.isStandard = isLanguage && mount === undefined && memoryBytes === runtime.limits.memoryBytes;
  }

  /** What comes lately makes more of it wait, and not only what must. */
  get followsDemand(): boolean {
    return this.isStandard && this.least > 0;
  }

  /** Somebody waits for it, has it, or it is just being made. */
  get isBusy(): boolean {
    return this.leased + this.creating + this.waiters.length > 0;
  }

  get missing(): number {
    const wanted = this.waiters.length + (this.pause ? 0 : this.target - this.idle.length);
    return Math.max(0, wanted - this.creating);
  }

  /** One of those that are being made is for nobody any more. */
  get hasSurplus(): boolean {
    return this.creating > this.waiters.length + Math.max(0, this.target - this.idle.length);
  }

  /** Fails all runs that wait here. */
  refuse(error: Error): void {
    for (const waiter of this.waiters.splice(0)) waiter.reject(error);
  }

  /** Nothing should wait here any more. */
  stopWaiting(): void {
    this.least = 0;
    this.target = 0;
    clearTimeout(this.expiry);
  }

  resume(): void {
    clearTimeout(this.pause);
    this.pause = undefined;
    this.backOffMs = undefined;
  }

  /** After a failure: the present pause is over, and a longer one begins. @returns how long it is, in milliseconds */
  backOff(): number {
    this.resume();
    this.backOffMs = this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MOST_MS);
    return this.backOffMs;
  }

  /** One was made: the next failure is the first again. */
  worked(): void {
    this.problem = undefined;
    this.#retryMs = RETRY_FIRST_MS;
  }
}
