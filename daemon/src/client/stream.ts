/**
 * The WebSocket to the daemon: one for all runs of a client. A connection that breaks is made again, and every run goes on
 * where it was.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { PROTOCOL_VERSION, SUBPROTOCOL } from '../protocol/constants.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { CHANNEL, decodeFrame } from '../protocol/frames.ts';
import type { ClientMessage, ServerMessage } from '../protocol/messages.ts';
import type { RunRequest } from '../protocol/resources.ts';
import { checkProtocol, type DaemonAddress } from './address.ts';
import { type DaemonApi, daemonError, type Locator, unreachable } from './api.ts';
import { RunFeed, type RunObserver } from './run-feed.ts';
import { RunHandle } from './run-handle.ts';
import { StreamRun } from './stream-run.ts';

const HANDSHAKE_MS = 10_000;
/** The daemon pings every 30 s; a connection that is silent for longer than two of these is dead. */
const SILENCE_MS = 75_000;
const RETRY_FIRST_MS = 50;
const RETRY_MOST_MS = 2_000;
const CLOSE_WITHIN_MS = 1_000;
/** Close code of a server that got a message larger than it takes. */
const MESSAGE_TOO_BIG = 1009;
const NOBODY_THERE = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']);

/** Something on the way lets no WebSocket through; plain HTTP may still work. */
export class WebSocketBlocked extends Error {}

export interface StreamOptions {
  locator: Locator;
  api: DaemonApi;
  /** How long a broken connection may take to be made again. */
  reconnectMs: number;
  onRuntimesChanged(): void;
}

