import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CHANNEL, type Channel } from '../../src/protocol/index.ts';
import { OutputLog, type Reader } from '../../src/runs/output-log.ts';

const WINDOW = 64 * 1024;

/** Everything from an offset on, as `channel:bytes`, with pieces of one channel joined. */
function readAll(log: OutputLog, from: number, maxBytes = 1000): { at: number; text: string } {
  let text = '';
  let channel: Channel | undefined;
  let at = from;
  for (let piece = log.read(at, maxBytes); piece; piece = log.read(at, maxBytes)) {
    assert.equal(piece.seq, at, 'a piece begins where the last one ended');
    if (piece.channel !== channel) text += piece.channel === CHANNEL.stderr ? '|e' : '|o';
    channel = piece.channel;
    text += piece.data.toString('latin1');
    at += piece.data.length;
  }
  return { at, text };
}

const pieces = fc.array(
  fc.record({
    channel: fc.constantFrom<Channel>(CHANNEL.stdout, CHANNEL.stderr),
    data: fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 4000, maxLength: 6000 })),
  }),
  { maxLength: 60 },
);

describe('a run’s output', () => {
  it('is the same bytes in the same order from any offset', () => {
    fc.assert(
      fc.property(pieces, fc.nat(), fc.integer({ min: 1, max: 5000 }), (printed, somewhere, maxBytes) => {
        const log = new OutputLog(10 * 2 ** 20);
        let expected = '';
        for (const { channel, data } of printed) {
          log.append(channel, Buffer.from(data));
          expected += Buffer.from(data).toString('latin1');
        }
        const from = expected.length === 0 ? 0 : somewhere % expected.length;
        let text = '';
        for (let at = from, piece = log.read(at, maxBytes); piece; piece = log.read(at, maxBytes)) {
          assert.equal(piece.seq, at);
          text += piece.data.toString('latin1');
          at += piece.data.length;
        }
        assert.equal(text, expected.slice(from));
        assert.equal(log.end, expected.length);
      }),
    );
  });

  it('keeps stdout and stderr apart and in order', () => {
    const log = new OutputLog(WINDOW);
    log.append(CHANNEL.stdout, Buffer.from('a'));
    log.append(CHANNEL.stdout, Buffer.from('b'));
    log.append(CHANNEL.stderr, Buffer.from('c'));
    log.append(CHANNEL.stdout, Buffer.from('d'));
    assert.equal(readAll(log, 0).text, '|oab|ec|od');
    assert.equal(log.tail(CHANNEL.stderr, 100).toString(), 'c');
    assert.equal(log.tail(CHANNEL.stdout, 100).toString(), 'abd');
  });

  it('never keeps more than its window, and says where what is left begins', () => {
    fc.assert(
      fc.property(pieces, (printed) => {
        const log = new OutputLog(WINDOW);
        let all = '';
        for (const { channel, data } of printed) {
          log.append(channel, Buffer.from(data));
          all += Buffer.from(data).toString('latin1');
          assert.ok(log.end - log.start <= WINDOW);
        }
        assert.equal(log.end - log.start, Math.min(all.length, WINDOW));
        let text = '';
        for (let at = log.start, piece = log.read(at, 999); piece; piece = log.read(at, 999)) {
          text += piece.data.toString('latin1');
          at += piece.data.length;
        }
        assert.equal(text, all.slice(log.start));
        if (log.start > 0)
          assert.equal(log.read(0, 10)?.seq, log.start, 'who asks for what is gone gets the oldest there is');
      }),
    );
  });

  it('comes back from the store as it was', () => {
    fc.assert(
      fc.property(pieces, (printed) => {
        const log = new OutputLog(WINDOW);
        for (const { channel, data } of printed) log.append(channel, Buffer.from(data));
        const begun = log.end;
        log.beginProgram();
        for (const { channel, data } of printed) log.append(channel, Buffer.from(data));
        const { from, bytes } = log.dump();
        const back = OutputLog.restore(from, bytes);
        assert.equal(back.start, log.start);
        assert.equal(back.end, log.end);
        assert.equal(back.programFrom, begun);
        assert.equal(back.isWhole, log.start <= begun);
        assert.equal(readAll(back, back.start).text, readAll(log, log.start).text);
      }),
    );
  });
});

describe('flow control', () => {
  const reader = (): Reader => ({ acknowledged: 0, wake: () => {} });
  const printer = (log: OutputLog) => {
    const granted = { bytes: 0 };
    log.connect((bytes) => {
      granted.bytes += bytes;
    });
    return granted;
  };

  it('lets a program without readers run on', () => {
    const log = new OutputLog(WINDOW);
    const granted = printer(log);
    for (let printed = 0; printed < 100 * WINDOW; printed += 4096) {
      assert.ok(granted.bytes > printed, 'it never has to wait');
      log.append(CHANNEL.stdout, Buffer.alloc(4096));
    }
  });

  it('stops a program whose only reader does not acknowledge, one window ahead', () => {
    const log = new OutputLog(WINDOW);
    log.addReader(reader());
    const granted = printer(log);
    assert.equal(granted.bytes, WINDOW);
    log.append(CHANNEL.stdout, Buffer.alloc(WINDOW));
    assert.equal(granted.bytes, WINDOW);
  });

  it('goes at the pace of the furthest reader; a slower one is not waited for', () => {
    const log = new OutputLog(WINDOW);
    const [fast, slow] = [reader(), reader()];
    log.addReader(fast);
    log.addReader(slow);
    const granted = printer(log);
    log.append(CHANNEL.stdout, Buffer.alloc(WINDOW));
    log.acknowledge(fast, WINDOW);
    assert.equal(granted.bytes, 2 * WINDOW);
    log.append(CHANNEL.stdout, Buffer.alloc(WINDOW));
    assert.equal(log.start, WINDOW, 'what only the slow one lacks is gone');
  });

  it('goes on when the reader that held it up leaves', () => {
    const log = new OutputLog(WINDOW);
    const only = reader();
    log.addReader(only);
    const granted = printer(log);
    log.append(CHANNEL.stdout, Buffer.alloc(WINDOW));
    log.removeReader(only);
    assert.equal(granted.bytes, 2 * WINDOW);
  });

  it('is not fooled by acknowledgements that go back or beyond what was printed', () => {
    const log = new OutputLog(WINDOW);
    const only = reader();
    log.addReader(only);
    const granted = printer(log);
    log.append(CHANNEL.stdout, Buffer.alloc(1000));
    log.acknowledge(only, 2 ** 40);
    log.acknowledge(only, -5);
    assert.equal(only.acknowledged, 0);
    assert.equal(granted.bytes, WINDOW);
  });

  it('no longer holds up a run that is being ended', () => {
    const log = new OutputLog(WINDOW);
    log.addReader(reader());
    const granted = printer(log);
    log.append(CHANNEL.stdout, Buffer.alloc(WINDOW));
    log.release();
    assert.equal(granted.bytes, 2 * WINDOW);
  });
});
