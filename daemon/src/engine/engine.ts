/** The container engine: Docker, or what speaks its API. Start reading at `createContainer`. */
import { EventEmitter, once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import { BUNDLED_RUNTIMES, type Config } from '../config.ts';
import { CodeRunnerError } from '../protocol/index.ts';
import { Attachment } from './attachment.ts';
import { type ContainerSpec, createOptions, type EngineTraits } from './container.ts';
import { findEngine } from './discovery.ts';
import { ANSWER_WITHIN_MS, type EngineHttp, Overdue, Refusal } from './http.ts';

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

/** Somebody removed the container before it was started. */
export class ContainerRemoved extends CodeRunnerError {
  constructor(cause: unknown) {
    super('engine_error', 'The container was removed before it was started.', { cause });
  }
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
/** What the engine is removing already is gone by then; one that was killed at it may never come to its end. */
const REMOVED_WITHIN_MS = 15_000;
/** An engine may never answer who waits for a removal that ends just then (github.com/apocas/dockerode/issues/596): it is asked again. */
const REMOVAL_ASKED_EVERY_MS = 1_000;
/** After an answer that says nothing. */
const REMOVAL_PAUSE_MS = 100;
const ATTACHED = { stream: true, stdin: true, stdout: true, stderr: true };
const NOT_FOUND = 404;
const CONFLICT = 409;
const FAILED = 500;
const CONNECTION_ERRORS = new Set(['ECONNREFUSED', 'ECONNRESET', 'ENOENT', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH']);

export class Engine implements AsyncDisposable {
  /** As a person would call it: `Docker 28.2.2`. */
  readonly name: string;
  /** For building, finding and removing images; all else is asked for here. */
  readonly docker: Docker;
  /** The memory of the machine that the containers are on; infinite where it does not tell. */
  readonly memoryBytes: number;
  /** The processors of that machine; 1 where it does not tell. */
  readonly processors: number;
  readonly #traits: EngineTraits;
  readonly #http: EngineHttp;
  readonly #outOfMemory: OutOfMemoryEvents;

  private constructor(
    { docker, http }: { docker: Docker; http: EngineHttp },
    name: string,
    { MemTotal, NCPU }: { MemTotal?: number; NCPU?: number },
    traits: EngineTraits,
    outOfMemory: OutOfMemoryEvents,
  ) {
    this.docker = docker;
    this.#http = http;
    this.memoryBytes = MemTotal || Number.POSITIVE_INFINITY;
    this.processors = NCPU || 1;
    this.name = name;
    this.#traits = traits;
    this.#outOfMemory = outOfMemory;
  }

  /** Finds an engine that answers. @throws CodeRunnerError engine_unavailable, saying what was tried */
  static async connect(config: Config, signal?: AbortSignal): Promise<Engine> {
    const clients = await findEngine(config.engine, signal && { signal });
    try {
      const { docker, http } = clients;
      const [version, info] = await Promise.all([
        http.ask<Docker.DockerVersion>('GET', '/version'),
        http.ask<{ MemTotal?: number; NCPU?: number }>('GET', '/info'),
      ]);
      const isPodman = (version.Components ?? []).some(({ Name }) => Name.startsWith('Podman'));
      const name = `${isPodman ? 'Podman' : 'Docker'} ${version.Version}`;
      const profile = join(BUNDLED_RUNTIMES, 'seccomp.json');
      // Podman takes the profile by its path, Docker by its contents.
      const seccomp = isPodman ? profile : JSON.stringify(JSON.parse(await readFile(profile, 'utf8')));
      return new Engine(clients, name, info, { isPodman, seccomp }, await OutOfMemoryEvents.listen(docker));
    } catch (error) {
      throw explain(error);
    }
  }

  /** Throws unless it answers, and is the same that was connected to: one that was restarted meanwhile has forgotten us. */
  async ping(): Promise<void> {
    if (this.#outOfMemory.over) throw new Error('it ended the connection');
    await this.#http.ask('GET', '/_ping', { withinMs: PING_WITHIN_MS });
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
      const { Id: id } = await this.#http.ask<{ Id: string }>('POST', '/containers/create', {
        body: createOptions(spec, this.#traits),
      });
      let attachment: Attachment | undefined;
      try {
        attachment = new Attachment(await this.#http.converse(`/containers/${id}/attach`, ATTACHED));
        await this.#http.ask('POST', `/containers/${id}/start`);
        signal.throwIfAborted();
        return {
          id,
          attachment,
          ranOutOfMemory: () => this.#outOfMemory.heardOf(id),
          limitMemory: (bytes) => this.#limitMemory(id, bytes),
          remove: () => this.remove(id),
        };
      } catch (error) {
        // Nobody would hear that the engine ends it.
        attachment?.destroy();
        // Where that fails as well, the engine has gone: what it holds of ours is removed when it is back.
        await this.remove(id).catch(() => {});
        throw saysNo(error, NOT_FOUND) ? new ContainerRemoved(error) : error;
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw saysNo(error, NOT_FOUND)
        ? new CodeRunnerError('runtime_not_built', `The image ${spec.image} is not there.`, { cause: error })
        : explain(error);
    }
  }

  async #limitMemory(id: string, bytes: number): Promise<boolean> {
    try {
      await this.#http.ask('POST', `/containers/${id}/update`, { body: { Memory: bytes, MemorySwap: bytes } });
      return true;
    } catch (error) {
      const { message } = error as Error;
      // What runc and the kernel say where they cannot take away as much; control groups of version 2 end processes instead.
      if (/unable to set memory limit|device or resource busy/i.test(message)) return false;
      // It is gone, or ends: its agent tells.
      if (saysNo(error, NOT_FOUND) || saysNo(error, CONFLICT)) return true;
      throw explain(error);
    }
  }

  /** Containers of one daemon's data folder, whatever their state. */
  async listOurs({ instance }: { instance: string }): Promise<ListedContainer[]> {
    const query = { all: true, ...ofInstance(instance) };
    const found = await this.#http.ask<Docker.ContainerInfo[]>('GET', '/containers/json', { query });
    return found.map(({ Id, Labels }) => ({ id: Id, labels: Labels }));
  }

  /**
   * Ends and removes a container, and resolves when it is gone; one that is gone already is fine.
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async remove(id: string): Promise<void> {
    const giveUpAt = performance.now() + REMOVED_WITHIN_MS;
    for (;;) {
      try {
        await this.#http.ask('DELETE', `/containers/${id}`, { query: { force: true, v: true } });
        return;
      } catch (error) {
        if (saysNo(error, NOT_FOUND)) return;
        if (!isEnding(error) || performance.now() > giveUpAt) throw explain(error);
      }
      const removed = this.#http.ask('POST', `/containers/${id}/wait`, {
        query: { condition: 'removed' },
        withinMs: REMOVAL_ASKED_EVERY_MS,
      });
      // Whatever became of it, the next answer tells.
      await removed.catch(() => sleep(REMOVAL_PAUSE_MS));
    }
  }

  /** The container's address on a network that it is on. @throws CodeRunnerError engine_unavailable, engine_error */
  async addressOf(id: string, network: string): Promise<string> {
    const { NetworkSettings } = await this.#asked(() =>
      this.#http.ask<Docker.ContainerInspectInfo>('GET', `/containers/${id}/json`),
    );
    const address = NetworkSettings.Networks[network]?.IPAddress;
    if (!address) throw new CodeRunnerError('engine_error', `The container engine gave no address on ${network}.`);
    return address;
  }

  /**
   * A network that nothing leads out of: it has no gateway, and the host no address on it.
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async createInternalNetwork(name: string, labels: Record<string, string>): Promise<void> {
    const body = {
      Name: name,
      Driver: 'bridge',
      Internal: true,
      EnableIPv6: false,
      Labels: labels,
      Options: { 'com.docker.network.bridge.inhibit_ipv4': 'true' },
    };
    await this.#asked(() => this.#http.ask('POST', '/networks/create', { body }));
  }

  /** Puts a container on one more network. @throws CodeRunnerError engine_unavailable, engine_error */
  async connectNetwork(name: string, container: string): Promise<void> {
    const body = { Container: container };
    await this.#asked(() => this.#http.ask('POST', `/networks/${name}/connect`, { body }));
  }

  /** Networks of one daemon's data folder, by name. */
  async listNetworks({ instance }: { instance: string }): Promise<string[]> {
    const query = ofInstance(instance);
    const found = await this.#asked(() => this.#http.ask<Docker.NetworkInspectInfo[]>('GET', '/networks', { query }));
    return found.map(({ Name }) => Name);
  }

  /** Removes a network; one that is gone already is fine. @throws CodeRunnerError engine_unavailable, engine_error */
  async removeNetwork(name: string): Promise<void> {
    try {
      await this.#http.ask('DELETE', `/networks/${name}`);
    } catch (error) {
      if (!saysNo(error, NOT_FOUND)) throw explain(error);
    }
  }

  /** An empty volume. @throws CodeRunnerError engine_unavailable, engine_error */
  async createVolume(name: string, labels: Record<string, string>): Promise<void> {
    const body = { Name: name, Driver: 'local', Labels: labels };
    await this.#asked(() => this.#http.ask('POST', '/volumes/create', { body }));
  }

  /** Volumes of one daemon's data folder. */
  async listVolumes({ instance }: { instance: string }): Promise<ListedVolume[]> {
    const query = ofInstance(instance);
    const { Volumes } = await this.#asked(() =>
      this.#http.ask<{ Volumes?: Docker.VolumeInspectInfo[] }>('GET', '/volumes', { query }),
    );
    return (Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels }));
  }

  /** The labels of a volume; undefined where there is none of that name. */
  async volumeLabels(name: string): Promise<Record<string, string> | undefined> {
    try {
      const { Labels } = await this.#http.ask<Docker.VolumeInspectInfo>('GET', `/volumes/${name}`);
      return Labels ?? {};
    } catch (error) {
      if (saysNo(error, NOT_FOUND)) return undefined;
      throw explain(error);
    }
  }

  /**
   * Removes a volume; one that is gone already is fine.
   * @returns false where a container uses it
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async removeVolume(name: string): Promise<boolean> {
    try {
      await this.#http.ask('DELETE', `/volumes/${name}`);
      return true;
    } catch (error) {
      if (saysNo(error, NOT_FOUND)) return true;
      if (saysNo(error, CONFLICT)) return false;
      throw explain(error);
    }
  }

  /**
   * Gives an image one more name.
   * @returns false where there is no such image
   * @throws CodeRunnerError engine_unavailable, engine_error
   */
  async tagImage(name: string, repo: string, tag: string): Promise<boolean> {
    try {
      await this.#http.ask('POST', `/images/${encodeURIComponent(name)}/tag`, { query: { repo, tag } });
      return true;
    } catch (error) {
      if (saysNo(error, NOT_FOUND)) return false;
      throw explain(error);
    }
  }

  async #asked<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw explain(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#outOfMemory.close();
    this.#http.close(new CodeRunnerError('engine_unavailable', 'The container engine went away.'));
  }
}

