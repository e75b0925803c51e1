/** The daemon under load, seen from outside: what its process takes, and what it leaves. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DAEMON_NODE_FLAGS } from '../../src/client/ensure.ts';
import { findEngine } from '../../src/engine/discovery.ts';
import { instanceFile } from '../../src/http/daemon.ts';
import type { PoolStatus } from '../../src/protocol/index.ts';
import { DaemonClient, dataFolder } from '../support/live-daemon.ts';
import { containersOf } from '../support/test-pool.ts';

const MAIN = fileURLToPath(new URL('owners-main.ts', import.meta.url));

export class SharedDaemon implements AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #dataDir: string;
  readonly #ended: Promise<unknown>;

  private constructor(child: ChildProcess, dataDir: string, url: string) {
    this.#child = child;
    this.#dataDir = dataDir;
    this.#ended = once(child, 'exit');
    this.url = url;
    this.pid = child.pid as number;
  }

  /** @param settings environment variables of the daemon */
  static async start(owners: readonly string[], settings: Record<string, string>): Promise<SharedDaemon> {
    const dataDir = await dataFolder();
    const tokens = Object.fromEntries(owners.map((owner) => [tokenOf(owner), owner]));
    const child = spawn(process.execPath, [...DAEMON_NODE_FLAGS, MAIN], {
      env: { ...process.env, ...settings, CODERUNNER_DATA_DIR: dataDir, LOAD_OWNERS: JSON.stringify(tokens) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const url = await new Promise<string>((resolve, reject) => {
      child.once('message', (message) => resolve(message as string));
      child.once('exit', (code) => reject(new Error(`The daemon did not start: it ended with ${code}.`)));
    });
    return new SharedDaemon(child, dataDir, url);
  }

  client(owner: string): DaemonClient {
    return new DaemonClient(this.url, tokenOf(owner));
  }

  /** Resident memory. Linux only, as the next. */
  get residentBytes(): number {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'))?.[1]) * 1024;
  }

  /** Those of its own: each container has one more. */
  async descriptors(owner: string): Promise<number> {
    await this.quiet(owner);
    const { docker } = await findEngine('');
    const containers = await containersOf(docker, await this.#instance());
    return this.#open - containers.length;
  }

  #instance(): Promise<string> {
    return readFile(instanceFile(this.#dataDir), 'utf8');
  }

  get #open(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Resolves when nothing runs and one container of each language waits. */
  async quiet(owner: string): Promise<void> {
    const client = this.client(owner);
    for (;;) {
      const { runtimes } = await client.json<PoolStatus>('GET', '/v1/pool');
      if (runtimes.every(({ idle, target, leased }) => leased === 0 && idle >= Math.min(1, target))) return;
      await delay(20);
    }
  }

  /** Ends the daemon. @returns containers that it left */
  async end(): Promise<number> {
    const instance = await this.#instance();
    await this[Symbol.asyncDispose]();
    const { docker } = await findEngine('');
    return (await containersOf(docker, instance)).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    await this.#ended;
    await rm(this.#dataDir, { recursive: true, force: true });
  }
}

function tokenOf(owner: string): string {
  return `token-of-${owner}`;
}
