/** What the faults happen to: an engine of its own, a daemon on a small disk of its own, and what can be seen of both from outside. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { instanceFile } from '../../src/http/daemon.ts';
import { type DaemonStatus, LIVE_STATES } from '../../src/protocol/index.ts';
import { DaemonProcess } from '../support/daemon-process.ts';
import { OwnEngine } from '../support/own-engine.ts';
import { TestPool } from '../support/test-pool.ts';
import { within } from '../support/within.ts';
import { WINDOW_BYTES } from './programs.ts';

const CLOCK = fileURLToPath(new URL('../fixtures/chaos/clock.mjs', import.meta.url));
const DISK_BYTES = 256 * 2 ** 20;
const MOST_RUNNING = 3;
/** That many containers have room. */
const ROOM = 2 * MOST_RUNNING;
const LOG_LINES = 40;
/** Whatever a daemon does, it has done by then, also on a machine that is as busy as can be. */
const PATIENCE_MS = 90_000;
/** A daemon that stops gives its runs, and an engine that hangs, some time each. */
const STOPS_WITHIN_MS = 240_000;
/** What it says where that was not enough, on a machine that is as busy as can be; the next one removes the rest. */
const LEFT_BEHIND = 'the next daemon removes what is left';
/** It may have to be built. */
const IMAGE_WITHIN_MS = 900_000;
/** All that a daemon at rest has in its data folder, when none of its users uploaded anything but small programs. */
const KNOWN_FILES =
  /^([a-z]+\.sqlite(-wal|-shm)?|daemon\.(lock|json)|daemon\.lock-journal|instance|blobs(\/[0-9a-f]{32}(\/[0-9a-f]{64})?)?)$/;
const run = promisify(execFile);

/** What a daemon uses of its machine when nothing runs, besides one descriptor for each container that waits. */
export interface Usage {
  descriptors: number;
  residentBytes: number;
}

export class World implements AsyncDisposable {
  readonly engine: OwnEngine;
  readonly dataDir: string;
  /** The latest lines of the daemons' logs. */
  readonly log: string[] = [];
  readonly #token = randomUUID();
  /** Processes that kept containers when the engine was killed, with the containers. */
  readonly #forsaken = new Map<string, string>();
  #memoryBytes = 0;
  #daemon: DaemonProcess | undefined;

  private constructor(engine: OwnEngine) {
    this.engine = engine;
    this.dataDir = join(engine.folder, 'daemon');
  }

