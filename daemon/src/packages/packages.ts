/**
 * The packages of projects: for a run that brings a manifest, the layer that holds what it names, installed when there is none.
 * Layers belong to one owner, are shared by runs at the same time, and are removed when they have not been used for long or take too
 * much room.
 *
 * Start reading at `layerFor`.
 */
import { createHash } from 'node:crypto';
import PQueue from 'p-queue';
import type { Logger } from 'pino';
import type { AgentExit } from '../agent/agent.ts';
import type { Config } from '../config.ts';
import type { VolumeMount } from '../engine/container.ts';
import type { Engine } from '../engine/engine.ts';
import { PACKAGES_LABEL } from '../pool/cleaner.ts';
import type { EngineLink } from '../pool/engine-link.ts';
import type { Pool } from '../pool/pool.ts';
import { CodeRunnerError, formatBytes, formatDuration, type PackageLayer } from '../protocol/index.ts';
import type { Images } from '../runtimes/images.ts';
import type { Installation, Runtime } from '../runtimes/runtime.ts';
import { Catalog, type LayerRecord } from './catalog.ts';
import { type Installed, install, memoryToInstall } from './installation.ts';
import { digestOf, findManifest, type Manifest, type ProjectFile } from './manifest.ts';

/** Installs at the same time; more wait. Each may take a processor and much memory. */
const INSTALLS_AT_ONCE = 2;
/** What later runs of the same install are shown of what it has printed. */
const REPLAY_CHARACTERS = 256 * 1024;

export interface PackagesOptions {
  config: Config;
  link: EngineLink;
  images: Images;
  pool: Pool;
  instance: string;
  log: Logger;
}

export interface LayerRequest {
  owner: string;
  runtime: Runtime;
  entry: string;
  files: readonly ProjectFile[];
  signal: AbortSignal;
  /** Called once, before anything is installed; not where the layer is there. */
  onInstall(): void;
  print(text: string): void;
}

/** Installed packages, for one run. Whoever has it must dispose of it, when its container is there or will not come. */
export interface Layer extends Disposable {
  readonly mount: VolumeMount;
  /** Names what is in it: packages that were installed anew, perhaps in newer versions, have another. */
  readonly contents: string;
  /** How the install stage ended; undefined where it had been done before. */
  readonly exit: AgentExit | undefined;
}

/** An install under way, and the runs that wait for it. */
interface Flight {
  readonly stop: AbortController;
  readonly listeners: Set<(text: string) => void>;
  /** What it has printed by now. */
  printed(): string;
  done: Promise<Installed>;
}

export class Packages implements AsyncDisposable {
  readonly #options: PackagesOptions;
  readonly #catalog: Catalog;
  readonly #queue = new PQueue({ concurrency: INSTALLS_AT_ONCE });
  readonly #flights = new Map<string, Flight>();
  /** Layers that runs are about to mount: how many each. */
  readonly #held = new Map<string, number>();
  /** Volumes that are being removed; who makes one of the same name waits for that. */
  readonly #removals = new Map<string, Promise<boolean>>();
  readonly #stop = new AbortController();
  #sweeping: Promise<void> = Promise.resolve();

