/** The container engine: Docker, or what speaks its API. Start reading at `createContainer`. */
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { BUNDLED_RUNTIMES, type Config } from '../config.ts';
import { CodeRunnerError } from '../protocol/index.ts';
import { Attachment } from './attachment.ts';
import { type ContainerSpec, createOptions } from './container.ts';
import { findEngine, ping } from './discovery.ts';

const INSTANCE_LABEL = 'coderunner.instance';

/** A container that was created, attached and started. */
export interface EngineContainer {
  readonly id: string;
  readonly attachment: Attachment;
  /** Whether it ran out of memory, to be asked when its stream closed by itself. */
  ranOutOfMemory(): Promise<boolean>;
  /** Ends and removes it; one that is gone is fine. */
  remove(): Promise<void>;
}

/** A container of ours that the engine knows of. */
export interface ListedContainer {
  id: string;
  labels: Record<string, string>;
}

const PING_WITHIN_MS = 5_000;
const EVENT_WITHIN_MS = 500;
const CONNECTION_ERRORS = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH']);

export class Engine implements AsyncDisposable {
  /** As a person would call it: `Docker 28.2.2`. */
  readonly name: string;
  /** For images; containers are made here. */
  readonly docker: Docker;
  readonly #seccomp: string;
  readonly #outOfMemory: OutOfMemoryEvents;

  private constructor(docker: Docker, name: string, seccomp: string, outOfMemory: OutOfMemoryEvents) {
    this.docker = docker;
    this.name = name;
    this.#seccomp = seccomp;
    this.#outOfMemory = outOfMemory;
  }

  /** Finds an engine that answers. @throws CodeRunnerError engine_unavailable, saying what was tried */
  static async connect(config: Config, signal?: AbortSignal): Promise<Engine> {
    const { docker } = await findEngine(config.engine, signal && { signal });
    const version = await docker.version();
    const isPodman = (version.Components ?? []).some(({ Name }) => Name.startsWith('Podman'));
    const profile = join(BUNDLED_RUNTIMES, 'seccomp.json');
    // Podman takes the profile by its path, Docker by its contents.
    const seccomp = isPodman ? profile : JSON.stringify(JSON.parse(await readFile(profile, 'utf8')));
    return new Engine(
      docker,
      `${isPodman ? 'Podman' : 'Docker'} ${version.Version}`,
      seccomp,
      await OutOfMemoryEvents.listen(docker),
    );
  }

  async ping(): Promise<void> {
    await ping(this.docker, PING_WITHIN_MS);
  }

  /**
   * Creates a sandbox, attaches to it and starts it, in that order, so that nothing it says is missed. Leaves nothing behind when it fails.
   * @throws CodeRunnerError engine_unavailable, runtime_not_built, engine_error; the signal's reason when aborted
   */
  async createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<EngineContainer> {
    signal.throwIfAborted();
    try {
      // Said apart, or dockerode would send all of it a second time in the address.
      const said = { _query: {}, _body: createOptions(spec, this.#seccomp) };
      const container = await this.docker.createContainer(said as Docker.ContainerCreateOptions);
      try {
        const attachment = await attach(container);
        await container.start();
        signal.throwIfAborted();
        const { id } = container;
        return { id, attachment, ranOutOfMemory: () => this.#outOfMemory.heardOf(id), remove: () => this.remove(id) };
      } catch (error) {
        await this.remove(container.id);
        throw error;
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : explain(error, spec.image);
    }
  }

  /** Containers of one daemon's data folder, whatever their state. */
  async listOurs(options: { instance: string }): Promise<ListedContainer[]> {
    const filters = { label: [`${INSTANCE_LABEL}=${options.instance}`] };
    const found = await this.docker.listContainers({ all: true, filters });
    return found.map(({ Id, Labels }) => ({ id: Id, labels: Labels }));
  }

  /** Ends and removes a container; one that is gone, or on its way, is fine. */
  async remove(id: string): Promise<void> {
    try {
      await this.docker.getContainer(id).remove({ force: true, v: true });
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      if (statusCode !== 404 && statusCode !== 409) throw explain(error, id);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outOfMemory.close();
  }
}

/**
 * Which containers ran out of memory. The engine removes a container the moment it ends, so this cannot be asked afterwards; one subscription
 * for all of them hears it.
 */
class OutOfMemoryEvents {
  readonly #stream: Readable;
  readonly #heard = new EventEmitter();
  /** The latest ones; each run asks at once when it asks at all. */
  readonly #latest = new Set<string>();

  private constructor(stream: Readable) {
    this.#stream = stream;
    this.#heard.setMaxListeners(0);
    stream.on('error', () => {}); // the engine went away; its link notices
    createInterface({ input: stream }).on('line', (line) => {
      const { id } = JSON.parse(line) as { id?: string };
      if (id === undefined) return;
      this.#latest.add(id);
      for (const oldest of this.#latest) if (this.#latest.size > 1_000) this.#latest.delete(oldest);
      this.#heard.emit(id);
    });
  }

  static async listen(docker: Docker): Promise<OutOfMemoryEvents> {
    const filters = { type: ['container' as const], event: ['oom'], label: [INSTANCE_LABEL] };
    return new OutOfMemoryEvents((await docker.getEvents({ filters })) as unknown as Readable);
  }

  /** The event may come a moment after the container's stream has closed. */
  async heardOf(id: string): Promise<boolean> {
    if (this.#latest.has(id)) return true;
    return once(this.#heard, id, { signal: AbortSignal.timeout(EVENT_WITHIN_MS) }).then(
      () => true,
      () => false,
    );
  }

  close(): void {
    this.#stream.destroy();
  }
}

async function attach(container: Docker.Container): Promise<Attachment> {
  const options = { stream: true, stdin: true, stdout: true, stderr: true, hijack: true };
  return new Attachment((await container.attach(options)) as unknown as Socket);
}

function explain(error: unknown, image: string): Error {
  if (error instanceof CodeRunnerError) return error;
  const { statusCode, code, message } = error as { statusCode?: number; code?: string; message: string };
  if (code !== undefined && CONNECTION_ERRORS.has(code)) {
    return new CodeRunnerError('engine_unavailable', `The container engine does not answer (${code}).`, {
      cause: error,
    });
  }
  if (statusCode === 404)
    return new CodeRunnerError('runtime_not_built', `The image ${image} is not there.`, { cause: error });
  return new CodeRunnerError('engine_error', `The container engine refused: ${message}`, { cause: error });
}