  /** Needs root on Linux: {@link OwnEngine.isPossible}. The image of Python is built on the machine's engine if it is not there. */
  static async start(): Promise<World> {
    const world = new World(await OwnEngine.start());
    try {
      await world.#prepare();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #prepare(): Promise<void> {
    await within(IMAGE_WITHIN_MS, 'the engine has the image of Python', this.#loadImage());
    for (const folder of [this.dataDir, this.#temporary, this.clientFolder]) await mkdir(folder);
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES},mode=700`, 'coderunner-chaos', this.dataDir]);
    await this.#writeClock(0);
    await this.startDaemon();
  }

  async #loadImage(): Promise<void> {
    await using built = await TestPool.open();
    this.#memoryBytes = ROOM * built.python.limits.memoryBytes;
    await this.engine.load(built.images.tag(built.python));
  }

  /** The daemon of now. */
  get daemon(): DaemonProcess {
    if (!this.#daemon) throw new Error('There is no daemon.');
    return this.#daemon;
  }

  async startDaemon(): Promise<void> {
    const settings = {
      CODERUNNER_ENGINE: this.engine.address,
      CODERUNNER_POOL_SIZE: '2',
      CODERUNNER_POOL_PREWARM: 'python',
      CODERUNNER_MAX_RUNNING: `${MOST_RUNNING}`,
      // Memory that is not given back would soon be missed; and the pool, which grows with what is asked for, stays small.
      CODERUNNER_MEMORY_BUDGET: `${this.#memoryBytes}`,
      CODERUNNER_PACKAGES: 'off',
      CODERUNNER_OUTPUT_WINDOW: `${WINDOW_BYTES}`,
      // One for all daemons: a client may reach the next one with what it knows of the last.
      CODERUNNER_TOKEN: this.#token,
      // The clients reach it by proxies on other ports.
      CODERUNNER_ALLOWED_HOSTS: '127.0.0.1',
      // Where there is room Node collects late; what a small heap cannot hold is no garbage.
      NODE_OPTIONS: `--import=${CLOCK} --max-old-space-size=96 --max-semi-space-size=1`,
      CHAOS_CLOCK: this.#clock,
      TMPDIR: this.#temporary,
    };
    const onLog = (line: string) => {
      this.log.push(line);
      if (this.log.length > LOG_LINES) this.log.shift();
    };
    const started = DaemonProcess.start(this.dataDir, settings, { onLog, detached: true });
    this.#daemon = await within(PATIENCE_MS, 'the daemon says that it is ready', started);
  }

  /** Kills the engine, and starts it again. */
  async restartEngine(): Promise<void> {
    await this.engine.kill();
    // Docker itself forgets some of those whose containers it was just making. They must have no container, all the same.
    for (const [pid, container] of await this.#keepers()) this.#forsaken.set(pid, container);
    await this.engine.restart();
  }

  /** Makes the daemon's clock differ from the machine's by that much, milliseconds. */
  async shiftClock(byMs: number): Promise<void> {
    await this.#writeClock(byMs);
    process.kill(this.daemon.pid, 'SIGUSR2');
  }

  /** Leaves no byte free on the daemon's disk. @returns gives the room back */
  async fillDisk(): Promise<() => Promise<void>> {
    const file = join(this.dataDir, 'filler');
    const piece = Buffer.alloc(2 ** 20);
    for (let bytes = piece.length; bytes >= 1; bytes >>= 1) {
      while (await writeFile(file, piece.subarray(0, bytes), { flag: 'a' }).then(() => true, isFull));
    }
    return () => rm(file);
  }

  /** Containers of the daemon, whatever their state. */
  async containers(): Promise<string[]> {
    const instance = await readFile(instanceFile(this.dataDir), 'utf8');
    return (await this.#allContainers())
      .filter(({ Labels }) => Labels['coderunner.instance'] === instance)
      .map(({ Id }) => Id);
  }

  async usage(): Promise<Usage> {
    const { pid } = this.daemon;
    const status = await readFile(`/proc/${pid}/status`, 'utf8');
    const residentKiB = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
    // Each container that waits has one, and how many wait follows what was asked for lately.
    const open = (await readdir(`/proc/${pid}/fd`)).length - (await this.containers()).length;
    return { descriptors: open, residentBytes: residentKiB * 1024 };
  }

  /** Everything that is not as it must be when no run is left, in words; nothing where all is well. */
  async unrest(): Promise<string[]> {
    const { runs, pool, clients } = await this.daemon.json<DaemonStatus>('GET', '/v1/status');
    const found: string[] = [];
    if (runs.queued + runs.running > 0) found.push(`${runs.queued} runs wait and ${runs.running} run`);
    const unwritten = this.#unwritten();
    if (unwritten.length > 0) found.push(`the file of the history has no end of ${unwritten.join(', ')}`);
    if (clients > 0) found.push(`${clients} clients are connected`);
    if (pool.engine.state !== 'up') found.push(`the engine is down: ${pool.engine.problem}`);
    const python = pool.runtimes.find(({ runtime }) => runtime === 'python');
    const { idle = 0, target = 0, creating = 0, leased = 0, problem = null } = python ?? {};
    if (idle !== target || target === 0) found.push(`${idle} of ${target} containers wait in the pool (${problem})`);
    if (creating + leased > 0) found.push(`${creating} containers are being made, ${leased} are leased`);
    const containers = await this.containers();
    const all = await this.#allContainers();
    if (found.length > 0 || containers.length !== idle || all.length !== idle) {
      const each = await this.#listed();
      return [
        ...found,
        `the engine has ${containers.length} containers of the daemon (all: ${each}), the pool ${idle}`,
      ];
    }
    found.push(...(await this.#strayProcesses(containers)), ...(await this.#strayFiles()));
    return found;
  }

  /** Runs of which the daemon's next life would not know that they have ended. */
  #unwritten(): string[] {
    const file = join(this.dataDir, 'coderunner.sqlite');
    using history = new DatabaseSync(file, { readOnly: true, timeout: PATIENCE_MS });
    const live = LIVE_STATES.map((state) => `'${state}'`).join(', ');
    return history
      .prepare(`SELECT id FROM runs WHERE state IN (${live})`)
      .all()
      .map(({ id }) => String(id));
  }

  /** Ends the daemon as an operator does. @throws Error where it does not end well, or leaves something behind */
  async stopDaemon(): Promise<void> {
    await this.#endDaemon();
    // It has said so, and the next one must keep its promise.
    if (this.log.some((line) => line.includes(LEFT_BEHIND))) {
      await this.startDaemon();
      await this.#endDaemon();
    }
    const { length } = await this.containers();
    const found = length > 0 ? [`${length} containers are left`] : [];
    found.push(...(await this.#strayProcesses([])));
    if (found.length > 0) throw new Error(found.join('; '));
  }

  async #endDaemon(): Promise<void> {
    this.log.length = 0;
    const ended = within(STOPS_WITHIN_MS, 'the daemon ends by SIGTERM', this.daemon.end('SIGTERM'));
    const code = await ended.catch(async ({ message }: Error) => `${message}; there are ${await this.#listed()}`);
    if (code !== 0) throw new Error(`the daemon ended with ${code}`);
  }

  /** The engine's end is also that of the daemon, whose environment names the engine's folder, and of its disk. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.engine[Symbol.asyncDispose]();
  }

  /** Where the program of a client may lie. */
  get clientFolder(): string {
    return join(this.engine.folder, 'client');
  }

  /** A Docker that was killed may list dead containers for ever that it does not have, as it says when asked for one of them. */
  async #allContainers(): Promise<Docker.ContainerInfo[]> {
    const docker = await this.engine.client();
    const listed = await docker.listContainers({ all: true });
    const isThere = ({ Id, State }: Docker.ContainerInfo) =>
      State !== 'dead' ||
      docker
        .getContainer(Id)
        .inspect()
        .then(() => true, isMissing);
    const there = await Promise.all(listed.map(isThere));
    return listed.filter((_, index) => there[index]);
  }

  /** The engine's containers, for people. */
  async #listed(): Promise<string> {
    const all = await this.#allContainers();
    return all.map(({ Id, Status }) => `${Id.slice(0, 12)} ${Status}`).join(', ') || 'none';
  }

  get #temporary(): string {
    return join(this.engine.folder, 'tmp');
  }

  get #clock(): string {
    return join(this.engine.folder, 'clock');
  }

  #writeClock(byMs: number): Promise<void> {
    return writeFile(this.#clock, `${byMs}`);
  }

  /** Processes of containers that are gone, keepers of such containers, and children of the daemon. */
  async #strayProcesses(containers: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const [cgroup, command, stat] = await Promise.all(
        ['cgroup', 'cmdline', 'stat'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => '')),
      );
      const container = new RegExp(`/${this.engine.cgroup}/([0-9a-f]+)`).exec(cgroup as string)?.[1];
      const shown = `${pid} ${(command as string).replaceAll('\0', ' ').slice(0, 100)}`;
      if (container && !containers.includes(container) && !this.#isForgotten(container, command as string))
        found.push(`process of a container that is gone: ${shown}`);
      const parent = Number(/^.*\) \S (\d+)/.exec(stat as string)?.[1]);
      if (parent === this.#daemon?.pid) found.push(`child of the daemon: ${shown}`);
    }
    for (const [pid, container] of await this.#keepers())
      if (!containers.includes(container) && !this.#forsaken.has(pid))
        found.push(`${pid} keeps ${container}, which is gone`);
    return found;
  }

  /** A Docker that was killed just before it started a container may leave what would have become its first process. */
  #isForgotten(container: string, command: string): boolean {
    return command.startsWith('runc\0init\0') && [...this.#forsaken.values()].includes(container);
  }

  /** The processes by which the engine holds its containers, with the containers. */
  async #keepers(): Promise<Map<string, string>> {
    const keepers = new Map<string, string>();
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      const container = /\0-id\0([0-9a-f]+)\0/.exec(command)?.[1];
      if (container && command.includes('containerd-shim') && command.includes(this.engine.folder))
        keepers.set(pid, container);
    }
    return keepers;
  }

  async #strayFiles(): Promise<string[]> {
    const kept = await readdir(this.dataDir, { recursive: true });
    const temporary = await readdir(this.#temporary);
    return [...kept.filter((name) => !KNOWN_FILES.test(name)), ...temporary].map((name) => `a file is left: ${name}`);
  }
}

/** @throws whatever is not that the disk is full */
function isFull(error: NodeJS.ErrnoException): false {
  if (error.code === 'ENOSPC') return false;
  throw error;
}

/** @throws whatever is not that there is no such container */
function isMissing(error: { statusCode?: number }): false {
  if (error.statusCode === 404) return false;
  throw error;
}
