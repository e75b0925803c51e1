/** One connection to the engine, which carries a request at a time. HTTP/1.1, as far as engines speak it. */
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What the engine answered, all of it. */
export interface Answer {
  status: number;
  body: string;
}

/** An answer as it was read, and whether another one can follow it. */
interface Read extends Answer {
  staysOpen: boolean;
}

/** What of an answer is read next: so many bytes, all up to the end of the connection, or what is before these characters. */
type Part = number | string;

interface Awaited {
  readonly reading: Generator<Part, Read, Buffer>;
  next: Part;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const LINE_END = '\r\n';
const HEAD_END = '\r\n\r\n';
const NOTHING = Buffer.alloc(0);
/** Heads are some hundred bytes long, lines before chunks a few. */
const MOST_HEAD_BYTES = 64 * 1024;
/** What is asked for has a megabyte where there is very much of it; whoever goes on and on shall not fill the memory. */
const MOST_MIB = 64;
const MOST_BYTES = MOST_MIB * 2 ** 20;
const SWITCHING = 101;
const NO_CONTENT = 204;
const NOT_MODIFIED = 304;

export class Connection {
  /** Nothing can be asked on it any more. Called once. */
  onClose: () => void = () => {};
  readonly #stream: Duplex;
  /** What came and was not read yet, in the pieces that it came in: put together only where a part of an answer is whole. */
  #pieces: Buffer[] = [];
  #unreadBytes = 0;
  /** What came of the present answer. */
  #answerBytes = 0;
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
      const reading = answer();
      this.#awaited = { reading, next: reading.next().value as Part, resolve, reject };
      this.#answerBytes = 0;
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
    if (this.#unreadBytes > 0) stream.unshift(this.#unread());
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
    this.#pieces.push(bytes);
    this.#unreadBytes += bytes.length;
    this.#answerBytes += bytes.length;
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
      if (this.#unreadBytes > 0) this.destroy(new Error('The container engine answered what it was not asked.'));
      return;
    }
    let read: Read | undefined;
    try {
      read = this.#goOn(awaited, ended);
    } catch (error) {
      this.destroy(error as Error);
      return;
    }
    if (!read) return;
    this.#awaited = undefined;
    const saysTooMuch = this.#unreadBytes > 0 && read.status !== SWITCHING;
    if (!read.staysOpen || saysTooMuch) this.destroy(cutOff());
    awaited.resolve(read);
  }

  /**
   * Reads what there is of an answer.
   * @returns undefined while some of it is missing
   * @throws Error where that is no HTTP, or too much
   */
  #goOn(awaited: Awaited, ended: boolean): Read | undefined {
    if (this.#answerBytes > MOST_BYTES) throw tooMuch();
    for (;;) {
      const part = this.#take(awaited.next, ended);
      if (!part) return undefined;
      const { done, value } = awaited.reading.next(part);
      if (done) return value;
      awaited.next = value;
    }
  }

  /** undefined while it is not all there. */
  #take(part: Part, ended: boolean): Buffer | undefined {
    if (typeof part === 'string') {
      const all = this.#unread();
      const length = all.indexOf(part);
      if (length === -1 && all.length > MOST_HEAD_BYTES) throw noHttp();
      return length === -1 ? undefined : this.#cut(length, part.length);
    }
    if (part <= this.#unreadBytes) return this.#cut(part);
    return part === Number.POSITIVE_INFINITY && ended ? this.#cut(this.#unreadBytes) : undefined;
  }

  /** @param between bytes behind it that belong to nothing */
  #cut(length: number, between = 0): Buffer {
    const all = this.#unread();
    const rest = all.subarray(length + between);
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.#unreadBytes = rest.length;
    return all.subarray(0, length);
  }

  #unread(): Buffer {
    const [first = NOTHING, ...others] = this.#pieces;
    if (others.length === 0) return first;
    const all = Buffer.concat(this.#pieces, this.#unreadBytes);
    this.#pieces = [all];
    return all;
  }
}

function cutOff(): Error {
  return Object.assign(new Error('The container engine ended the connection.'), { code: 'ECONNRESET' });
}

function noHttp(): Error {
  return new Error('The container engine does not speak HTTP.');
}

function tooMuch(): Error {
  return new Error(`The container engine answered with more than ${MOST_MIB} MiB.`);
}

/** Reads an answer: says which part it needs next, and is given it. @throws Error where that is no HTTP, or too much */
function* answer(): Generator<Part, Read, Buffer> {
  const head = (yield HEAD_END).toString('latin1');
  const [, version, digits] = /^HTTP\/1\.([01]) (\d{3})/.exec(head) ?? [];
  if (digits === undefined) throw noHttp();
  const status = Number(digits);
  const staysOpen = version === '1' && !/\r\nconnection: *close/i.test(head);
  if (status === SWITCHING || status === NO_CONTENT || status === NOT_MODIFIED) return { status, body: '', staysOpen };
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return { status, body: yield* joined(), staysOpen };
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (Number(length) > MOST_BYTES) throw tooMuch();
  // Without either, the end of the connection is that of the answer.
  const body = yield length === undefined ? Number.POSITIVE_INFINITY : Number(length);
  return { status, body: body.toString(), staysOpen: staysOpen && length !== undefined };
}

/** A body that comes in chunks. */
function* joined(): Generator<Part, string, Buffer> {
  const chunks: Buffer[] = [];
  for (;;) {
    const line = (yield LINE_END).toString('latin1');
    const digits = /^([\da-f]{1,8})[ \t]*(?:;.*)?$/i.exec(line)?.[1];
    if (digits === undefined) throw noHttp();
    const size = Number.parseInt(digits, 16);
    if (size === 0) break;
    const chunk = yield size + LINE_END.length;
    chunks.push(chunk.subarray(0, size));
  }
  // What may be said behind it ends as a head does.
  while ((yield LINE_END).length > 0);
  return Buffer.concat(chunks).toString();
}
