/** One run on a WebSocket: its handle, its acknowledgements, its input, and what has to be said again on another connection. */
import { STDIN_WINDOW_BYTES } from '../protocol/constants.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { CHANNEL, encodeFrame } from '../protocol/frames.ts';
import type { ClientMessage, ServerMessage } from '../protocol/messages.ts';
import type { RunRequest, TtySize } from '../protocol/resources.ts';
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
  /** Since when it has not been heard of because connections broke, as `performance.now()`. */
  silentSince: number | undefined;
  readonly #connection: Connection;
  readonly #answer = Promise.withResolvers<void>();
  /** The run's id; as long as it has none, the request for it, which has a key. */
  #wanted: string | RunRequest;
  /** How it stands with this connection. */
  #phase: 'new' | 'asked' | 'followed' = 'new';
  #acked: number;
  /** Offset of the next byte of input. */
  #stdinNext = 0;
  /** How far input may go. */
  #stdinMost = STDIN_WINDOW_BYTES;
  /** Input that the program has not taken yet, as it was sent, with the offset after it. */
  #stdinUnread: { end: number; frame: Uint8Array }[] = [];
  #eofSent = false;
  #size: TtySize | undefined;
  #isCancelled = false;
  /** Why no more input is taken. */
  #stdinProblem: unknown;
  /** Wakes input that waits for room, for the connection, or for the end. */
  #wake = Promise.withResolvers<void>();

  /** @param wanted a request with a key, or the id of a run that is there */
  constructor(handle: number, wanted: string | RunRequest, feed: RunFeed, connection: Connection) {
    this.handle = handle;
    this.feed = feed;
    this.#wanted = wanted;
    this.#connection = connection;
    this.#acked = feed.received;
    this.accepted = this.#answer.promise;
    feed.onConsumed = (seq) => this.#consumed(seq);
  }

  receive(message: Extract<ServerMessage, { handle?: number }>): void {
    switch (message.type) {
      case 'run.state':
        this.#wanted = message.run.id;
        this.#stdinNext = Math.max(this.#stdinNext, message.run.inputBytes);
        if (this.#phase === 'asked') this.#answered(message.run.inputBytes);
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
        this.#stdinMost = message.seq + STDIN_WINDOW_BYTES;
        this.#stdinNext = Math.max(this.#stdinNext, message.seq);
        this.#stdinUnread = this.#stdinUnread.filter(({ end }) => end > message.seq);
        this.#stir();
        return;
      case 'error':
        this.#refused(CodeRunnerError.from(message.error));
        return;
    }
  }

  /** Asks the daemon for it, once on each connection, where it goes on as it was. */
  ask(): void {
    if (this.#phase !== 'new' || !this.#connection.connected) return;
    this.#phase = 'asked';
    const { handle } = this;
    const wanted = this.#wanted;
    this.#acked = this.feed.received;
    this.#connection.send(
      typeof wanted === 'string'
        ? { type: 'run.subscribe', handle, id: wanted, from: this.feed.received }
        : { type: 'run.start', handle, request: wanted },
    );
  }

  /** The connection broke. What was under way may have arrived or not; once there is another, it is said again. */
  interrupted(): void {
    this.silentSince ??= performance.now();
    this.#phase = 'new';
    this.#stir();
  }

  /** Whether there is a run, as far as is known here. */
  get isTaken(): boolean {
    return typeof this.#wanted === 'string';
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
      while (!this.#reachable || this.#stdinNext >= this.#stdinMost) await this.#wake.promise;
      const room = Math.min(this.#stdinMost - this.#stdinNext, STDIN_PIECE_BYTES);
      const piece = bytes.subarray(sent, sent + room);
      const frame = encodeFrame({ channel: CHANNEL.stdin, handle: this.handle, seq: this.#stdinNext, data: piece });
      sent += piece.length;
      this.#stdinNext += piece.length;
      this.#stdinUnread.push({ end: this.#stdinNext, frame });
      this.#connection.send(frame);
    }
  }

  async eof(): Promise<void> {
    while (!this.#reachable) await this.#wake.promise;
    this.#eofSent = true;
    this.#sendEof();
  }

  resize(size: TtySize): void {
    this.#size = size;
    if (this.#phase === 'followed') this.#connection.send({ type: 'resize', handle: this.handle, ...size });
  }

  async cancel(): Promise<void> {
    this.#isCancelled = true;
    while (!this.feed.over && this.#phase !== 'followed') await this.#wake.promise;
    this.#sendCancel();
  }

  release(): void {
    this.abandon(new CodeRunnerError('not_running', 'The run is no longer followed.', { hint: 'Follow it again.' }));
  }

  /** @throws why no input is taken any more */
  get #reachable(): boolean {
    if (this.#stdinProblem !== undefined) throw this.#stdinProblem;
    return this.#phase === 'followed';
  }

  /** It is followed on this connection. @param known how much of its input has arrived */
  #answered(known: number): void {
    this.#phase = 'followed';
    this.silentSince = undefined;
    // Of a frame of which the daemon knows the beginning it uses the rest.
    for (const { end, frame } of this.#stdinUnread) if (end > known) this.#connection.send(frame);
    if (this.#eofSent) this.#sendEof();
    if (this.#size) this.resize(this.#size);
    if (this.#isCancelled) this.#sendCancel();
  }

  #sendCancel(): void {
    this.#connection.send({ type: 'run.cancel', handle: this.handle });
  }

  #sendEof(): void {
    this.#connection.send({ type: 'stdin.eof', handle: this.handle, seq: this.#stdinNext });
  }

  #refused(error: CodeRunnerError): void {
    if (this.#phase === 'asked') {
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
