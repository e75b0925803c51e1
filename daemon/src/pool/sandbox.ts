/** A container whose agent waits for its run. It serves one owner: one run, or several after each other, and is destroyed. */
import { Agent } from '../agent/agent.ts';
import { type ContainerSpec, uidOf } from '../engine/container.ts';
import type { Engine, EngineContainer } from '../engine/engine.ts';

/** An agent that has not said READY by then never will; before that it gives up on an interpreter that does not get ready. */
const READY_WITHIN_MS = 60_000;

/** What a run left is removed much sooner than that, or not at all; the rest is for the next interpreter. */
const RESET_WITHIN_MS = 30_000;

/** What such a container may come to use, its compiler included. */
export function mostMemory({
  memoryBytes,
  firstMemoryBytes = 0,
}: Pick<ContainerSpec, 'memoryBytes' | 'firstMemoryBytes'>): number {
  return Math.max(memoryBytes, firstMemoryBytes);
}

export class Sandbox implements AsyncDisposable {
  readonly agent: Agent;
  /** The tag of its image. */
  readonly image: string;
  readonly #container: EngineContainer;
  readonly #spec: ContainerSpec;
  #warm: boolean;
  #runs = 1;
  #memoryLowered = false;
  #removed: Promise<void> | undefined;

  private constructor(container: EngineContainer, spec: ContainerSpec, agent: Agent, warm: boolean) {
    this.#container = container;
    this.#spec = spec;
    this.agent = agent;
    this.#warm = warm;
    this.image = spec.image;
  }

  /** Creates and starts a container and waits until its agent is ready. Leaves nothing behind when it fails or is aborted. */
  static async create(engine: Engine, spec: ContainerSpec, signal: AbortSignal): Promise<Sandbox> {
    const container = await engine.createContainer(spec, signal);
    const agent = new Agent(container.attachment);
    const giveUp = () => agent.close('The agent did not say that it is ready.');
    // A signal made of both would stay, with its timer, for the whole of that time.
    const late = setTimeout(giveUp, READY_WITHIN_MS);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      signal.throwIfAborted();
      const { warm } = await agent.ready;
      return new Sandbox(container, spec, agent, warm);
    } catch (error) {
      await container.remove();
      throw error;
    } finally {
      clearTimeout(late);
      signal.removeEventListener('abort', giveUp);
    }
  }

  /** An interpreter waits in it. */
  get warm(): boolean {
    return this.#warm;
  }

  /** Which run it is at or waits for; the first is 1. */
  get runs(): number {
    return this.#runs;
  }

  get id(): string {
    return this.#container.id;
  }

  /** What it may come to use. */
  get memoryBytes(): number {
    return mostMemory(this.#spec);
  }

  /**
   * Leaves it no more memory than the program may have, where its compiler had more.
   * @returns false where more is in use already
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async lowerMemory(): Promise<boolean> {
    const { firstMemoryBytes, memoryBytes } = this.#spec;
    if (firstMemoryBytes === undefined || this.#memoryLowered) return true;
    this.#memoryLowered = await this.#container.limitMemory(memoryBytes);
    return this.#memoryLowered;
  }

  /**
   * Gives a compiler its memory, where a run before this one left the program's.
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async raiseMemory(): Promise<void> {
    const { firstMemoryBytes } = this.#spec;
    if (firstMemoryBytes === undefined || !this.#memoryLowered) return;
    await this.#container.limitMemory(firstMemoryBytes);
    this.#memoryLowered = false;
  }

  /**
   * Makes it fit for the owner's next run: everything of the last one is ended and removed, and that proved.
   * Rejects where it cannot be, with the agent's {@link AgentFailure} or {@link AgentGone}: then it must be disposed of.
   * @param user as {@link ContainerSpec.user}, another one than before
   */
  async reset(user: number): Promise<void> {
    const late = setTimeout(() => this.agent.close('The agent did not get ready again.'), RESET_WITHIN_MS);
    try {
      const { warm } = await this.agent.reset(uidOf(user));
      this.#warm = warm;
      this.#runs++;
    } finally {
      clearTimeout(late);
    }
  }

  /** Whether the kernel killed the container for its memory; to be asked after the agent is gone. */
  ranOutOfMemory(): Promise<boolean> {
    return this.#container.ranOutOfMemory();
  }

  /** Ends everything in the container and removes it. May be called again. */
  dispose(): Promise<void> {
    this.agent.close('The run is over.');
    const removed = this.#removed ?? this.#container.remove();
    this.#removed = removed;
    return removed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
