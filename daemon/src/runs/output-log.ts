/**
 * A run's output: its latest bytes, numbered from the first one on, for any number of readers. Memory stays within the window
 * whatever the program prints. Flow control: the program may be a window ahead of the reader that is furthest; without a reader it runs
 * freely, and what no longer fits is gone (a reader who comes later is told).
 */
import { CHANNEL, type Channel } from '../protocol/index.ts';

/** Small pieces are copied together into blocks of this size, so that a program that prints single bytes costs no more than one that prints lines. */
const BLOCK_BYTES = 16 * 1024;
/** Pieces of at least this size are kept as they came. */
const LARGE_BYTES = 4 * 1024;
/** More pieces than that are not kept, however small: each costs some 200 bytes of memory whatever it holds. */
const MOST_PIECES = 65_536;

/** Stands in a dump where pieces have their channel: where the program's own output begins. */
const PROGRAM_MARK = 0xff;

interface Piece {
  seq: number;
  channel: Channel;
  data: Buffer;
}

/** Someone who follows the output. */
export interface Reader {
  /** Everything before this offset has reached the person; moves with {@link OutputLog.acknowledge}. */
  acknowledged: number;
  /** There is more to read. */
  wake(): void;
}

export class OutputLog {
  readonly #windowBytes: number;
  readonly #pieces: Piece[] = [];
  /** Index of the oldest piece in `#pieces`; those before it are gone, and cut off now and then. */
  #first = 0;
  #start = 0;
  #end = 0;
  /** The block that small pieces are being copied into, and how much of it is used. */
  #block = Buffer.alloc(0);
  #blockUsed = 0;
  readonly #readers = new Set<Reader>();
  /** How far the program has been allowed to print. */
  #granted = 0;
  #grant: ((bytes: number) => void) | undefined;
  #free = false;
  #programFrom: number | undefined;
  /** Told when the first reader comes, and when the last one has gone. */
  onFollowed: (followed: boolean) => void = () => {};

  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** Offset of the oldest byte that is still there. */
  get start(): number {
    return this.#start;
  }

  /** Offset after the latest byte: how much was printed in all. */
  get end(): number {
    return this.#end;
  }

  /** Offset of the first byte of the program's own output, behind what a compiler and the like printed; undefined: it has not begun. */
  get programFrom(): number | undefined {
    return this.#programFrom;
  }

  /** Whether the program's output is kept from its first byte on; where it did not begin, what was printed before it. */
  get isWhole(): boolean {
    return this.#start <= (this.#programFrom ?? 0);
  }

  /** What is printed from now on is the program's own. */
  beginProgram(): void {
    this.#programFrom = this.#end;
  }

  /** From now on `grant` is told how many more bytes the program may print. */
  connect(grant: (bytes: number) => void): void {
    this.#grant = grant;
    // What was printed before, by others than this program, took nothing of what it is granted.
    this.#granted = this.#end;
    this.#regrant();
  }

  disconnect(): void {
    this.#grant = undefined;
  }

  /** Ends flow control: a run that is being ended must not wait for readers. */
  release(): void {
    this.#free = true;
    this.#regrant();
  }

