/**
 * `GET /v1/stream`: one WebSocket, any number of runs. JSON for control, binary frames for bytes (`protocol/frames.ts`).
 * A subscriber gets a run's output as long as it acknowledges it; one that does not gets no more, and (if nobody else reads) stops the program.
 * A client that does not read is not listened to either, so that nothing piles up for it.
 */
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { Together } from '../engine/together.ts';
import {
  CHANNEL,
  ClientMessage,
  CodeRunnerError,
  decodeFrame,
  FRAME_HEADER_BYTES,
  type Run,
  type ServerMessage,
  writeFrameHeader,
} from '../protocol/index.ts';
import type { LiveRun } from '../runs/live-run.ts';
import type { Reader } from '../runs/output-log.ts';
import type { Runs } from '../runs/runs.ts';
import { lazyValidator } from './validator.ts';

/** Output is sent at once when nothing was sent for that long, else when that time has passed or that much has come together. */
const QUIET_MS = 8;
const FULL_BYTES = 128 * 1024;
/** More than that of one run is not put into one message. Each costs the same, whatever its size: larger ones make a flood cheaper. */
const MESSAGE_BYTES = 256 * 1024;
/** Messages of at least this size are written into buffers that are used again; that many are kept. */
const LARGE_MESSAGE_BYTES = 8 * 1024;
const MOST_SPARE_BUFFERS = 8;
/** With more than that on its way to a client that does not read, it is sent no more output, and what it says waits. */
const MOST_UNREAD_BYTES = 8 * 2 ** 20;
const HEARTBEAT_MS = 30_000;
const MOST_SUBSCRIPTIONS = 10_000;

/** One validator per message type, so that an error names what is wrong with that message. */
const validators = new Map(ClientMessage.anyOf.map((schema) => [schema.properties.type.const, lazyValidator(schema)]));

/**
 * Serves one connection until it closes.
 * @param connection what the WebSocket writes to
 */
export function serveStream(
  socket: WebSocket,
  connection: Writable,
  owner: string,
  runs: Runs,
  windowBytes: number,
  log: Logger,
): void {
  const subscriptions = new Map<number, Subscription>();
  /** Handles whose run is being admitted; messages for them wait, so that input may follow `run.start` at once. */
  const starting = new Map<number, Promise<void>>();
  const outgoing = new Outgoing(socket, connection);
  const send = (message: ServerMessage) => outgoing.send(JSON.stringify(message));
  const fail = (error: unknown, handle?: number) => {
    const known =
      error instanceof CodeRunnerError ? error : new CodeRunnerError('internal', 'The daemon failed to do that.');
    if (known !== error) log.error({ err: error }, 'a stream message failed');
    send({ type: 'error', ...(handle === undefined ? {} : { handle }), error: known.toJSON() });
  };
  const subscribe = (handle: number, live: LiveRun, from: number) => {
    if (subscriptions.size >= MOST_SUBSCRIPTIONS)
      throw new CodeRunnerError('bad_request', 'Too many subscriptions on one connection.');
    const subscription = new Subscription(outgoing, send, handle, live, from, windowBytes, () =>
      subscriptions.delete(handle),
    );
    subscriptions.set(handle, subscription);
    subscription.begin();
  };
  const take = async (message: ClientMessage) => {
    const { handle } = message;
    if (message.type === 'run.start' || message.type === 'run.subscribe') {
      if (subscriptions.has(handle) || starting.has(handle))
        throw new CodeRunnerError('bad_request', `The handle ${handle} is in use on this connection.`);
      if (message.type === 'run.subscribe') return subscribe(handle, runs.follow(owner, message.id), message.from ?? 0);
      const started = runs.submit(owner, message.request).then((live) => {
        // A follower that is gone already would acknowledge nothing and stop the program.
        if (socket.readyState === socket.OPEN) subscribe(handle, live, 0);
      });
      const admitted = started.finally(() => starting.delete(handle));
      starting.set(
        handle,
        admitted.catch(() => {}), // whoever sent run.start is told; what followed has nothing to go to
      );
      return admitted;
    }
    const subscription = subscriptions.get(handle);
    // What crossed the run's end on its way is nobody's mistake.
    if (!subscription) return;
    switch (message.type) {
      case 'run.unsubscribe':
        return subscription.end();
      case 'run.cancel':
        runs.cancel(owner, subscription.live.id);
        return;
      case 'stdin':
        return subscription.live.stdin(Buffer.from(message.data, message.encoding ?? 'utf8'), false, message.seq);
      case 'stdin.eof':
        return subscription.live.stdin(new Uint8Array(0), true, message.seq);
      case 'signal':
        return subscription.live.signal(signalNumber(message.signal));
      case 'resize':
        return subscription.live.resize({ rows: message.rows, cols: message.cols });
      case 'ack':
        return subscription.acknowledge(message.seq);
    }
  };

  const inTurn = (handle: number, action: () => Promise<void>) => {
    const before = starting.get(handle);
    (before ? before.then(action) : action()).catch((error) => fail(error, handle));
  };

  const hear = (data: Buffer, isBinary: boolean) => {
    let handle: number | undefined;
    try {
      if (isBinary) {
        const frame = decodeFrame(data);
        if (frame?.channel !== CHANNEL.stdin)
          throw new CodeRunnerError('protocol_error', 'That binary message is no stdin frame.');
        handle = frame.handle;
        inTurn(handle, async () => subscriptions.get(frame.handle)?.live.stdin(frame.data, false, frame.seq));
        return;
      }
      const message = parse(data);
      handle = message.handle;
      inTurn(handle, () => take(message));
    } catch (error) {
      fail(error, handle);
    }
  };
  /** Messages that wait until the client reads; the connection is paused, so that only those wait that had arrived. */
  const unheard: [Buffer, boolean][] = [];
  const listen = () => {
    for (let next = unheard[0]; next && outgoing.hasRoom(listen); next = unheard[0]) {
      unheard.shift();
      hear(...next);
    }
    if (unheard.length > 0) socket.pause();
    else if (socket.isPaused) socket.resume();
  };
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    unheard.push([data, isBinary]);
    listen();
  });

  let alive = true;
  socket.on('pong', () => {
    alive = true;
  });
  const heartbeat = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, HEARTBEAT_MS);
  socket.on('close', () => {
    clearInterval(heartbeat);
    for (const subscription of subscriptions.values()) subscription.end();
  });
  socket.on('error', (error) => log.debug({ err: error }, 'a stream broke'));
}

