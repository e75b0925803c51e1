/** The daemon that programs run on: on this machine, or a team's. Everything else asks here for a client of it. */
import { Client, checkProtocol, type DaemonAddress } from '@coderunner/daemon/client';
import { CodeRunnerError, type DaemonStatus, type RuntimeInfo } from '@coderunner/daemon/protocol';
import { type Disposable, EventEmitter, type SecretStorage, workspace } from 'vscode';
import { setting } from '../configuration.ts';
import type { LocalDaemon } from './local.ts';

export type DaemonNews =
  | { state: 'unknown' }
  | { state: 'connecting' }
  | { state: 'up'; status: DaemonStatus }
  | { state: 'down'; problem: string };

export class Daemon implements Disposable {
  readonly local: LocalDaemon;
  readonly #secrets: SecretStorage;
  readonly #changed = new EventEmitter<DaemonNews>();
  readonly onDidChange = this.#changed.event;
  readonly #learned = new EventEmitter<readonly RuntimeInfo[]>();
  /** Its languages became known. */
  readonly onDidLearn = this.#learned.event;
  readonly #watching: Disposable;
  #client: Client | undefined;
  #runtimes: Promise<readonly RuntimeInfo[]> | undefined;
  #news: DaemonNews = { state: 'unknown' };

  constructor(local: LocalDaemon, secrets: SecretStorage) {
    this.local = local;
    this.#secrets = secrets;
    this.#watching = workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration('coderunner.daemon')) void this.reset();
    });
  }

  /** The team's daemon, or undefined for the one of this machine. */
  get url(): string | undefined {
    return setting('daemon.url').trim() || undefined;
  }

  get news(): DaemonNews {
    return this.#news;
  }

  /** One client for everything; it finds, or starts, the daemon when it is first used. */
  get client(): Client {
    this.#client ??= new Client({
      locate: () => this.#locate(),
      // Where that fails, the next run asks again.
      onRuntimesChanged: () => void this.runtimes(true).catch(() => {}),
    });
    return this.#client;
  }

  /** The languages that it knows. @param fresh asks again */
  runtimes(fresh = false): Promise<readonly RuntimeInfo[]> {
    if (fresh || !this.#runtimes) {
      const asked = this.#ask();
      this.#runtimes = asked;
      asked.then(
        (runtimes) => this.#learned.fire(runtimes),
        () => {
          if (this.#runtimes === asked) this.#runtimes = undefined;
        },
      );
    }
    return this.#runtimes;
  }

  /** Asks how it is, without starting it, and tells whoever listens. */
  async refresh(): Promise<DaemonNews> {
    try {
      if (!this.url && !(await this.local.find())) return this.#tell({ state: 'unknown' });
      return this.#tell({ state: 'up', status: await this.client.api.status() });
    } catch (error) {
      return this.#tell({ state: 'down', problem: (error as Error).message });
    }
  }

  /** Whether it is there, without starting it. */
  async reachable(): Promise<boolean> {
    return (await this.refresh()).state === 'up';
  }

  /** Begins anew: another daemon was chosen, or it was restarted. */
  async reset(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    this.#runtimes = undefined;
    await client?.[Symbol.asyncDispose]();
    await this.refresh();
  }

  async setToken(url: string, token: string): Promise<void> {
    await this.#secrets.store(secretOf(url), token);
  }

  dispose(): void {
    this.#watching.dispose();
    this.#changed.dispose();
    this.#learned.dispose();
    void this.#client?.[Symbol.asyncDispose]();
  }

  async #ask(): Promise<readonly RuntimeInfo[]> {
    const { api } = this.client;
    // That of this machine is known before anything is asked of it.
    if (this.url) checkProtocol(await api.status());
    return (await api.runtimes()).runtimes;
  }

  async #locate(): Promise<DaemonAddress> {
    const { url } = this;
    if (!url) {
      this.#tell({ state: 'connecting' });
      return this.local.locate();
    }
    if (!URL.canParse(url))
      throw new CodeRunnerError('bad_setting', `The address of the daemon, ${url}, is none.`, {
        hint: 'Choose the daemon again.',
      });
    const token = await this.#secrets.get(secretOf(url));
    if (token === undefined)
      throw new CodeRunnerError('unauthorized', `There is no token yet for the daemon at ${url}.`, {
        hint: 'Enter the token that its operator gave you.',
      });
    return { url, token };
  }

  #tell(news: DaemonNews): DaemonNews {
    this.#news = news;
    this.#changed.fire(news);
    return news;
  }
}

/** A token belongs to one address: it is never sent to another. */
function secretOf(url: string): string {
  return `token:${new URL(url).origin}`;
}
