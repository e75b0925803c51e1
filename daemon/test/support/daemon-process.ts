/** A daemon as a process of its own, as `coderunner start --foreground` runs it: it can be killed and asked to stop by a signal. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Discovery, discoveryFile } from '../../src/http/daemon.ts';
import { DaemonClient } from './live-daemon.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

export class DaemonProcess extends DaemonClient implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, discovery: Discovery) {
    super(discovery.url, discovery.token);
    this.#child = child;
  }

  /** @param settings environment variables of the daemon; no container waits unless they ask for it */
  static async start(dataDir: string, settings: Record<string, string> = {}): Promise<DaemonProcess> {
    const child = spawn(process.execPath, [MAIN, 'start', '--foreground'], {
      env: { ...process.env, CODERUNNER_POOL_SIZE: '0', ...settings, CODERUNNER_DATA_DIR: dataDir },
      stdio: ['ignore', 'inherit', 'pipe'],
    });
    const said: string[] = [];
    for await (const line of createInterface({ input: child.stderr })) {
      said.push(line);
      if (!line.includes('"msg":"ready"')) continue;
      child.stderr.resume();
      return new DaemonProcess(child, JSON.parse(await readFile(discoveryFile(dataDir), 'utf8')) as Discovery);
    }
    throw new Error(`The daemon did not start:\n${said.join('\n')}`);
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