function parse(data: Buffer): ClientMessage {
  let value: unknown;
  try {
    value = JSON.parse(data.toString('utf8'));
  } catch {
    throw new CodeRunnerError('protocol_error', 'That message is not JSON.');
  }
  const type = (value as { type?: unknown } | null)?.type;
  const validator = typeof type === 'string' ? validators.get(type as ClientMessage['type'])?.() : undefined;
  if (!validator) {
    const shown = typeof type === 'string' ? JSON.stringify(type.slice(0, 50)) : typeof type;
    throw new CodeRunnerError('protocol_error', `There is no message of type ${shown}.`);
  }
  if (validator.Check(value)) return value as ClientMessage;
  const [first] = validator.Errors(value);
  throw new CodeRunnerError(
    'bad_request',
    `${type}${first?.instancePath ?? ''} ${first?.message ?? 'has the wrong form'}.`,
  );
}

/** @throws CodeRunnerError bad_request */
export function signalNumber(name: string): number {
  const number = (constants.signals as Record<string, number>)[name];
  if (number === undefined)
    throw new CodeRunnerError('bad_request', `There is no signal "${name}".`, {
      hint: 'Use a name such as SIGINT or SIGTERM.',
    });
  return number;
}

/** Buffers of large messages that were sent, to be filled again: a new one for each would keep the garbage collector busy. */
const spareBuffers: Buffer[] = [];

function takeBuffer(bytes: number): Buffer {
  if (bytes < LARGE_MESSAGE_BYTES) return Buffer.allocUnsafe(bytes);
  return spareBuffers.pop() ?? Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + MESSAGE_BYTES);
}

function giveBack(buffer: Buffer): void {
  if (buffer.length === FRAME_HEADER_BYTES + MESSAGE_BYTES && spareBuffers.length < MOST_SPARE_BUFFERS)
    spareBuffers.push(buffer);
}

/** What is on its way to one client. */
class Outgoing {
  readonly #socket: WebSocket;
  readonly #together: Together;
  readonly #waiting = new Set<() => void>();

  constructor(socket: WebSocket, connection: Writable) {
    this.#socket = socket;
    this.#together = new Together(connection);
  }

  /** @param sent is called when the message has left this process, or never will */
  send(message: string | Buffer, sent?: () => void): void {
    this.#together.begin();
    this.#socket.send(message, () => {
      sent?.();
      if (this.#isFull) return;
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const again of waiting) again();
    });
  }

  /** Whether more may be sent; if not, `again` is called, once, when it may. */
  hasRoom(again: () => void): boolean {
    if (this.#isFull) this.#waiting.add(again);
    return !this.#isFull;
  }

  forget(again: () => void): void {
    this.#waiting.delete(again);
  }

  get #isFull(): boolean {
    return this.#socket.bufferedAmount > MOST_UNREAD_BYTES;
  }
}

