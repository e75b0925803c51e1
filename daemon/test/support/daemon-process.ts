/** A daemon as a process of its own, as `coderunner start --foreground` runs it: it can be killed and asked to stop by a signal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Discovery, discoveryFile } from '../../src/http/daemon.ts';
import { DaemonClient } from './live-daemon.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** Of the log, for the message of a daemon that does not start. */
const MOST_LINES = 200;

export interface DaemonProcessOptions {
  /** Is given each line of the daemon's log. */
  onLog?(line: string): void;
  /** Ctrl+C does not end it, and somebody else must. */
  detached?: boolean;
  /** Whose it is; that of the tests where it is left out. */
  user?: User;
}

/** A user of this machine, with the group that may use the container engine. */
export interface User {
  uid: number;
  gid: number;
}

export class DaemonProcess extends DaemonClient implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, discovery: Discovery) {
    super(discovery.url, discovery.token);
    this.#child = child;
  }

  /** @param settings environment variables of the daemon; no container waits unless they ask for it */
  static async start(
    dataDir: string,
    settings: Record<string, string> = {},
    { onLog, detached = false, user }: DaemonProcessOptions = {},
  ): Promise<DaemonProcess> {
    const child = spawn(process.execPath, [MAIN, 'start', '--foreground'], {
      env: { ...process.env, CODERUNNER_POOL_SIZE: '0', ...settings, CODERUNNER_DATA_DIR: dataDir },
      stdio: ['ignore', 'inherit', 'pipe'],
      detached,
      ...user,
    });
    const said: string[] = [];
    const ready = new Promise<boolean>((resolve) => {
      createInterface({ input: child.stderr })
        .on('line', (line) => {
          said.push(line);
          onLog?.(line);
          if (line.includes('"msg":"ready"')) resolve(true);
          if (said.length > MOST_LINES) said.shift();
        })
        .on('close', () => resolve(false));
    });
    if (!(await ready)) throw new Error(`The daemon did not start:\n${said.join('\n')}`);
    return new DaemonProcess(child, JSON.parse(await readFile(discoveryFile(dataDir), 'utf8')) as Discovery);
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** Sends a signal and waits for the end. @returns the exit code; null where the signal ended it */
  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const exited = once(this.#child, 'exit');
    this.#child.kill(signal);
    const [code] = (await exited) as [number | null];
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('SIGTERM');
  }
}
