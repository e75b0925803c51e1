import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BadFrame, encode, FROM_AGENT, FrameDecoder, MAX_PAYLOAD_BYTES } from '../../src/agent/frames.ts';

/** What a decoder hands on, with output of one frame joined. */
function collect() {
  const seen: { type: number; flags: number; bytes: Buffer }[] = [];
  const decoder = new FrameDecoder({
    output: (type, bytes) => seen.push({ type, flags: 0, bytes }),
    frame: (type, flags, payload) => seen.push({ type, flags, bytes: payload }),
  });
  return { seen, decoder };
}

const control = Object.values(FROM_AGENT).filter((type) => type !== FROM_AGENT.stdout && type !== FROM_AGENT.stderr);

describe('the agent’s frames', () => {
  it('are read whatever pieces they arrive in', () => {
    const frame = fc.record({
      type: fc.constantFrom(...Object.values(FROM_AGENT)),
      payload: fc.uint8Array({ maxLength: 300 }),
    });
    fc.assert(
      fc.property(
        fc.array(frame, { maxLength: 20 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (frames, cuts) => {
          const stream = Buffer.concat(frames.map(({ type, payload }) => encode(type, payload)));
          const { seen, decoder } = collect();
          for (let at = 0, i = 0; at < stream.length; i++) {
            const size = cuts[i % cuts.length] as number;
            decoder.push(stream.subarray(at, at + size));
            at += size;
          }
          for (const type of [FROM_AGENT.stdout, FROM_AGENT.stderr]) {
            const expected = Buffer.concat(frames.filter((f) => f.type === type).map((f) => Buffer.from(f.payload)));
            assert.deepEqual(Buffer.concat(seen.filter((f) => f.type === type).map((f) => f.bytes)), expected);
          }
          assert.deepEqual(
            seen.filter((f) => control.includes(f.type as never)).map((f) => [f.type, f.bytes.toString('hex')]),
            frames
              .filter((f) => control.includes(f.type as never))
              .map((f) => [f.type, Buffer.from(f.payload).toString('hex')]),
          );
        },
      ),
    );
  });

  it('hand on output before its frame is complete', () => {
    const { seen, decoder } = collect();
    decoder.push(encode(FROM_AGENT.stdout, Buffer.from('hello')).subarray(0, 10));
    assert.equal(seen[0]?.bytes.toString(), 'he');
  });

  const header = (type: number, flags: number, reserved: number, length: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt8(type, 0);
    bytes.writeUInt8(flags, 1);
    bytes.writeUInt16BE(reserved, 2);
    bytes.writeUInt32BE(length, 4);
    return bytes;
  };
  const nonsense: Record<string, Buffer> = {
    'an unknown type': header(0x01, 0, 0, 0),
    'unknown flags': header(FROM_AGENT.exit, 0x02, 0, 0),
    'a reserved field that is not 0': header(FROM_AGENT.exit, 0, 1, 0),
    'a length beyond the limit': header(FROM_AGENT.stdout, 0, 0, MAX_PAYLOAD_BYTES + 1),
  };
  for (const [what, bytes] of Object.entries(nonsense)) {
    it(`are refused with ${what}`, () => assert.throws(() => collect().decoder.push(bytes), BadFrame));
  }

  it('survive any garbage: read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          collect().decoder.push(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof BadFrame);
        }
      }),
    );
  });

  it('carry at most 64 KiB', () => {
    assert.throws(() => encode(FROM_AGENT.stdout, Buffer.alloc(MAX_PAYLOAD_BYTES + 1)), RangeError);
  });
});
