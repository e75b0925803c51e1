/** The container engine: Docker, or what speaks its API. Start reading at `createContainer`. */
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { BUNDLED_RUNTIMES, type Config } from '../config.ts';
import { CodeRunnerError } from '../protocol/index.ts';
import { Attachment } from './attachment.ts';
import { type ContainerSpec, createOptions, type EngineTraits } from './container.ts';
import { findEngine, ping } from './discovery.ts';

const INSTANCE_LABEL = 'coderunner.instance';

/** A container that was created, attached and started. */
export interface EngineContainer {
  readonly id: string;
  readonly attachment: Attachment;
  /** Whether it ran out of memory, to be asked when its stream closed by itself. */
  ranOutOfMemory(): Promise<boolean>;
  /**
   * Gives it another limit of memory; one that is gone needs none.
   * @returns false where it uses more than that already
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  limitMemory(bytes: number): Promise<boolean>;
  /** Ends and removes it; one that is gone is fine. */
  remove(): Promise<void>;
}

/** A container of ours that the engine knows of. */
export interface ListedContainer {
  id: string;
  labels: Record<string, string>;
}

/** A volume of ours. */
export interface ListedVolume {
  name: string;
  labels: Record<string, string>;
}

const PING_WITHIN_MS = 5_000;
const EVENT_WITHIN_MS = 500;
/** A busy engine takes seconds to create a container; one that takes longer than this hangs. */
const CALL_WITHIN_MS = 60_000;
/** What the engine is removing already is gone by then; one that was killed at it may never come to its end. */
const REMOVED_WITHIN_MS = 15_000;
/** An engine may never answer who waits for a removal that ends just then (github.com/apocas/dockerode/issues/596): it is asked again. */
const REMOVAL_ASKED_EVERY_MS = 1_000;
/** After an answer that says nothing. */
const REMOVAL_PAUSE_MS = 100;
const CONNECTION_ERRORS = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH']);

export class Engine implements AsyncDisposable {
  /** As a person would call it: `Docker 28.2.2`. */
  readonly name: string;
  /** For images; containers are made here. */
  readonly docker: Docker;
  /** The memory of the machine that the containers are on; infinite where it does not tell. */
  readonly memoryBytes: number;
  /** The processors of that machine; 1 where it does not tell. */
  readonly processors: number;
  readonly #traits: EngineTraits;
  readonly #outOfMemory: OutOfMemoryEvents;
  /** Ends what is asked of an engine that was given up. */
  readonly #givenUp = new AbortController();

  private constructor(
    docker: Docker,
    name: string,
    { MemTotal, NCPU }: { MemTotal?: number; NCPU?: number },
    traits: EngineTraits,
    outOfMemory: OutOfMemoryEvents,
  ) {
    this.docker = docker;
    this.memoryBytes = MemTotal || Number.POSITIVE_INFINITY;
    this.processors = NCPU || 1;
    this.name = name;
    this.#traits = traits;
    this.#outOfMemory = outOfMemory;
  }

  /** Finds an engine that answers. @throws CodeRunnerError engine_unavailable, saying what was tried */
  static async connect(config: Config, signal?: AbortSignal): Promise<Engine> {
    const { docker } = await findEngine(config.engine, signal && { signal });
    const [version, info] = await Promise.all([docker.version(), docker.info()]);
    const isPodman = (version.Components ?? []).some(({ Name }) => Name.startsWith('Podman'));
    const profile = join(BUNDLED_RUNTIMES, 'seccomp.json');
    // Podman takes the profile by its path, Docker by its contents.
    const seccomp = isPodman ? profile : JSON.stringify(JSON.parse(await readFile(profile, 'utf8')));
    return new Engine(
      docker,
      `${isPodman ? 'Podman' : 'Docker'} ${version.Version}`,
      info,
      { isPodman, seccomp },
      await OutOfMemoryEvents.listen(docker),
    );
  }

