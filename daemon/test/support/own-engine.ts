/** A Docker of the test's own, beside the machine's: with no image in it, and free to be stopped. Needs root on Linux. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { isAlive } from '../../src/client/address.ts';
import { findEngine } from '../../src/engine/discovery.ts';

const DOCKERD = ['/usr/bin/dockerd', '/usr/sbin/dockerd', '/usr/local/bin/dockerd'].find((path) => existsSync(path));

export class OwnEngine implements AsyncDisposable {
  /** Whether this machine can run one. */
  static readonly isPossible = DOCKERD !== undefined && process.platform === 'linux' && process.getuid?.() === 0;
  /** As the setting `engine` takes it. */
  readonly address: string;
  readonly #folder: string;
  readonly #options: readonly string[];
  #process: ChildProcess | undefined;
  #killed = false;

  private constructor(folder: string, options: readonly string[]) {
    this.#folder = folder;
    this.#options = options;
    this.address = `unix://${join(folder, 'docker.sock')}`;
  }

  /** @param options more options of dockerd */
  static async start(options: readonly string[] = []): Promise<OwnEngine> {
    const engine = new OwnEngine(await mkdtemp(join(tmpdir(), 'coderunner-docker-')), options);
    await engine.restart();
    return engine;
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
    const at = (name: string) => join(this.#folder, name);
    const process = spawn(
      'unshare',
      [
        // In a network of its own: two Dockers in one would fight over the bridge docker0 and the firewall.
        ...['--net', DOCKERD as string],
        ...['--host', this.address, '--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')],
        ...['--bridge', 'none', '--iptables=false', '--ip-masq=false', '--shutdown-timeout', '1', ...this.#options],
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    const log: string[] = [];
    const answers = new Promise<void>((resolve, reject) => {
      process.once('exit', () => reject(new Error(`dockerd ended:\n${log.join('\n')}`)));
      createInterface({ input: process.stderr }).on('line', (line) => {
        log.push(line);
        if (line.includes('API listen on')) resolve();
      });
    });
    await answers;
    this.#process = process;
    this.#killed = false;
  }

  /** Stops it as a system does; its containers end. */
  async stop(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (!process) return;
    const exited = once(process, 'exit');
    process.kill('SIGTERM');
    await exited;
  }

  /** Kills it as a crash does; its containers live on until it is back. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (!process) return;
    const exited = once(process, 'exit');
    process.kill('SIGKILL');
    await exited;
    this.#killed = true;
    // It is killed with the engine, and the next engine must not take the dying one for alive.
    const pid = Number(await readFile(join(this.#folder, 'exec/containerd/containerd.pid'), 'utf8'));
    while (isAlive(pid)) await delay(10);
  }

  /** The folder of its sockets, images and containers, which the command lines of its processes name. */
  get folder(): string {
    return this.#folder;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Only the engine itself ends the containers that a killed one left.
    if (this.#killed) await this.restart();
    await this.stop();
    for (const mount of await this.#mounts()) await promisify(execFile)('umount', ['--lazy', mount]);
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** What a killed one left mounted below its folder, the innermost first. */
  async #mounts(): Promise<string[]> {
    const lines = (await readFile('/proc/self/mounts', 'utf8')).split('\n');
    const places = lines.map((line) => line.split(' ')[1] ?? '');
    return places.filter((place) => place.startsWith(`${this.#folder}/`)).reverse();
  }
}
