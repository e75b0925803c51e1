/** One connection to the engine, which carries a request at a time. HTTP/1.1, as far as engines speak it. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What the engine answered, all of it. */
export interface Answer {
  status: number;
  body: string;
}

interface Awaited {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const HEAD_END = '\r\n\r\n';
const NOTHING = Buffer.alloc(0);
const SWITCHING = 101;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

export class Connection {
  /** Nothing can be asked on it any more. Called once. */
  onClose: () => void = () => {};
  readonly #stream: Duplex;
  #received: Buffer = NOTHING;
  #awaited: Awaited | undefined;
  #isOver = false;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('data', this.#onData);
    stream.on('end', this.#onEnd);
    stream.on('error', this.#onError);
    stream.on('close', this.#onClose);
  }

  /** Whether it can be asked something, after the last answer has come. */
  get isFree(): boolean {
    return !this.#isOver && this.#awaited === undefined;
  }

  /**
   * @param request head and body, as they go over the wire
   * @returns also what says no; rejects with what the connection says where it ends before the answer does
   */
  ask(request: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#awaited = { resolve, reject };
      this.#stream.write(request);
    });
  }

  /** The stream itself, once the engine has answered that it goes on as something else. What it says there waits. */
  release(): Duplex {
    const stream = this.#stream;
    this.#isOver = true;
    // It stays listened to for errors: one may come before whoever takes the stream does so.
    stream.off('data', this.#onData).off('end', this.#onEnd).off('close', this.#onClose);
    stream.pause();
    if (this.#received.length > 0) stream.unshift(this.#received);
    return stream;
  }

  /** A connection that is not in use does not keep the process from ending. */
  hold(inUse: boolean): void {
    const socket = this.#stream as Partial<Socket>;
    if (inUse) socket.ref?.();
    else socket.unref?.();
  }

  /** @param reason what whoever waits for an answer is told */
  destroy(reason: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.destroy();
    const awaited = this.#awaited;
    this.#awaited = undefined;
    awaited?.reject(reason);
    this.onClose();
  }

  readonly #onData = (bytes: Buffer): void => {
    this.#received = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    this.#read(false);
  };

  readonly #onEnd = (): void => {
    this.#read(true);
    this.destroy(cutOff());
  };

  readonly #onError = (error: Error): void => this.destroy(error);

  readonly #onClose = (): void => this.destroy(cutOff());

  #read(ended: boolean): void {
    const awaited = this.#awaited;
    if (!awaited) {
      // The engine speaks without having been asked: what comes next could be taken for an answer.
      if (this.#received.length > 0) this.destroy(new Error('The container engine answered what it was not asked.'));
      return;
    }
    let read: ReturnType<typeof parse>;
    try {
      read = parse(this.#received, ended);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    if (!read) return;
    this.#received = this.#received.subarray(read.end);
    this.#awaited = undefined;
    const saysTooMuch = this.#received.length > 0 && read.status !== SWITCHING;
    if (!read.staysOpen || saysTooMuch) this.destroy(cutOff());
    awaited.resolve(read);
  }
}

function cutOff(): Error {
  return Object.assign(new Error('The container engine ended the connection.'), { code: 'ECONNRESET' });
}

/**
 * The answer that bytes begin with; undefined while some of it is missing.
 * @param ended no more will come
 * @throws Error where that is no HTTP
 */
function parse(bytes: Buffer, ended: boolean): (Answer & { end: number; staysOpen: boolean }) | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd === -1) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const [, version, digits] = /^HTTP\/1\.([01]) (\d{3})/.exec(head) ?? [];
  if (digits === undefined) throw new Error('The container engine does not speak HTTP.');
  const status = Number(digits);
  const from = headEnd + HEAD_END.length;
  const staysOpen = version === '1' && !/\r\nconnection: *close/i.test(head);
  if (status === SWITCHING || status === NO_CONTENT || status === NOT_MODIFIED)
    return { status, body: '', end: from, staysOpen };
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) {
    const chunks = joined(bytes, from);
    return chunks && { status, ...chunks, staysOpen };
  }
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  // Without either, the end of the connection is that of the answer.
  if (length === undefined && !ended) return undefined;
  const end = length === undefined ? bytes.length : from + Number(length);
  if (bytes.length < end) return undefined;
  return { status, body: bytes.toString('utf8', from, end), end, staysOpen: staysOpen && length !== undefined };
}

/** A body that came in chunks; undefined while some are missing. */
function joined(bytes: Buffer, from: number): { body: string; end: number } | undefined {
  const chunks: Buffer[] = [];
  for (let at = from; ; ) {
    const sizeEnd = bytes.indexOf('\r\n', at);
    if (sizeEnd === -1) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, sizeEnd), 16);
    if (Number.isNaN(size)) throw new Error('The container engine does not speak HTTP.');
    if (size === 0) {
      const end = bytes.indexOf(HEAD_END, sizeEnd);
      return end === -1 ? undefined : { body: Buffer.concat(chunks).toString(), end: end + HEAD_END.length };
    }
    const chunk = sizeEnd + 2;
    at = chunk + size + 2;
    if (bytes.length < at) return undefined;
    chunks.push(bytes.subarray(chunk, chunk + size));
  }
}