  /** Throws unless it answers, and is the same that was connected to: one that was restarted meanwhile has forgotten us. */
  async ping(): Promise<void> {
    if (this.#outOfMemory.over) throw new Error('it ended the connection');
    await ping(this.docker, PING_WITHIN_MS);
  }

  /** Resolves when the engine has ended the connection: it stopped, or was restarted. */
  get gone(): Promise<void> {
    return this.#outOfMemory.ended;
  }

  /**
   * Creates a sandbox, attaches to it and starts it, in that order, so that nothing it says is missed. Leaves nothing behind
   * when it fails.
   * @throws CodeRunnerError engine_unavailable, runtime_not_built, engine_error; the signal's reason when aborted
   */
  async createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<EngineContainer> {
    signal.throwIfAborted();
    try {
      // Said apart, or dockerode would send all of it a second time in the address.
      const said = { _query: {}, _body: createOptions(spec, this.#traits) } as Docker.ContainerCreateOptions;
      const container = await this.#call((abortSignal) => this.docker.createContainer({ ...said, abortSignal }));
      const { id } = container;
      try {
        const attachment = await this.#call((abortSignal) => attach(this.docker, id, abortSignal));
        await this.#call((abortSignal) => container.start({ abortSignal }));
        signal.throwIfAborted();
        return {
          id,
          attachment,
          ranOutOfMemory: () => this.#outOfMemory.heardOf(id),
          limitMemory: (bytes) => this.#limitMemory(container, bytes, spec),
          remove: () => this.remove(id),
        };
      } catch (error) {
        // Where that fails as well, the engine has gone: what it holds of ours is removed when it is back.
        await this.remove(id).catch(() => {});
        throw error;
      }
    } catch (error) {
      throw signal.aborted ? signal.reason : explain(error, spec.image);
    }
  }

  async #limitMemory(container: Docker.Container, bytes: number, { image }: ContainerSpec): Promise<boolean> {
    try {
      await this.#call((abortSignal) => container.update({ Memory: bytes, MemorySwap: bytes, abortSignal }));
      return true;
    } catch (error) {
      const { statusCode, message } = error as { statusCode?: number; message: string };
      // What runc and the kernel say where they cannot take away as much; control groups of version 2 end processes instead.
      if (/unable to set memory limit|device or resource busy/i.test(message)) return false;
      // It is gone, or ends: its agent tells.
      if (statusCode === 404 || statusCode === 409) return true;
      throw explain(error, image);
    }
  }

  /** Containers of one daemon's data folder, whatever their state. */
  async listOurs(options: { instance: string }): Promise<ListedContainer[]> {
    const filters = { label: [`${INSTANCE_LABEL}=${options.instance}`] };
    const found = await this.#call((abortSignal) => this.docker.listContainers({ all: true, filters, abortSignal }));
    return found.map(({ Id, Labels }) => ({ id: Id, labels: Labels }));
  }

  /**
   * Ends and removes a container, and resolves when it is gone; one that is gone already is fine.
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async remove(id: string): Promise<void> {
    const container = this.docker.getContainer(id);
    const giveUpAt = performance.now() + REMOVED_WITHIN_MS;
    for (;;) {
      try {
        await this.#call((abortSignal) => container.remove({ force: true, v: true, abortSignal }));
        return;
      } catch (error) {
        if ((error as { statusCode?: number }).statusCode === 404) return;
        if (!isEnding(error) || performance.now() > giveUpAt) throw explain(error, id);
      }
      const removed = this.#call(
        (abortSignal) => container.wait({ condition: 'removed', abortSignal }),
        REMOVAL_ASKED_EVERY_MS,
      );
      // Whatever became of it, the next answer tells.
      await removed.catch(() => sleep(REMOVAL_PAUSE_MS));
    }
  }

  /** The container's address on a network that it is on. @throws CodeRunnerError engine_unavailable, engine_error */
  async addressOf(id: string, network: string): Promise<string> {
    const container = this.docker.getContainer(id);
    const { NetworkSettings } = await this.#asked(id, (abortSignal) => container.inspect({ abortSignal }));
    const address = NetworkSettings.Networks[network]?.IPAddress;
    if (!address) throw new CodeRunnerError('engine_error', `The container engine gave no address on ${network}.`);
    return address;
  }

  /**
   * A network that nothing leads out of: it has no gateway, and the host no address on it.
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async createInternalNetwork(name: string, labels: Record<string, string>): Promise<void> {
    await this.#asked(name, (abortSignal) =>
      this.docker.createNetwork({
        Name: name,
        Driver: 'bridge',
        Internal: true,
        EnableIPv6: false,
        Labels: labels,
        Options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' },
        abortSignal,
      }),
    );
  }

  /** Puts a container on one more network. @throws CodeRunnerError engine_unavailable, engine_error */
  async connectNetwork(name: string, container: string): Promise<void> {
    const network = this.docker.getNetwork(name);
    await this.#asked(name, (abortSignal) =>
      network.connect({ Container: container, abortSignal } as Docker.NetworkConnectOptions),
    );
  }

  /** Networks of one daemon's data folder, by name. */
  async listNetworks({ instance }: { instance: string }): Promise<string[]> {
    const filters = { label: [`${INSTANCE_LABEL}=${instance}`] };
    const found = await this.#asked('networks', (abortSignal) => this.docker.listNetworks({ filters, abortSignal }));
    return found.map(({ Name }) => Name);
  }

  /** Removes a network; one that is gone already is fine. @throws CodeRunnerError engine_unavailable, engine_error */
  async removeNetwork(name: string): Promise<void> {
    const network = this.docker.getNetwork(name);
    try {
      await this.#call((abortSignal) => network.remove({ abortSignal }));
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 404) throw explain(error, name);
    }
  }

