/**
 * Frames between daemon and agent: `u8 type · u8 flags · u16 reserved · u32 length · payload`, big-endian.
 * docs/protocol.md, section 1, is the contract; `runtimes/agent/frame.c` is the other side.
 */

export const MAX_PAYLOAD_BYTES = 65_536;
const HEADER_BYTES = 8;

export const TO_AGENT = {
  files: 0x01,
  start: 0x02,
  stdin: 0x03,
  signal: 0x04,
  resize: 0x05,
  credit: 0x06,
  collect: 0x07,
  reset: 0x08,
} as const;

export const FROM_AGENT = {
  ready: 0x81,
  stdout: 0x82,
  stderr: 0x83,
  exit: 0x84,
  file: 0x85,
  fail: 0x86,
  stdinCredit: 0x87,
} as const;

const KNOWN = new Set<number>(Object.values(FROM_AGENT));

/** Bit 0 of the flags: END of FILES and FILE, EOF of STDIN. */
export const LAST = 0x01;

/** One frame. The payload is copied once, into the frame. Throws RangeError beyond {@link MAX_PAYLOAD_BYTES}. */
export function encode(type: number, payload: Uint8Array = new Uint8Array(0), flags = 0): Buffer {
  if (payload.length > MAX_PAYLOAD_BYTES) throw new RangeError(`A frame carries at most ${MAX_PAYLOAD_BYTES} bytes.`);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt8(type, 0);
  frame.writeUInt8(flags, 1);
  frame.writeUInt16BE(0, 2);
  frame.writeUInt32BE(payload.length, 4);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

/** What the decoder hands on. Payloads are views into what was pushed. */
export interface FrameSink {
  /** Output, in as many pieces as it arrives in: a frame is not held back until it is complete. */
  output(type: typeof FROM_AGENT.stdout | typeof FROM_AGENT.stderr, bytes: Buffer): void;
  /** Any other frame, complete. */
  frame(type: number, flags: number, payload: Buffer): void;
}

/** The agent sent what the protocol does not know; nothing after it can be trusted. */
export class BadFrame extends Error {
  override readonly name = 'BadFrame';
}

/** Takes the agent's bytes in any slices and hands on frames. Throws {@link BadFrame}; then it must not be used again. */
export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerFilled = 0;
  #type = 0;
  #flags = 0;
  /** Payload bytes of the present frame that are still to come. */
  #missing = 0;
  /** Slices of a control frame's payload so far. */
  #parts: Buffer[] = [];

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerFilled < HEADER_BYTES) {
        const taken = chunk.copy(this.#header, this.#headerFilled, at);
        this.#headerFilled += taken;
        at += taken;
        if (this.#headerFilled < HEADER_BYTES) return;
        this.#readHeader();
        if (this.#missing === 0) this.#finish();
        continue;
      }
      const slice = chunk.subarray(at, at + this.#missing);
      at += slice.length;
      this.#missing -= slice.length;
      if (this.#type === FROM_AGENT.stdout || this.#type === FROM_AGENT.stderr) this.#sink.output(this.#type, slice);
      else this.#parts.push(slice);
      if (this.#missing === 0) this.#finish();
    }
  }

  #readHeader(): void {
    this.#type = this.#header.readUInt8(0);
    this.#flags = this.#header.readUInt8(1);
    this.#missing = this.#header.readUInt32BE(4);
    if (!KNOWN.has(this.#type)) throw new BadFrame(`The agent sent a frame of unknown type ${this.#type}.`);
    if (this.#header.readUInt16BE(2) !== 0 || (this.#flags & ~LAST) !== 0) {
      throw new BadFrame('The agent sent a frame with unknown flags.');
    }
    if (this.#missing > MAX_PAYLOAD_BYTES) throw new BadFrame(`The agent announced a frame of ${this.#missing} bytes.`);
  }

  #finish(): void {
    this.#headerFilled = 0;
    if (this.#type === FROM_AGENT.stdout || this.#type === FROM_AGENT.stderr) return;
    const [first] = this.#parts;
    const payload = this.#parts.length === 1 && first ? first : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#sink.frame(this.#type, this.#flags, payload);
  }
}
