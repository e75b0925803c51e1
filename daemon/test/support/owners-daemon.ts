/** A real daemon that several owners share, each with a token. Disposing of it leaves nothing behind. */
import { rm } from 'node:fs/promises';
import pino from 'pino';
import { type Config, loadConfig } from '../../src/config.ts';
import { type Daemon, startDaemon } from '../../src/http/daemon.ts';
import { DaemonClient, dataFolder } from './live-daemon.ts';

export class OwnersDaemon implements AsyncDisposable {
  /** Each owner's client. */
  readonly clients: Readonly<Record<string, DaemonClient>>;
  readonly #daemon: Daemon;
  readonly #dataDir: string;

  private constructor(daemon: Daemon, dataDir: string, clients: Record<string, DaemonClient>) {
    this.#daemon = daemon;
    this.#dataDir = dataDir;
    this.clients = clients;
  }

  static async start(names: readonly string[], settings: Partial<Config> = {}): Promise<OwnersDaemon> {
    const dataDir = await dataFolder();
    const tokenOf = (owner: string) => `token-of-${owner}`;
    try {
      const daemon = await startDaemon(loadConfig(process.env, { poolSize: 0, ...settings, dataDir }), {
        stopWhenIdle: false,
        log: pino({ level: 'silent' }),
        owners: new Map(names.map((owner) => [tokenOf(owner), owner])),
      });
      const clients = names.map((owner) => [owner, new DaemonClient(daemon.url, tokenOf(owner))]);
      return new OwnersDaemon(daemon, dataDir, Object.fromEntries(clients));
    } catch (error) {
      await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#daemon.stop(true);
    await rm(this.#dataDir, { recursive: true, force: true });
  }
}