  /** An empty volume. @throws CodeRunnerError engine_unavailable, engine_error */
  async createVolume(name: string, labels: Record<string, string>): Promise<void> {
    await this.#asked(name, (abortSignal) =>
      this.docker.createVolume({ Name: name, Driver: 'local', Labels: labels, abortSignal }),
    );
  }

  /** Volumes of one daemon's data folder. */
  async listVolumes({ instance }: { instance: string }): Promise<ListedVolume[]> {
    const filters = { label: [`${INSTANCE_LABEL}=${instance}`] };
    const { Volumes } = await this.#asked('volumes', (abortSignal) =>
      this.docker.listVolumes({ filters, abortSignal }),
    );
    return (Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels }));
  }

  /** The labels of a volume; undefined where there is none of that name. */
  async volumeLabels(name: string): Promise<Record<string, string> | undefined> {
    const volume = this.docker.getVolume(name);
    try {
      return (await this.#call((abortSignal) => volume.inspect({ abortSignal }))).Labels ?? {};
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return undefined;
      throw explain(error, name);
    }
  }

  /**
   * Removes a volume; one that is gone already is fine.
   * @returns false where a container uses it
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async removeVolume(name: string): Promise<boolean> {
    const volume = this.docker.getVolume(name);
    try {
      await this.#call((abortSignal) => volume.remove({ abortSignal }));
      return true;
    } catch (error) {
      const { statusCode } = error as { statusCode?: number };
      if (statusCode === 404) return true;
      if (statusCode === 409) return false;
      throw explain(error, name);
    }
  }

  async #asked<T>(what: string, ask: (signal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      return await this.#call(ask);
    } catch (error) {
      throw explain(error, what);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outOfMemory.close();
    this.#givenUp.abort(new CodeRunnerError('engine_unavailable', 'The container engine went away.'));
  }

  /** Asks the engine something, but not forever: an engine that hangs must not hold up a run, or the end of the daemon. */
  async #call<T>(ask: (signal: AbortSignal) => Promise<T>, withinMs = CALL_WITHIN_MS): Promise<T> {
    const givenUp = this.#givenUp.signal;
    givenUp.throwIfAborted();
    // Not the signals themselves: an attached stream outlives the call that opened it, and would be ended by them.
    const limit = new AbortController();
    const giveUp = () => limit.abort(givenUp.reason);
    const overdue = () =>
      limit.abort(
        new CodeRunnerError('engine_unavailable', `The container engine did not answer within ${withinMs / 1_000} s.`),
      );
    const timer = setTimeout(overdue, withinMs);
    givenUp.addEventListener('abort', giveUp);
    // The client library never settles an answer that was cut off after its head, as that to a wait is by an engine that is killed.
    const { promise: limited, reject } = Promise.withResolvers<never>();
    limit.signal.addEventListener('abort', () => reject(limit.signal.reason));
    try {
      return await Promise.race([ask(limit.signal), limited]);
    } catch (error) {
      throw limit.signal.aborted ? limit.signal.reason : error;
    } finally {
      clearTimeout(timer);
      givenUp.removeEventListener('abort', giveUp);
    }
  }
}

/**
 * Which containers ran out of memory. The engine removes a container the moment it ends, so this cannot be asked afterwards;
 * one subscription for all of them hears it.
 */
class OutOfMemoryEvents {
  readonly #stream: Readable;
  readonly #heard = new EventEmitter();
  /** The latest ones; each run asks at once when it asks at all. */
  readonly #latest = new Set<string>();
  /** Resolves when the engine has ended the subscription. */
  readonly ended: Promise<void>;

  private constructor(stream: Readable) {
    this.#stream = stream;
    this.#heard.setMaxListeners(0);
    stream.on('error', () => {}); // 'close' follows, and tells
    this.ended = new Promise((resolve) => stream.once('close', resolve));
    const lines = createInterface({ input: stream });
    lines.on('error', () => {}); // the stream's own, once more
    lines.on('line', (line) => {
      const id = containerOf(line);
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

  get over(): boolean {
    return this.#stream.closed;
  }

  close(): void {
    this.#stream.destroy();
  }
}

/** The container an event is about. The last line of an engine that stops may be cut off, and says nothing. */
function containerOf(line: string): string | undefined {
  try {
    return (JSON.parse(line) as { id?: string }).id;
  } catch {
    return undefined;
  }
}

/** Asked for without dockerode's `attach`, which says the options a second time as the request's body: Podman gives that to the program. */
async function attach(docker: Docker, id: string, abortSignal: AbortSignal): Promise<Attachment> {
  const request = {
    path: `/containers/${id}/attach?`,
    method: 'POST',
    options: { stream: true, stdin: true, stdout: true, stderr: true },
    headers: { 'Content-Type': 'text/plain' },
    file: Buffer.alloc(0),
    hijack: true,
    isStream: true,
    statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
    abortSignal,
  };
  const socket = await new Promise<Socket>((resolve, reject) => {
    docker.modem.dial(request, (error, stream) => (error ? reject(error) : resolve(stream as Socket)));
  });
  return new Attachment(socket);
}

/** Whether a container cannot be removed since it ended by itself, and the engine is removing it: what Docker says, and Podman. */
function isEnding(error: unknown): boolean {
  const { statusCode, message } = error as { statusCode?: number; message: string };
  return statusCode === 409 || (statusCode === 500 && message.includes('container state improper'));
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