export class Stream implements AsyncDisposable {
  readonly #options: StreamOptions;
  readonly #runs = new Map<number, StreamRun>();
  readonly #closing = new AbortController();
  #nextHandle = 1;
  #socket: WebSocket | undefined;
  #opening: Promise<void> | undefined;
  #mending = false;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  /**
   * Connects, unless it is connected.
   * @throws CodeRunnerError not_running, unauthorized, version_mismatch …; WebSocketBlocked
   */
  async open(): Promise<void> {
    if (this.#closing.signal.aborted) throw closed();
    if (this.#socket) return;
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    await this.#opening;
  }

  /**
   * @param request with a key: should the connection break before the answer, the run is asked for again
   * @throws CodeRunnerError for whatever is wrong with the request; not_running when no connection lasted until the answer
   */
  async start(request: RunRequest, observer: RunObserver): Promise<RunHandle> {
    await this.open();
    return this.#follow(request, new RunFeed(observer, 0));
  }

  /** @throws CodeRunnerError not_found */
  async follow(id: string, from: number, observer: RunObserver): Promise<RunHandle> {
    await this.open();
    return this.#follow(id, new RunFeed(observer, from));
  }

  get connected(): boolean {
    return this.#socket !== undefined;
  }

  /** Sent when there is a connection; what a break swallows is asked for again, or its sender is told. */
  send(message: ClientMessage | Uint8Array): void {
    this.#socket?.send(message instanceof Uint8Array ? message : JSON.stringify(message));
  }

  /** Stops following. What was sent before still arrives. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#failAll(closed());
    if (!socket) return;
    await new Promise<void>((resolve) => {
      const giveUp = setTimeout(() => socket.terminate(), CLOSE_WITHIN_MS);
      socket.on('close', () => {
        clearTimeout(giveUp);
        resolve();
      });
      socket.close(1000);
    });
  }

  async #follow(wanted: string | RunRequest, feed: RunFeed): Promise<RunHandle> {
    const handle = this.#nextHandle++;
    const run = new StreamRun(handle, wanted, feed, this);
    this.#runs.set(handle, run);
    feed.onOver = () => {
      if (this.#runs.delete(handle)) this.send({ type: 'run.unsubscribe', handle });
    };
    run.ask();
    if (!this.#socket) this.#mendSoon();
    await run.accepted;
    return new RunHandle(feed, run, this.#options.api);
  }

  async #connect(): Promise<void> {
    const address = await this.#options.locator.locate();
    checkProtocol(address);
    try {
      this.#adopt(await handshake(address, this.#closing.signal));
    } catch (error) {
      if (error instanceof CodeRunnerError) this.#options.locator.forget();
      throw error;
    }
  }

  #adopt(socket: WebSocket): void {
    this.#socket = socket;
    const watchdog = setTimeout(() => socket.terminate(), SILENCE_MS).unref();
    socket.on('ping', () => watchdog.refresh());
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      watchdog.refresh();
      try {
        this.#receive(data, isBinary);
      } catch (error) {
        this.#failAll(
          new CodeRunnerError('protocol_error', 'The daemon sent something that makes no sense.', { cause: error }),
        );
        socket.terminate();
      }
    });
    socket.on('close', (code) => {
      clearTimeout(watchdog);
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#broken(code);
    });
    // 'close' follows and says all there is to say.
    socket.on('error', () => {});
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      const frame = decodeFrame(data);
      if (!frame) throw new Error('a binary message that is no frame');
      const channel = frame.channel === CHANNEL.stderr ? 'stderr' : 'stdout';
      this.#runs.get(frame.handle)?.feed.output(channel, frame.seq, frame.data);
      return;
    }
    const message = JSON.parse(data.toString('utf8')) as ServerMessage;
    if (message.handle === undefined) {
      if (message.type === 'error') this.#failAll(CodeRunnerError.from(message.error));
      if (message.type === 'runtimes.changed') this.#options.onRuntimesChanged();
      return;
    }
    const run = this.#runs.get(message.handle);
    if (!run) return; // released while it was on its way
    if (message.type === 'run.exit') this.#runs.delete(message.handle);
    run.receive(message);
  }

  #broken(code: number): void {
    // The daemon may have stopped: whoever connects next looks where one is by then.
    this.#options.locator.forget();
    for (const run of this.#runs.values()) {
      run.interrupted();
      if (code === MESSAGE_TOO_BIG && !run.isTaken) {
        run.abandon(
          new CodeRunnerError('too_large', 'The run is larger than the daemon takes in one message.', {
            hint: 'Shorten its arguments, environment and prepared input.',
          }),
        );
      } else if (performance.now() - (run.silentSince as number) > this.#options.reconnectMs) {
        run.abandon(unreachable('its address', new Error('the connection broke again and again')));
      }
    }
    this.#mendSoon();
  }

  #mendSoon(): void {
    if (this.#runs.size === 0 || this.#mending) return;
    this.#mending = true;
    void this.#mend().finally(() => {
      this.#mending = false;
    });
  }

  /** Connects again, ever more patiently, and resubscribes; gives all runs up when that takes too long or is refused. */
  async #mend(): Promise<void> {
    const { locator, reconnectMs } = this.#options;
    const giveUpAt = performance.now() + reconnectMs;
    for (let delayMs = RETRY_FIRST_MS; this.#runs.size > 0; delayMs = Math.min(delayMs * 2, RETRY_MOST_MS)) {
      try {
        locator.forget();
        await this.open();
        // The connection may break again while this goes on; then there is another round.
        for (const run of this.#runs.values()) run.ask();
        if (this.#socket) return;
      } catch (error) {
        const passing =
          error instanceof WebSocketBlocked ||
          (error instanceof CodeRunnerError && (error.code === 'not_running' || error.code === 'shutting_down'));
        if (!passing || performance.now() + delayMs > giveUpAt) {
          this.#failAll(error instanceof WebSocketBlocked ? unreachable('its address', error) : error);
          return;
        }
      }
      await sleep(delayMs, undefined, { signal: this.#closing.signal }).catch(() => {});
    }
  }

  #failAll(error: unknown): void {
    for (const run of this.#runs.values()) run.abandon(error);
    this.#runs.clear();
  }
}

/** @throws CodeRunnerError not_running, and whatever the daemon refuses with; WebSocketBlocked */
function handshake(address: DaemonAddress, signal: AbortSignal): Promise<WebSocket> {
  const url = new URL('v1/stream', address.url.endsWith('/') ? address.url : `${address.url}/`);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  const socket = new WebSocket(url, SUBPROTOCOL, {
    headers: { authorization: `Bearer ${address.token}` },
    // Compressing costs more time than loopback and office networks need for the bytes.
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_MS,
  });
  return new Promise((resolve, reject) => {
    const stop = () => socket.terminate();
    signal.addEventListener('abort', stop, { once: true });
    socket.once('open', () => {
      signal.removeEventListener('abort', stop);
      socket.removeAllListeners();
      // Adopted before anything else happens on the socket: an answer may be in the same packet.
      resolve(socket);
    });
    socket.once('unexpected-response', (_request, response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        if (text.length < 65_536) text += chunk;
      });
      response.on('close', () => {
        reject(daemonError(text) ?? new WebSocketBlocked(`answered with status ${response.statusCode}`));
        socket.terminate();
      });
    });
    socket.on('error', (error) => {
      if (signal.aborted) reject(closed());
      else if (NOBODY_THERE.has((error as NodeJS.ErrnoException).code ?? '')) reject(unreachable(address.url, error));
      else reject(new WebSocketBlocked(error.message, { cause: error }));
    });
  });
}

function closed(): CodeRunnerError {
  return new CodeRunnerError('not_running', 'The client was closed.', { hint: 'Make a new client.' });
}

/** Asked where no WebSocket came through: perhaps it is the daemon that speaks another protocol. */
export async function checkDaemonProtocol(api: DaemonApi): Promise<void> {
  const { protocol, version } = await api.status();
  if (protocol !== PROTOCOL_VERSION) checkProtocol({ protocol, version });
}
