/** The daemon of this machine: the one that runs, or one that is started from what the extension brings. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type DaemonAddress, discover, ensureDaemon, logFile } from '@coderunner/daemon/client';
import { CodeRunnerError } from '@coderunner/daemon/protocol';
import envPaths from 'env-paths';

const LOOK_EVERY_MS = 20;
const STOPS_WITHIN_MS = 30_000;

export interface LocalOptions {
  /** The daemon's command line. */
  cli: string;
  /** The version that the command line has. */
  version: string;
  /** Node to run it on; empty: the one that runs the extension. */
  node(): string;
}

export class LocalDaemon {
  readonly #options: LocalOptions;
  /** As the command line has it, so that both find the same daemon. */
  readonly dataDir = process.env.CODERUNNER_DATA_DIR || envPaths('coderunner', { suffix: '' }).data;

  constructor(options: LocalOptions) {
    this.#options = options;
  }

  get logFile(): string {
    return logFile(this.dataDir);
  }

  /** Where it is; starts it where none runs. @throws CodeRunnerError not_running, version_mismatch */
  async locate(): Promise<DaemonAddress> {
    await this.#retireOlder();
    return ensureDaemon({
      dataDir: this.dataDir,
      command: [this.#node, this.#options.cli, 'start', '--foreground', '--stop-when-idle'],
      env: this.#environment,
    });
  }

  /** Where it is, if it runs. */
  find(): Promise<DaemonAddress | undefined> {
    return discover(this.dataDir);
  }

  /** Stops it, and waits until it is gone. @param force ends running programs at once */
  async stop(force: boolean): Promise<void> {
    const running = await discover(this.dataDir);
    if (!running) return;
    await using client = new Client({ locate: async () => running });
    await client.api.shutdown(force);
    for (const giveUpAt = performance.now() + STOPS_WITHIN_MS; performance.now() < giveUpAt; ) {
      if ((await discover(this.dataDir))?.pid !== running.pid) return;
      await sleep(LOOK_EVERY_MS);
    }
    throw new CodeRunnerError('already_running', 'The daemon does not stop.', {
      hint: `End its process ${running.pid}, then try again.`,
    });
  }

  /** Starts the command line, such as `runtimes build python`. @param stdin `pipe`: it is written to */
  spawn(args: readonly string[], stdin: 'ignore' | 'pipe' = 'ignore'): ChildProcess {
    return spawn(this.#node, [this.#options.cli, ...args], {
      env: { ...this.#environment, CODERUNNER_DATA_DIR: this.dataDir },
      stdio: [stdin, 'pipe', 'pipe'],
      windowsHide: true,
    });
  }

  /** An older daemon that nobody needs at the moment makes way for the one that this extension brings. */
  async #retireOlder(): Promise<void> {
    const running = await discover(this.dataDir);
    if (!running || !isOlder(running.version, this.#options.version)) return;
    await using client = new Client({ locate: async () => running });
    const { runs } = await client.api.status();
    if (runs.queued + runs.running === 0) await this.stop(false);
  }

  get #node(): string {
    return this.#options.node() || process.execPath;
  }

  /** VS Code's own program is a Node when this variable is set; any other Node does not look at it. */
  get #environment(): NodeJS.ProcessEnv {
    return { ...process.env, ELECTRON_RUN_AS_NODE: '1' };
  }
}

/** Compares `1.2.3` by its numbers. */
export function isOlder(version: string, than: string): boolean {
  return version.localeCompare(than, 'en', { numeric: true }) < 0;
}