/** One run as one connection follows it. */
class Subscription implements Reader {
  readonly live: LiveRun;
  acknowledged: number;
  readonly #outgoing: Outgoing;
  readonly #sendMessage: (message: ServerMessage) => void;
  readonly #handle: number;
  readonly #windowBytes: number;
  readonly #messageBytes: number;
  readonly #fullBytes: number;
  readonly #onEnd: () => void;
  #sent: number;
  #lastSentAt = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    outgoing: Outgoing,
    send: (message: ServerMessage) => void,
    handle: number,
    live: LiveRun,
    from: number,
    windowBytes: number,
    onEnd: () => void,
  ) {
    this.live = live;
    this.#outgoing = outgoing;
    this.#sendMessage = send;
    this.#handle = handle;
    this.#windowBytes = windowBytes;
    // In a small window output must not wait for more until it is gone from it.
    this.#messageBytes = Math.min(MESSAGE_BYTES, windowBytes >> 1);
    this.#fullBytes = Math.min(FULL_BYTES, windowBytes >> 2);
    this.#onEnd = onEnd;
    this.#sent = this.acknowledged = Math.min(from, live.output.end);
  }

  begin(): void {
    this.#sendMessage({ type: 'run.state', handle: this.#handle, run: this.live.run });
    if (this.live.stdinTaken > 0) this.#onStdinTaken(this.live.stdinTaken);
    this.live.on('state', this.#onState);
    this.live.on('stdinTaken', this.#onStdinTaken);
    this.live.output.addReader(this);
    this.#send();
  }

  end(): void {
    clearTimeout(this.#timer);
    this.live.off('state', this.#onState);
    this.live.off('stdinTaken', this.#onStdinTaken);
    this.live.output.removeReader(this);
    this.#outgoing.forget(this.#goOn);
    this.#onEnd();
  }

  acknowledge(seq: number): void {
    this.live.output.acknowledge(this, seq);
    this.#send();
  }

  wake(): void {
    if (this.#timer) {
      if (this.live.output.end - this.#sent > this.#fullBytes) this.#send();
      return;
    }
    const quietFor = performance.now() - this.#lastSentAt;
    if (quietFor >= QUIET_MS || this.live.output.end - this.#sent > this.#fullBytes) this.#send();
    else this.#timer = setTimeout(() => this.#send(), QUIET_MS - quietFor);
  }

  /** Sends what there is, as far as the client's window goes; the run's end when everything was sent. */
  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { output } = this.live;
    while (this.#sent - this.acknowledged < this.#windowBytes) {
      if (!this.#outgoing.hasRoom(this.#goOn)) return;
      const first = output.read(this.#sent, this.#messageBytes);
      if (!first) break;
      if (first.seq > this.#sent) {
        this.#sendMessage({ type: 'gap', handle: this.#handle, from: this.#sent, to: first.seq });
        this.acknowledged = Math.max(this.acknowledged, first.seq);
      }
      const most = FRAME_HEADER_BYTES + Math.min(output.end - first.seq, this.#messageBytes);
      const buffer = takeBuffer(most);
      let length = FRAME_HEADER_BYTES;
      for (let piece: typeof first | undefined = first; piece?.channel === first.channel && length < most; ) {
        buffer.set(piece.data, length);
        length += piece.data.length;
        piece = output.read(first.seq + length - FRAME_HEADER_BYTES, most - length);
      }
      writeFrameHeader(buffer, first.channel, this.#handle, first.seq);
      this.#outgoing.send(buffer.subarray(0, length), () => giveBack(buffer));
      this.#sent = first.seq + length - FRAME_HEADER_BYTES;
      this.#lastSentAt = performance.now();
    }
    if (this.live.ended && this.#sent >= output.end) {
      this.#sendMessage({ type: 'run.exit', handle: this.#handle, run: this.live.run });
      this.end();
    }
  }

  readonly #goOn = () => this.#send();

  readonly #onState = (run: Run) => {
    if (this.live.ended) this.#send();
    else this.#sendMessage({ type: 'run.state', handle: this.#handle, run });
  };

  readonly #onStdinTaken = (seq: number) => {
    // The program has taken input: what it prints next is an answer, and is not held back.
    this.#lastSentAt = Number.NEGATIVE_INFINITY;
    this.#sendMessage({ type: 'stdin.credit', handle: this.#handle, seq });
  };
}