  constructor(options: PackagesOptions) {
    this.#options = options;
    this.#catalog = new Catalog(options.config.dataDir);
    options.link.on('up', (engine) => this.#sweepOn(engine));
  }

  /** Removes what an earlier daemon left half made, if the engine is there; else when it comes. */
  start(): void {
    const { link } = this.#options;
    if (!link.problem) this.#sweepOn(link.engine);
  }

  /**
   * The packages that a run's manifest names; undefined where it brings none, or the language installs none.
   * @throws InstallFailure; CodeRunnerError engine_unavailable, build_failed, shutting_down; the signal's reason when aborted
   */
  async layerFor(request: LayerRequest): Promise<Layer | undefined> {
    const { config } = this.#options;
    const { runtime, owner, entry, files, signal } = request;
    const { install: installation } = runtime;
    if (!installation) return undefined;
    const manifest = await findManifest(entry, files, installation);
    if (!manifest) return undefined;
    if (config.packages === 'off') {
      request.print(`Packages are not installed here: ${manifest.name} is ignored (CODERUNNER_PACKAGES is off).\n`);
      return undefined;
    }
    signal.throwIfAborted();
    await this.#sweeping;
    const volume = this.#volumeOf(owner, runtime, installation, manifest);
    const release = this.#hold(volume);
    try {
      const exit = (await this.#isThere(volume))
        ? undefined
        : await this.#join(volume, manifest, installation, request);
      this.#catalog.touch(volume, Date.now());
      const mount = { volume, target: installation.target, readOnly: true };
      const contents = `${volume} ${this.#catalog.get(volume)?.createdAt}`;
      return { mount, contents, exit, [Symbol.dispose]: release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** The owner's layers, the latest used first. */
  list(owner: string): PackageLayer[] {
    return this.#catalog
      .all()
      .filter((record) => record.owner === owner)
      .reverse()
      .map((record) => ({
        id: idOf(record.volume),
        runtime: record.runtime,
        manifest: record.manifest,
        sizeBytes: record.sizeBytes,
        createdAt: new Date(record.createdAt).toISOString(),
        usedAt: new Date(record.usedAt).toISOString(),
      }));
  }

  /** @throws CodeRunnerError not_found, packages_in_use, engine_unavailable */
  async remove(owner: string, id: string): Promise<void> {
    const record = this.#catalog.all().find((one) => one.owner === owner && idOf(one.volume) === id);
    if (!record) throw new CodeRunnerError('not_found', `There are no packages ${id.slice(0, 40)}.`);
    if (await this.#drop(record)) return;
    throw new CodeRunnerError('packages_in_use', `The packages ${id} are in use by a run.`);
  }

  /** Removes all of the owner's that no run uses. @returns how many, and their size */
  async prune(owner: string): Promise<{ removed: number; sizeBytes: number }> {
    const pruned = { removed: 0, sizeBytes: 0 };
    for (const record of this.#catalog.all()) {
      if (record.owner !== owner || !(await this.#drop(record))) continue;
      pruned.removed++;
      pruned.sizeBytes += record.sizeBytes;
    }
    return pruned;
  }

  /** Removes what is too old or too much. For quiet moments; one that is in use stays. */
  async tidy(): Promise<void> {
    const { config, link } = this.#options;
    if (link.problem) return;
    const records = this.#catalog.all();
    let total = records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const record of records) {
      const isOld = Date.now() - record.usedAt > config.packagesAge;
      if (!isOld && total <= config.packagesBytes) continue;
      if (await this.#drop(record)) total -= record.sizeBytes;
    }
  }

  /** Ends installs, and resolves when what they used is gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new CodeRunnerError('shutting_down', 'The daemon is stopping.'));
    await this.#queue.onIdle();
    await this.#sweeping;
    this.#catalog[Symbol.dispose]();
  }

  /** What makes packages the same: whose they are, what they are for, and what could lead to others. */
  #volumeOf(owner: string, runtime: Runtime, installation: Installation, manifest: Manifest): string {
    const { config, images, instance } = this.#options;
    const registries = config.registries.filter((item) => item.startsWith(`${installation.tool}=`));
    const parts = [instance, owner, images.tag(runtime), config.installScripts, registries, digestOf(manifest)];
    const hash = createHash('sha256').update(JSON.stringify([...parts, installation.argv, installation.output]));
    return `coderunner-packages-${hash.digest('hex').slice(0, 32)}`;
  }

  /** Complete, and still there: somebody may have removed the volume, and the engine would put an empty one in its place. */
  async #isThere(volume: string): Promise<boolean> {
    const { link, instance } = this.#options;
    if (!this.#catalog.get(volume)) return false;
    const labels = await link.engine.volumeLabels(volume);
    if (labels?.[INSTANCE_LABEL] === instance) return true;
    this.#catalog.forget(volume);
    return false;
  }

  /** Installs, or waits for the run that does so already. It is stopped when none waits any more. */
  async #join(
    volume: string,
    manifest: Manifest,
    installation: Installation,
    { owner, runtime, signal, onInstall, print }: LayerRequest,
  ): Promise<AgentExit> {
    onInstall();
    let flight = this.#flights.get(volume);
    // One that was given up is still clearing away what it made under the same name.
    while (flight?.stop.signal.aborted) {
      await flight.done.catch(() => {}); // those who waited have been told
      signal.throwIfAborted();
      flight = this.#flights.get(volume);
    }
    if (!flight) {
      flight = this.#begin(volume, manifest, installation, owner, runtime);
      this.#flights.set(volume, flight);
    }
    const { listeners, stop, done } = flight;
    const before = flight.printed();
    if (before !== '') print(before);
    listeners.add(print);
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    try {
      signal.throwIfAborted();
      return (await Promise.race([done, left.promise])).exit;
    } finally {
      signal.removeEventListener('abort', leave);
      listeners.delete(print);
      if (listeners.size === 0) stop.abort(new Error('Nobody waits for these packages any more.'));
    }
  }

  #begin(volume: string, manifest: Manifest, installation: Installation, owner: string, runtime: Runtime): Flight {
    const { config, images, link, pool, instance, log } = this.#options;
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#stop.signal]);
    const listeners: Flight['listeners'] = new Set();
    let printed = '';
    const print = (text: string) => {
      printed = (printed + text).slice(-REPLAY_CHARACTERS);
      for (const listener of listeners) listener(text);
    };
    const path = [manifest.folder, manifest.name].filter((part) => part !== '').join('/');
    const labels = { [INSTANCE_LABEL]: instance, [PACKAGES_LABEL]: runtime.id };
    const work = async (): Promise<Installed> => {
      signal.throwIfAborted();
      print(`Installing the packages of ${path}\n`);
      const began = performance.now();
      using _ = await pool.reserve(memoryToInstall(config), signal);
      const { engine } = link;
      // A volume of that name that is not in the catalog was not completed.
      await this.#removals.get(volume)?.catch(() => {}); // who asked for it is told
      await engine.removeVolume(volume);
      const installed = await install({
        config,
        engine,
        images,
        runtime,
        installation,
        manifest,
        volume,
        labels,
        signal,
        print,
      });
      const now = Date.now();
      this.#catalog.add({
        volume,
        owner,
        runtime: runtime.id,
        manifest: path,
        sizeBytes: installed.sizeBytes,
        createdAt: now,
        usedAt: now,
      });
      const took = formatDuration(Math.round(performance.now() - began));
      print(`Installed in ${took} (${formatBytes(installed.sizeBytes)}); the next runs take them from here\n`);
      return installed;
    };
    const done = this.#queue
      .add(work)
      .catch((thrown) => {
        // Why it failed counts, not what could not be cleaned up after that.
        const error = thrown instanceof SuppressedError ? thrown.suppressed : thrown;
        if (signal.aborted) throw signal.reason;
        log.info({ runtime: runtime.id, err: thrown }, 'packages could not be installed');
        link.suspect();
        throw error;
      })
      .finally(() => {
        this.#flights.delete(volume);
        void this.#tidyLater();
      });
    done.catch(() => {}); // those who wait are told
    return { stop, listeners, done, printed: () => printed };
  }

  async #tidyLater(): Promise<void> {
    await this.tidy().catch((error) => this.#options.log.warn({ err: error }, 'old packages could not be removed'));
  }

  #hold(volume: string): () => void {
    this.#held.set(volume, (this.#held.get(volume) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      const left = (this.#held.get(volume) ?? 1) - 1;
      if (left === 0) this.#held.delete(volume);
      else this.#held.set(volume, left);
    };
  }

  /** @returns false where a run uses it */
  async #drop(record: LayerRecord): Promise<boolean> {
    const { link, pool } = this.#options;
    const { volume } = record;
    if (this.#held.has(volume) || !(await pool.retire(volume)) || this.#held.has(volume)) return false;
    // No step is between this and the look at who holds it: a run that comes now finds nothing, and installs anew.
    this.#catalog.forget(volume);
    const removal = this.#removeVolume(record, link.engine).finally(() => this.#removals.delete(volume));
    this.#removals.set(volume, removal);
    return removal;
  }

  async #removeVolume(record: LayerRecord, engine: Engine): Promise<boolean> {
    try {
      if (await engine.removeVolume(record.volume)) return true;
    } catch (error) {
      this.#catalog.add(record);
      throw error;
    }
    this.#catalog.add(record); // a container that is not ours has it
    return false;
  }

