/**
 * The stream to a container's stdin, stdout and stderr. The engine sends output in frames of its own (`u8 stream · 3 × 0 ·
 * u32 length · bytes`); they are taken apart here, without copying, since every byte a program prints goes through.
 */
import type { Duplex } from 'node:stream';
import { Together } from './together.ts';

const HEADER_BYTES = 8;
const STDERR = 2;

/** Splits the engine's frames. Payloads are handed on piece by piece as views into what was pushed. */
export class Demultiplexer {
  readonly #onPayload: (isStderr: boolean, bytes: Buffer) => void;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #missing = 0;

  constructor(onPayload: (isStderr: boolean, bytes: Buffer) => void) {
    this.#onPayload = onPayload;
  }

  push(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#headerFilled < HEADER_BYTES) {
        const taken = chunk.copy(this.#header, this.#headerFilled, at);
        this.#headerFilled += taken;
        at += taken;
        if (this.#headerFilled === HEADER_BYTES) this.#missing = this.#header.readUInt32BE(4);
      } else {
        const payload = chunk.subarray(at, at + this.#missing);
        at += payload.length;
        this.#missing -= payload.length;
        this.#onPayload(this.#header[0] === STDERR, payload);
      }
      if (this.#headerFilled === HEADER_BYTES && this.#missing === 0) this.#headerFilled = 0;
    }
  }
}

export class Attachment {
  /** Bytes of the container's stdout, in order. They may be kept. */
  onStdout: (bytes: Buffer) => void = () => {};
  onStderr: (bytes: Buffer) => void = () => {};
  /** The stream is over; called once. */
  onClose: (error?: Error) => void = () => {};
  /** More can be written after `write` returned false. */
  onDrain: () => void = () => {};
  readonly #socket: Duplex;
  readonly #together: Together;
  #failure: Error | undefined;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#together = new Together(socket);
    socket.on('error', (error) => {
      this.#failure = error;
    });
    socket.on('drain', () => this.onDrain());
    // The engine ends its side when the container has ended; nothing can be said to it any more.
    socket.on('end', () => socket.destroy());
  }

  /**
   * Begins to hand on what comes, once the callbacks are set. Until then it waits in the connection: a container may speak,
   * or end, before the engine has answered that it was started.
   */
  listen(): void {
    const socket = this.#socket;
    const demultiplexer = new Demultiplexer((isStderr, bytes) =>
      isStderr ? this.onStderr(bytes) : this.onStdout(bytes),
    );
    socket.on('close', () => this.onClose(this.#failure));
    if (socket.closed) process.nextTick(() => this.onClose(this.#failure));
    else socket.on('data', (chunk: Buffer) => demultiplexer.push(chunk)).resume();
  }

  /**
   * Writes to the container's stdin; what is written in one turn of the event loop goes out together.
   * @returns false: wait for `onDrain`
   */
  write(bytes: Uint8Array): boolean {
    if (this.#socket.destroyed) return true;
    this.#together.begin();
    return this.#socket.write(bytes);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
