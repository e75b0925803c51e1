/** One WebSocket of one owner under load: any number of runs, of which nothing is kept once they have ended. */
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import WebSocket from 'ws';
import {
  decodeFrame,
  type ErrorBody,
  type Run,
  type RunRequest,
  type ServerMessage,
  SUBPROTOCOL,
} from '../../src/protocol/index.ts';
import type { DaemonClient } from '../support/live-daemon.ts';

/** A run as its owner saw it. */
export interface Seen {
  run: Run;
  output: string;
  /** From asking for it until its program ran; undefined where it never did. */
  waitMs: number | undefined;
  /** From asking for it until its end was known. */
  tookMs: number;
}

/** How the daemon refused a run. */
export class Refused extends Error {
  readonly body: ErrorBody;

  constructor(body: ErrorBody) {
    super(`${body.code}: ${body.message}`);
    this.body = body;
  }
}

class Following {
  readonly askedAt = performance.now();
  readonly taken = Promise.withResolvers<Run>();
  readonly exit = Promise.withResolvers<Seen>();
  readonly chunks: Buffer[] = [];
  /** The byte that comes next. */
  at: number;
  #runningAt: number | undefined;

  constructor(from: number) {
    this.at = from;
    // Whoever wants one of them awaits it.
    this.taken.promise.catch(() => {});
    this.exit.promise.catch(() => {});
  }

  state(run: Run): void {
    if (run.state === 'running') this.#runningAt = performance.now();
    this.taken.resolve(run);
  }

  ended(run: Run): void {
    this.taken.resolve(run);
    this.exit.resolve({
      run,
      output: Buffer.concat(this.chunks).toString(),
      waitMs: this.#runningAt === undefined ? undefined : this.#runningAt - this.askedAt,
      tookMs: performance.now() - this.askedAt,
    });
  }

  failed(error: Error): void {
    this.taken.reject(error);
    this.exit.reject(error);
  }
}

/** A run that is followed. */
export interface Followed {
  /** Resolves when it was taken; rejects with {@link Refused}, or when the connection broke. */
  readonly taken: Promise<Run>;
  /** Resolves when it has ended and all its output has come. */
  readonly exit: Promise<Seen>;
  cancel(): void;
}

export class Connection {
  readonly #socket: WebSocket;
  readonly #following = new Map<number, Following>();
  /** Called before each acknowledgement; a slow reader takes its time. */
  readonly #reads: () => Promise<unknown>;
  #handle = 0;

  private constructor(socket: WebSocket, reads: () => Promise<unknown>) {
    this.#socket = socket;
    this.#reads = reads;
    socket.on('message', (data: Buffer, isBinary: boolean) => (isBinary ? this.#bytes(data) : this.#message(data)));
    socket.on('close', () => {
      for (const one of this.#following.values()) one.failed(new Error('The connection broke.'));
      this.#following.clear();
    });
  }

  static async open({ url, token }: DaemonClient, reads: () => Promise<unknown> = async () => {}): Promise<Connection> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
    });
    const connection = new Connection(socket, reads);
    await once(socket, 'open');
    return connection;
  }

  start(request: RunRequest): Followed {
    return this.#follow({ type: 'run.start', request }, 0);
  }

  /** Goes on with a run that was started elsewhere. */
  subscribe(id: string, from: number): Followed {
    return this.#follow({ type: 'run.subscribe', id, from }, from);
  }

  /** Cuts the connection off, without a word. */
  async cut(): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    const closed = once(this.#socket, 'close');
    this.#socket.terminate();
    await closed;
  }

  #follow(message: object, from: number): Followed {
    const handle = ++this.#handle;
    const following = new Following(from);
    this.#following.set(handle, following);
    this.#send({ ...message, handle });
    return {
      taken: following.taken.promise,
      exit: following.exit.promise,
      cancel: () => this.#send({ type: 'run.cancel', handle }),
    };
  }

  #send(message: object): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #bytes(data: Buffer): void {
    const frame = decodeFrame(data);
    const following = frame && this.#following.get(frame.handle);
    if (!frame || !following) return;
    if (frame.seq !== following.at)
      following.failed(new Error(`Byte ${frame.seq} came where ${following.at} was next.`));
    following.at += frame.data.length;
    following.chunks.push(Buffer.from(frame.data));
    const ack = { type: 'ack', handle: frame.handle, seq: following.at };
    this.#reads().then(
      () => this.#send(ack),
      (error) => following.failed(error),
    );
  }

  #message(data: Buffer): void {
    const message = JSON.parse(data.toString()) as ServerMessage;
    const following = 'handle' in message && message.handle !== undefined && this.#following.get(message.handle);
    if (!following) return;
    if (message.type === 'run.state') following.state(message.run);
    else if (message.type === 'error') {
      following.failed(new Refused(message.error));
      this.#following.delete(message.handle as number);
    } else if (message.type === 'run.exit') {
      following.ended(message.run);
      this.#following.delete(message.handle);
    }
  }
}