  /** Adds output. The bytes may be kept, so they must not change afterwards. */
  append(channel: Channel, data: Buffer): void {
    if (data.length === 0) return;
    if (data.length >= LARGE_BYTES) this.#pieces.push({ seq: this.#end, channel, data });
    else this.#appendSmall(channel, data);
    this.#end += data.length;
    this.#trim();
    if (this.#readers.size === 0) this.#regrant();
    for (const reader of this.#readers) reader.wake();
  }

  /**
   * The bytes at an offset: one piece of one channel, at most `maxBytes` of it. An offset that is gone gives the oldest there is
   * (`seq` tells). undefined at the end.
   */
  read(from: number, maxBytes: number): Piece | undefined {
    if (from >= this.#end) return undefined;
    const piece = this.#pieces[this.#find(Math.max(from, this.#start))];
    if (!piece) return undefined;
    const skip = Math.max(from, this.#start) - piece.seq;
    return { seq: piece.seq + skip, channel: piece.channel, data: piece.data.subarray(skip, skip + maxBytes) };
  }

  addReader(reader: Reader): void {
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.onFollowed(true);
    this.#regrant();
  }

  removeReader(reader: Reader): void {
    const was = this.#readers.delete(reader);
    if (was && this.#readers.size === 0) this.onFollowed(false);
    this.#regrant();
  }

  /** The reader has taken everything before `seq`. Going back, or beyond what there is, changes nothing. */
  acknowledge(reader: Reader, seq: number): void {
    if (seq <= reader.acknowledged || seq > this.#end) return;
    reader.acknowledged = seq;
    this.#regrant();
  }

  /** The last bytes printed on a channel, at most `maxBytes`, looked for among the latest `maxBytes` of all output. */
  tail(channel: Channel, maxBytes: number): Buffer {
    const found: Buffer[] = [];
    for (let at = Math.max(this.#start, this.#end - maxBytes); ; ) {
      const piece = this.read(at, maxBytes);
      if (!piece) return Buffer.concat(found);
      if (piece.channel === channel) found.push(piece.data);
      at = piece.seq + piece.data.length;
    }
  }

  /**
   * What is kept, in a form for the store: `u8 channel · u32 length · bytes`, again and again; before them, marked in the channel's place,
   * where the program's own output begins. {@link OutputLog.restore} reads it.
   */
  dump(): { from: number; bytes: Buffer } {
    const parts: Buffer[] = [];
    if (this.#programFrom !== undefined) {
      const mark = Buffer.alloc(13);
      mark.writeUInt8(PROGRAM_MARK, 0);
      mark.writeUInt32BE(8, 1);
      mark.writeBigUInt64BE(BigInt(this.#programFrom), 5);
      parts.push(mark);
    }
    for (let at = this.#start; ; ) {
      const piece = this.read(at, 0xffff_ffff);
      if (!piece) return { from: this.#start, bytes: Buffer.concat(parts) };
      const header = Buffer.alloc(5);
      header.writeUInt8(piece.channel, 0);
      header.writeUInt32BE(piece.data.length, 1);
      parts.push(header, piece.data);
      at = piece.seq + piece.data.length;
    }
  }

  static restore(from: number, bytes: Buffer): OutputLog {
    const log = new OutputLog(Number.MAX_SAFE_INTEGER);
    log.#start = log.#end = from;
    for (let at = 0; at < bytes.length; ) {
      const channel = bytes.readUInt8(at);
      const length = bytes.readUInt32BE(at + 1);
      const data = bytes.subarray(at + 5, at + 5 + length);
      if (channel === PROGRAM_MARK) log.#programFrom = Number(data.readBigUInt64BE());
      else log.append(channel === CHANNEL.stderr ? CHANNEL.stderr : CHANNEL.stdout, data);
      at += 5 + length;
    }
    return log;
  }

  #appendSmall(channel: Channel, data: Buffer): void {
    if (this.#block.length - this.#blockUsed < data.length) {
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
      this.#blockUsed = 0;
    }
    const at = this.#blockUsed;
    data.copy(this.#block, at);
    this.#blockUsed += data.length;
    const last = this.#pieces.at(-1);
    // The latest piece grows when it ends just where this one was put.
    const grows =
      last !== undefined &&
      this.#pieces.length > this.#first &&
      last.channel === channel &&
      last.data.buffer === this.#block.buffer &&
      last.data.byteOffset + last.data.length === this.#block.byteOffset + at;
    if (grows) last.data = this.#block.subarray(last.data.byteOffset - this.#block.byteOffset, this.#blockUsed);
    else this.#pieces.push({ seq: this.#end, channel, data: this.#block.subarray(at, this.#blockUsed) });
  }

  #trim(): void {
    while (this.#end - this.#start > this.#windowBytes || this.#pieces.length - this.#first > MOST_PIECES) {
      const oldest = this.#pieces[this.#first];
      if (!oldest) return;
      const next = oldest.seq + oldest.data.length;
      if (this.#end - next < this.#windowBytes && this.#end - this.#start > this.#windowBytes) {
        // part of the oldest piece is still within the window
        this.#start = this.#end - this.#windowBytes;
        break;
      }
      this.#start = next;
      this.#first++;
    }
    if (this.#first > 256 && this.#first * 2 > this.#pieces.length) {
      this.#pieces.splice(0, this.#first);
      this.#first = 0;
    }
  }

  #find(seq: number): number {
    let low = this.#first;
    let high = this.#pieces.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#pieces[middle] as Piece).seq <= seq) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #regrant(): void {
    if (!this.#grant) return;
    let furthest = this.#readers.size === 0 || this.#free ? this.#end : 0;
    if (!this.#free) for (const reader of this.#readers) furthest = Math.max(furthest, reader.acknowledged);
    const more = furthest + this.#windowBytes - this.#granted;
    // Small grants are saved up; they would cost a frame each.
    if (more < this.#windowBytes / 4) return;
    this.#granted += more;
    this.#grant(more);
  }
}