  #sweepOn(engine: Engine): void {
    this.#sweeping = this.#sweep(engine).catch((error) =>
      this.#options.log.warn({ err: error }, 'what packages left over could not be removed'),
    );
  }

  /** What is not in the catalog was not completed; what is in it and gone is forgotten. */
  async #sweep(engine: Engine): Promise<void> {
    const { instance, log } = this.#options;
    const ours = { instance };
    const containers = (await engine.listOurs(ours)).filter(({ labels }) => labels[PACKAGES_LABEL] !== undefined);
    await Promise.all(containers.map(({ id }) => engine.remove(id)));
    const networks = await engine.listNetworks(ours);
    for (const name of networks) await engine.removeNetwork(name);
    const complete = new Set(this.#catalog.all().map(({ volume }) => volume));
    const volumes = (await engine.listVolumes(ours)).map(({ name }) => name);
    const halfMade = volumes.filter((name) => !complete.has(name));
    for (const name of halfMade) await engine.removeVolume(name);
    for (const volume of complete) if (!volumes.includes(volume)) this.#catalog.forget(volume);
    const left = containers.length + networks.length + halfMade.length;
    if (left > 0) log.info({ left }, 'removed what an install left over');
  }
}

const INSTANCE_LABEL = 'coderunner.instance';

/** As people type it. */
function idOf(volume: string): string {
  return `p_${volume.slice(-32, -20)}`;
}
