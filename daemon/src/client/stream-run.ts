/** One run on a WebSocket: its handle, its acknowledgements, and the window of its input. */
import { STDIN_WINDOW_BYTES } from '../protocol/constants.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { CHANNEL, encodeFrame } from '../protocol/frames.ts';
import type { ClientMessage, ServerMessage } from '../protocol/messages.ts';
import type { TtySize } from '../protocol/resources.ts';
import type { RunFeed } from './run-feed.ts';
import type { Wire } from './run-handle.ts';

/**
 * Acknowledged when that much was taken since the last time. A quarter of the daemon's smallest window: even there the
 * program never has to wait for an acknowledgement that is not sent.
 */
const ACK_EVERY_BYTES = 16 * 1024;
/** Small pieces keep control messages from waiting behind a paste. */
const STDIN_PIECE_BYTES = 64 * 1024;

/** What it needs of its connection. */
interface Connection {
  readonly connected: boolean;
  send(message: ClientMessage | Uint8Array): void;
}

export class StreamRun implements Wire {
  readonly handle: number;
  readonly feed: RunFeed;
  /** Resolves when the daemon has taken the run, or the subscription. */
  readonly accepted: Promise<void>;
  readonly #connection: Connection;
  readonly #answer = Promise.withResolvers<void>();
  #id: string | undefined;
  /** Asked, and not answered on this connection yet. */
  #asking = true;
  #acked: number;
  #stdinSent = 0;
  #stdinRoom = STDIN_WINDOW_BYTES;
  #eofSent = false;
  /** Why no more input is taken. */
  #stdinProblem: unknown;
  /** Wakes input that waits for room, for the connection, or for the end. */
  #wake = Promise.withResolvers<void>();

  constructor(handle: number, id: string | undefined, feed: RunFeed, connection: Connection) {
    this.handle = handle;
    this.feed = feed;
    this.#id = id;
    this.#connection = connection;
    this.#acked = feed.received;
    this.accepted = this.#answer.promise;
    feed.onConsumed = (seq) => this.#consumed(seq);
  }

  receive(message: Extract<ServerMessage, { handle?: number }>): void {
    switch (message.type) {
      case 'run.state':
        this.#id = message.run.id;
        this.#asking = false;
        this.feed.state(message.run);
        this.#answer.resolve();
        this.#stir();
        return;
      case 'run.exit':
        this.#stdinProblem ??= new CodeRunnerError('run_ended', 'The run has ended.');
        this.feed.end(message.run);
        this.#stir();
        return;
      case 'gap':
        this.feed.gap(message.from, message.to);
        return;
      case 'stdin.credit':
        this.#stdinRoom += message.bytes;
        this.#stir();
        return;
      case 'error':
        this.#refused(CodeRunnerError.from(message.error));
        return;
    }
  }

  /** The connection broke. What was under way is lost, and it cannot be told whether it arrived. */
  interrupted(error: unknown): void {
    if (this.#id === undefined) {
      this.#answer.reject(error);
      this.feed.fail(error);
    } else if (this.#stdinRoom < STDIN_WINDOW_BYTES) {
      this.#stdinProblem ??= new CodeRunnerError(
        'not_running',
        'The connection to the daemon broke while input was under way; it is unknown how much of it arrived.',
        { hint: 'Run it again.', cause: error },
      );
    }
    this.#asking = true;
    this.#stir();
  }

  /** On a new connection: goes on where it was. */
  resume(): void {
    if (this.#id === undefined) return;
    this.#acked = this.feed.received;
    this.#connection.send({ type: 'run.subscribe', handle: this.handle, id: this.#id, from: this.feed.received });
    // It may have been lost with the old connection; saying it twice does no harm.
    if (this.#eofSent) this.#connection.send({ type: 'stdin.eof', handle: this.handle });
  }

  /** It cannot be followed any more. */
  abandon(error: unknown): void {
    this.#stdinProblem ??= error;
    this.#answer.reject(error);
    this.feed.fail(error);
    this.#stir();
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let sent = 0; sent < bytes.length; ) {
      while (!this.#reachable || this.#stdinRoom === 0) await this.#wake.promise;
      const piece = bytes.subarray(sent, sent + Math.min(this.#stdinRoom, STDIN_PIECE_BYTES));
      this.#connection.send(
        encodeFrame({ channel: CHANNEL.stdin, handle: this.handle, seq: this.#stdinSent, data: piece }),
      );
      sent += piece.length;
      this.#stdinSent += piece.length;
      this.#stdinRoom -= piece.length;
    }
  }

  async eof(): Promise<void> {
    while (!this.#reachable) await this.#wake.promise;
    this.#eofSent = true;
    this.#connection.send({ type: 'stdin.eof', handle: this.handle });
  }

  resize(size: TtySize): void {
    this.#connection.send({ type: 'resize', handle: this.handle, ...size });
  }

  async cancel(): Promise<void> {
    while (!this.feed.over && (this.#asking || !this.#connection.connected)) await this.#wake.promise;
    this.#connection.send({ type: 'run.cancel', handle: this.handle });
  }

  release(): void {
    this.abandon(new CodeRunnerError('not_running', 'The run is no longer followed.', { hint: 'Follow it again.' }));
  }

  /** @throws why no input is taken any more */
  get #reachable(): boolean {
    if (this.#stdinProblem !== undefined) throw this.#stdinProblem;
    return !this.#asking && this.#connection.connected;
  }

  #refused(error: CodeRunnerError): void {
    if (this.#asking) {
      this.abandon(error);
      return;
    }
    // Only input can still be refused once the run is followed.
    this.#stdinProblem ??= error;
    this.#stir();
  }

  #consumed(seq: number): void {
    if (seq - this.#acked < ACK_EVERY_BYTES) return;
    this.#acked = seq;
    this.#connection.send({ type: 'ack', handle: this.handle, seq });
  }

  #stir(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }
}
