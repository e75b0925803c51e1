/** The WebSocket as a client sees it: everything received, in order, and a way to wait for something. */
import { once } from 'node:events';
import WebSocket from 'ws';
import {
  CHANNEL,
  decodeFrame,
  type ErrorBody,
  encodeFrame,
  type Frame,
  type Run,
  type ServerMessage,
  SUBPROTOCOL,
} from '../../src/protocol/index.ts';

export type Output = { type: 'output' } & Frame;
type Exit = Extract<ServerMessage, { type: 'run.exit' }>;
export type StreamEvent = ServerMessage | Output;

export class TestStream implements AsyncDisposable {
  readonly events: StreamEvent[] = [];
  readonly socket: WebSocket;
  readonly #ack: boolean;
  /** Offset of the next byte of each handle's input. */
  readonly #typed = new Map<number, number>();
  #waiting: (() => void)[] = [];
  #closed = false;

  private constructor(socket: WebSocket, ack: boolean) {
    this.socket = socket;
    this.#ack = ack;
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#take(data, isBinary));
    socket.on('close', () => {
      this.#closed = true;
      this.#wake();
    });
  }

  /** @param options.ack acknowledges output as it comes, which is the default. Rejects where the daemon refuses. */
  static async open(url: string, headers: Record<string, string>, { ack = true } = {}): Promise<TestStream> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, SUBPROTOCOL, { headers });
    const stream = new TestStream(socket, ack);
    await once(socket, 'open');
    return stream;
  }

  send(message: object | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  /** @param seq offset of its first byte; what follows on what this stream sent before, where it is left out */
  stdin(handle: number, data: string | Uint8Array, seq = this.#typed.get(handle) ?? 0): void {
    const bytes = Buffer.from(data);
    this.socket.send(encodeFrame({ channel: CHANNEL.stdin, handle, seq, data: bytes }));
    this.#typed.set(handle, seq + bytes.length);
  }

  /** The first event for which the test holds, received already or yet to come. */
  async until<T extends StreamEvent>(test: (event: StreamEvent) => event is T): Promise<T> {
    for (let at = 0; ; ) {
      for (; at < this.events.length; at++) {
        const event = this.events[at] as StreamEvent;
        if (test(event)) return event;
      }
      if (this.#closed) throw new Error('The stream closed before what the test waits for.');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Waits until that many bytes of a handle's output have come, or until they hold a text. Throws where the run ends before. */
  async printed(handle: number, what: number | string): Promise<void> {
    const reached = await this.until((event): event is Output | Exit => {
      if (event.type === 'run.exit') return event.handle === handle;
      if (event.type !== 'output' || event.handle !== handle) return false;
      return typeof what === 'number' ? event.seq + event.data.length >= what : this.text(handle).includes(what);
    });
    if (reached.type === 'run.exit') throw new Error(`The run ended before: ${JSON.stringify(reached.run)}`);
  }

  async state(handle: number, state: Run['state']): Promise<Run> {
    type State = Extract<ServerMessage, { type: 'run.state' }>;
    const found = await this.until(
      (event): event is State => event.type === 'run.state' && event.handle === handle && event.run.state === state,
    );
    return found.run;
  }

  async exit(handle: number): Promise<Run> {
    return (await this.until((event): event is Exit => event.type === 'run.exit' && event.handle === handle)).run;
  }

  /** The first error, of a handle if one is given. */
  async error(handle?: number): Promise<ErrorBody> {
    type Failure = Extract<ServerMessage, { type: 'error' }>;
    return (await this.until((event): event is Failure => event.type === 'error' && event.handle === handle)).error;
  }

  /** What has come of a handle's output, of one channel or of both. */
  bytes(handle: number, channel?: number): Buffer {
    return Buffer.concat(
      this.events.flatMap((event) =>
        event.type === 'output' && event.handle === handle && (channel === undefined || event.channel === channel)
          ? [event.data]
          : [],
      ),
    );
  }

  text(handle: number, channel?: number): string {
    return this.bytes(handle, channel).toString('utf8');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closed) return;
    const closed = once(this.socket, 'close');
    this.socket.terminate();
    await closed;
  }

  #take(data: Buffer, isBinary: boolean): void {
    if (isBinary) {
      const frame = decodeFrame(data);
      if (!frame) throw new Error('The daemon sent a binary message that is no frame.');
      this.events.push({ type: 'output', ...frame });
      if (this.#ack) this.send({ type: 'ack', handle: frame.handle, seq: frame.seq + frame.data.length });
    } else {
      this.events.push(JSON.parse(data.toString('utf8')) as ServerMessage);
    }
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
