/** A real daemon in front of the real engine, with a data folder of its own. Disposing of it leaves nothing behind. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { type Config, loadConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/http/daemon.ts';
import type { ErrorBody, OutputChunk, OutputPage, Run, RunRequest } from '../../src/protocol/index.ts';
import { TestStream } from './stream.ts';

/** How a run ended, and what it printed. */
export interface Followed {
  run: Run;
  stdout: string;
  stderr: string;
}

/** Where a daemon serves, and how to talk to it as a client does. */
export class DaemonClient {
  readonly url: string;
  readonly token: string;

  constructor(url: string, token: string) {
    this.url = url;
    this.token = token;
  }

  /** A request with the token. Text and bytes are sent as they are, everything else as JSON. */
  fetch(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const isRaw = typeof body === 'string' || body instanceof Uint8Array;
    return fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': isRaw ? 'application/octet-stream' : 'application/json' }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : { body: isRaw ? (body as string | Uint8Array<ArrayBuffer>) : JSON.stringify(body) }),
    });
  }

  /** The answer's JSON. Throws where the daemon refused. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await this.fetch(method, path, body);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as T;
  }

  /** The refusal of a request, with its status. Throws where it was not refused. */
  async refusal(method: string, path: string, body?: unknown, headers?: Record<string, string>) {
    const response = await this.fetch(method, path, body, headers);
    if (response.ok) throw new Error(`${method} ${path} was not refused: ${response.status}`);
    const { error } = (await response.json()) as { error: ErrorBody };
    return { ...error, status: response.status, headers: response.headers };
  }

  start(request: RunRequest): Promise<Run> {
    return this.json<Run>('POST', '/v1/runs', request);
  }

  run(id: string): Promise<Run> {
    return this.json<Run>('GET', `/v1/runs/${id}`);
  }

  /** Reads a run's output page by page until the run has ended. */
  async follow(id: string): Promise<Followed> {
    const printed = { stdout: '', stderr: '' };
    for await (const { channel, data } of this.#chunks(id)) printed[channel] += data;
    return { run: await this.run(id), ...printed };
  }

  /** Waits until the program has printed something. */
  async printed(id: string, text: string): Promise<void> {
    let printed = '';
    for await (const { data } of this.#chunks(id)) {
      printed += data;
      if (printed.includes(text)) return;
    }
    throw new Error(`The run ended before it printed "${text}": ${JSON.stringify(await this.run(id))}`);
  }

  async *#chunks(id: string): AsyncGenerator<OutputChunk> {
    for (let from = 0; ; ) {
      const page = await this.json<OutputPage>('GET', `/v1/runs/${id}/output?from=${from}&wait=60000`);
      yield* page.chunks;
      from = page.next;
      if (page.done) return;
    }
  }

  async runToEnd(request: RunRequest): Promise<Followed> {
    return this.follow((await this.start(request)).id);
  }

  stream(options?: { ack?: boolean }): Promise<TestStream> {
    return TestStream.open(this.url, { authorization: `Bearer ${this.token}` }, options);
  }
}

export class TestDaemon extends DaemonClient implements AsyncDisposable {
  readonly dataDir: string;
  readonly stopped: Promise<void>;
  /** Stops the daemon and keeps its data folder. */
  readonly stop: (force?: boolean) => Promise<void>;
  readonly #ownFolder: boolean;

  private constructor(
    daemon: { url: string; token: string; stopped: Promise<void>; stop(force?: boolean): Promise<void> },
    dataDir: string,
    ownFolder: boolean,
  ) {
    super(daemon.url, daemon.token);
    this.dataDir = dataDir;
    this.stopped = daemon.stopped;
    this.stop = (force) => daemon.stop(force);
    this.#ownFolder = ownFolder;
  }

  /** No container waits unless the settings ask for it. A data folder that is given stays. */
  static async start(settings: Partial<Config> = {}, { stopWhenIdle = false } = {}): Promise<TestDaemon> {
    const dataDir = settings.dataDir ?? (await dataFolder());
    const config = loadConfig(process.env, { poolSize: 0, ...settings, dataDir });
    try {
      const daemon = await startDaemon(config, { stopWhenIdle, log: pino({ level: 'silent' }) });
      return new TestDaemon(daemon, dataDir, settings.dataDir === undefined);
    } catch (error) {
      if (settings.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop(true);
    if (this.#ownFolder) await rm(this.dataDir, { recursive: true, force: true });
  }
}

export function dataFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'coderunner-test-'));
}

/** A request to run one Python program. */
export function python(source: string, more: Partial<RunRequest> = {}): RunRequest {
  return { runtime: 'python', files: [{ path: 'main.py', content: source }], ...more };
}

/** Prints `ready`, then waits for a line of input and prints it. */
export const WAITS = "print('ready', flush=True)\nprint('got', input())\n";
