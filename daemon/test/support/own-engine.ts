/** A Docker or Podman of the test's own, beside the machine's: with no image in it, and free to be stopped. Needs root on Linux. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type Docker from 'dockerode';
import { findEngine } from '../../src/engine/discovery.ts';
import { within } from './within.ts';

const FOLDERS_OF_PROGRAMS = ['/usr/bin', '/usr/sbin', '/usr/local/bin'];
const [DOCKERD, PODMAN, RUNC] = ['dockerd', 'podman', 'runc'].map((name) =>
  FOLDERS_OF_PROGRAMS.map((folder) => join(folder, name)).find((path) => existsSync(path)),
);
const IS_ROOT_OF_LINUX = process.platform === 'linux' && process.getuid?.() === 0;
const CLEANER = fileURLToPath(new URL('own-engine-cleaner.ts', import.meta.url));
const FOLDERS = /^coderunner-engine-[0-9a-f]{8}$/;
/** Whatever an engine does, it has done by then, also on a machine that is as busy as can be. */
const PATIENCE_MS = 90_000;
const LOG_LINES = 60;

export class OwnEngine implements AsyncDisposable {
  /** Whether this machine can run one. */
  static readonly isPossible = DOCKERD !== undefined && IS_ROOT_OF_LINUX;
  /** Whether it can run a Podman. */
  static readonly isPodmanPossible = PODMAN !== undefined && RUNC !== undefined && IS_ROOT_OF_LINUX;
  /** As the setting `engine` takes it. */
  readonly address: string;
  /**
   * The folder of its sockets, images and containers, which the command lines of its processes name. Processes that name it in their
   * environment end with the engine, and what is mounted below it goes.
   */
  readonly folder: string;
  /** The latest lines of its log. */
  readonly log: string[] = [];
  readonly #command: (engine: OwnEngine) => string[];
  readonly #cleaner: ChildProcess;
  #process: ChildProcess | undefined;

  private constructor(folder: string, command: (engine: OwnEngine) => string[]) {
    this.folder = folder;
    this.#command = command;
    this.address = `unix://${join(folder, 'docker.sock')}`;
    this.#cleaner = startCleaner(folder, 'pipe');
  }

  /** @param options more options of dockerd */
  static start(options: readonly string[] = []): Promise<OwnEngine> {
    return OwnEngine.#start((engine) => [...dockerd(engine), ...options]);
  }

  /** Podman's service, which speaks Docker's language. */
  static startPodman(): Promise<OwnEngine> {
    return OwnEngine.#start(podman);
  }

  static async #start(command: (engine: OwnEngine) => string[]): Promise<OwnEngine> {
    await removeForsaken();
    // Who sees the folder must see its cleaner: it is there first.
    const engine = new OwnEngine(join(tmpdir(), `coderunner-engine-${randomUUID().slice(0, 8)}`), command);
    try {
      await mkdir(engine.folder, { mode: 0o700 });
      await engine.restart();
      return engine;
    } catch (error) {
      await engine[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The cgroup that all its containers are below. */
  get cgroup(): string {
    return basename(this.folder);
  }

  async client(): Promise<Docker> {
    return (await findEngine(this.address)).docker;
  }

  /** Copies an image of the machine's engine into this one. */
  async load(image: string): Promise<void> {
    const { docker } = await findEngine('');
    const own = await this.client();
    const progress = (await own.loadImage(await docker.getImage(image).get())) as Readable;
    for await (const line of createInterface({ input: progress })) {
      if (line.includes('"error"')) throw new Error(line);
    }
  }

  /** Starts it, and resolves when it answers. */
  async restart(): Promise<void> {
    const [program, ...args] = this.#command(this) as [string, ...string[]];
    const process = spawn(program, args, {
      // Podman's containers may leave a file where it was started.
      cwd: this.folder,
      stdio: ['ignore', 'ignore', 'pipe'],
      // In a process group of its own: Ctrl+C is for the test, and what follows from it is the cleaner's.
      detached: true,
    });
    const { log } = this;
    const answers = new Promise<void>((resolve, reject) => {
      process.once('exit', () => reject(new Error(`${program} ended:\n${log.join('\n')}`)));
      createInterface({ input: process.stderr }).on('line', (line) => {
        log.push(line);
        if (log.length > LOG_LINES) log.shift();
        if (/API (?:service )?listen/.test(line)) resolve();
      });
    });
    await within(PATIENCE_MS, () => `${program} listens; it said:\n${log.join('\n')}`, answers);
    this.#process = process;
  }

  /** Stops it as a system does; its containers end. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** Kills it as a crash does; its containers live on until it is back. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
    // It is killed with the engine, and the next engine must not take the dying one for alive.
    const file = join(this.folder, 'exec/containerd/containerd.pid');
    const pid = Number(await readFile(file, 'utf8'));
    await within(PATIENCE_MS, `containerd (${pid}) ends with its dockerd`, ended(pid));
    await rm(file);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = once(this.#cleaner, 'exit');
    this.#cleaner.stdin?.end();
    const [code] = await exited;
    if (code !== 0) throw new Error(`${this.folder} could not be removed.`);
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (!process) return;
    const exited = once(process, 'exit');
    process.kill(signal);
    await within(PATIENCE_MS, `the engine ends by ${signal}`, exited);
  }
}

function dockerd({ folder, address, cgroup }: OwnEngine): string[] {
  const at = (name: string) => join(folder, name);
  return [
    // In a network of its own: two Dockers in one would fight over the bridge docker0 and the firewall.
    ...['unshare', '--net', DOCKERD as string],
    ...['--host', address, '--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')],
    ...['--cgroup-parent', `/${cgroup}`, '--exec-opt', 'native.cgroupdriver=cgroupfs'],
    ...['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--shutdown-timeout', '1'],
  ];
}

function podman({ folder, address }: OwnEngine): string[] {
  const at = (name: string) => join(folder, name);
  return [
    ...[PODMAN as string, '--log-level', 'info', '--root', at('data'), '--runroot', at('run'), '--tmpdir', at('tmp')],
    ...['--storage-driver', 'overlay', '--cgroup-manager', 'cgroupfs', '--runtime', RUNC as string],
    ...['system', 'service', '--time', '0', address],
  ];
}

/** @param stdin 'ignore' begins at once */
function startCleaner(folder: string, stdin: 'pipe' | 'ignore'): ChildProcess {
  return spawn(process.execPath, [CLEANER, folder], { stdio: [stdin, 'ignore', 'inherit'], detached: true });
}

/** Engines whose test and whose cleaner were both killed. */
async function removeForsaken(): Promise<void> {
  const folders = (await readdir(tmpdir())).filter((name) => FOLDERS.test(name)).map((name) => join(tmpdir(), name));
  const commands = await Promise.all(
    (await readdir('/proc')).map((name) => readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')),
  );
  const isKept = (folder: string) => commands.some((command) => command.includes(`own-engine-cleaner.ts\0${folder}\0`));
  const forsaken = folders.filter((folder) => !isKept(folder));
  await Promise.all(forsaken.map((folder) => once(startCleaner(folder, 'ignore'), 'exit')));
}

/** Resolves when the process does nothing any more, whether or not somebody has asked how it ended. */
async function ended(pid: number): Promise<void> {
  const state = () =>
    readFile(`/proc/${pid}/stat`, 'utf8').then(
      (stat) => /^.*\) (\S)/.exec(stat)?.[1],
      () => 'X',
    );
  while (!['Z', 'X'].includes((await state()) ?? 'X')) await delay(10);
}