function ofInstance(instance: string): { filters: object } {
  return { filters: { label: [`${INSTANCE_LABEL}=${instance}`] } };
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
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(new Overdue(ANSWER_WITHIN_MS)), ANSWER_WITHIN_MS);
    try {
      const stream = await docker.getEvents({ filters, abortSignal: limit.signal });
      return new OutOfMemoryEvents(stream as unknown as Readable);
    } catch (error) {
      throw limit.signal.aborted ? limit.signal.reason : error;
    } finally {
      clearTimeout(timer);
    }
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

function saysNo(error: unknown, statusCode: number): boolean {
  return error instanceof Refusal && error.statusCode === statusCode;
}

/** Whether a container cannot be removed since it ended by itself, and the engine is removing it: what Docker says, and Podman. */
function isEnding(error: unknown): boolean {
  return (
    saysNo(error, CONFLICT) ||
    (saysNo(error, FAILED) && (error as Refusal).message.includes('container state improper'))
  );
}

function explain(error: unknown): Error {
  if (error instanceof CodeRunnerError) return error;
  const { code, message } = error as { code?: string; message: string };
  if (code !== undefined && CONNECTION_ERRORS.has(code)) {
    return new CodeRunnerError('engine_unavailable', `The container engine does not answer (${code}).`, {
      cause: error,
    });
  }
  return new CodeRunnerError('engine_error', `The container engine refused: ${message}`, { cause: error });
}
