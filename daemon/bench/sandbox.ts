/** Runs by way of the stream protocol, as any client makes them, on one connection. */
import { once } from 'node:events';
import WebSocket from 'ws';
import {
  CHANNEL,
  type ClientMessage,
  decodeFrame,
  encodeFrame,
  type Run,
  type RunRequest,
  type ServerMessage,
  SUBPROTOCOL,
} from '../src/protocol/index.ts';

/** Acknowledged when that much has come: often enough never to stop the program. */
const ACK_BYTES = 128 * 1024;

type OnOutput = (bytes: Uint8Array) => void;

interface Following {
  onOutput: OnOutput;
  acknowledged: number;
  resolve(run: Run): void;
  reject(error: Error): void;
}

export class Sandbox implements AsyncDisposable {
  readonly #socket: WebSocket;
  readonly #following = new Map<number, Following>();
  #handles = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on('message', (data: Buffer, binary: boolean) => (binary ? this.#output(data) : this.#message(data)));
    socket.on('close', () => {
      for (const { reject } of this.#following.values()) reject(new Error('The daemon closed the connection.'));
    });
  }

  static async connect({ url, token }: { url: string; token: string }): Promise<Sandbox> {
    const socket = new WebSocket(`${url.replace('http', 'ws')}/v1/stream`, SUBPROTOCOL, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    await once(socket, 'open');
    return new Sandbox(socket);
  }

  /** Starts a run. `done` resolves with the ended run, after its last output. */
  start(request: RunRequest, onOutput: OnOutput): { type(text: string): void; cancel(): void; done: Promise<Run> } {
    const handle = this.#handles++;
    const done = new Promise<Run>((resolve, reject) => {
      this.#following.set(handle, { onOutput, acknowledged: 0, resolve, reject });
    });
    this.#send({ type: 'run.start', handle, request });
    let seq = 0;
    const type = (text: string) => {
      const data = Buffer.from(text);
      this.#socket.send(encodeFrame({ channel: CHANNEL.stdin, handle, seq, data }));
      seq += data.length;
    };
    return { type, cancel: () => this.#send({ type: 'run.cancel', handle }), done };
  }

  /**
   * Starts a run and resolves with it and all that it printed when it has ended.
   * @param signal cancels it
   */
  async run(
    request: RunRequest,
    { onOutput, signal }: { onOutput?: OnOutput; signal?: AbortSignal } = {},
  ): Promise<{ run: Run; output: string }> {
    const chunks: Uint8Array[] = [];
    const { done, cancel } = this.start(request, (bytes) => {
      onOutput?.(bytes);
      chunks.push(bytes);
    });
    signal?.addEventListener('abort', cancel, { once: true });
    const run = await done.finally(() => signal?.removeEventListener('abort', cancel));
    return { run, output: Buffer.concat(chunks).toString() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.terminate();
  }

  #output(message: Buffer): void {
    const frame = decodeFrame(message);
    const following = frame && this.#following.get(frame.handle);
    if (!following) return;
    following.onOutput(frame.data);
    const seen = frame.seq + frame.data.length;
    if (seen - following.acknowledged < ACK_BYTES) return;
    following.acknowledged = seen;
    this.#send({ type: 'ack', handle: frame.handle, seq: seen });
  }

  #message(data: Buffer): void {
    const message = JSON.parse(data.toString()) as ServerMessage;
    const following = message.handle === undefined ? undefined : this.#following.get(message.handle);
    if (!following || message.handle === undefined) return;
    if (message.type === 'run.exit') following.resolve(message.run);
    else if (message.type === 'gap')
      following.reject(new Error(`Output from ${message.from} to ${message.to} did not come.`));
    else if (message.type === 'error') following.reject(new Error(`${message.error.code}: ${message.error.message}`));
    else return;
    this.#following.delete(message.handle);
  }

  #send(message: ClientMessage): void {
    this.#socket.send(JSON.stringify(message));
  }
}
