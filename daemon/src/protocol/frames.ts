/**
 * Binary WebSocket frames: `u8 channel · u32 handle · u64 seq · bytes`, big-endian.
 * `handle` is the number the client chose when it subscribed; `seq` is the offset of the first byte in the run's output
 * (stdout and stderr counted together), so any offset can be asked for again, or in its input, so that none is used twice.
 */

export const CHANNEL = { stdin: 0, stdout: 1, stderr: 2 } as const;
export type Channel = (typeof CHANNEL)[keyof typeof CHANNEL];

export const FRAME_HEADER_BYTES = 13;

export interface Frame {
  channel: Channel;
  handle: number;
  seq: number;
  /** A view into the message, not a copy. */
  data: Uint8Array;
}

/** Writes the header of a frame into the first {@link FRAME_HEADER_BYTES} bytes of `target`. */
export function writeFrameHeader(target: Uint8Array, channel: Channel, handle: number, seq: number): void {
  const view = new DataView(target.buffer, target.byteOffset, FRAME_HEADER_BYTES);
  view.setUint8(0, channel);
  view.setUint32(1, handle);
  view.setBigUint64(5, BigInt(seq));
}

export function encodeFrame(frame: Frame): Uint8Array {
  const message = new Uint8Array(FRAME_HEADER_BYTES + frame.data.length);
  writeFrameHeader(message, frame.channel, frame.handle, frame.seq);
  message.set(frame.data, FRAME_HEADER_BYTES);
  return message;
}

/** @returns undefined where the message is no frame: too short, an unknown channel, an offset beyond 2^53. */
export function decodeFrame(message: Uint8Array): Frame | undefined {
  if (message.length < FRAME_HEADER_BYTES) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, FRAME_HEADER_BYTES);
  const channel = view.getUint8(0);
  if (channel !== CHANNEL.stdin && channel !== CHANNEL.stdout && channel !== CHANNEL.stderr) return undefined;
  const seq = Number(view.getBigUint64(5));
  if (!Number.isSafeInteger(seq)) return undefined;
  return { channel, handle: view.getUint32(1), seq, data: message.subarray(FRAME_HEADER_BYTES) };
}
