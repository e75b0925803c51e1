import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { Attachment, Demultiplexer } from '../../src/engine/attachment.ts';

/** A piece of output as the engine frames it. */
function framed(stream: 1 | 2, bytes: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

const pieces = fc.array(
  fc.record({ stream: fc.constantFrom(1 as const, 2 as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
);

describe('what the engine sends of a container', () => {
  it('comes apart into its two streams, however the connection cuts it', () => {
    fc.assert(
      fc.property(pieces, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (sent, cuts) => {
        const got = { 1: [] as Buffer[], 2: [] as Buffer[] };
        const order: number[] = [];
        const demultiplexer = new Demultiplexer((isStderr, bytes) => {
          got[isStderr ? 2 : 1].push(bytes);
          order.push(...Array<number>(bytes.length).fill(isStderr ? 2 : 1));
        });
        const wire = Buffer.concat(sent.map(({ stream, bytes }) => framed(stream, Buffer.from(bytes))));
        for (let at = 0, turn = 0; at < wire.length; turn++) {
          const next = at + (cuts[turn % cuts.length] as number);
          demultiplexer.push(wire.subarray(at, next));
          at = next;
        }
        for (const stream of [1, 2] as const) {
          const expected = sent.filter((piece) => piece.stream === stream).map(({ bytes }) => Buffer.from(bytes));
          assert.deepEqual(Buffer.concat(got[stream]), Buffer.concat(expected));
        }
        assert.deepEqual(
          order,
          sent.flatMap(({ stream, bytes }) => Array<number>(bytes.length).fill(stream)),
        );
      }),
    );
  });

  it('is handed on without being copied', () => {
    const wire = framed(1, Buffer.from('hello'));
    let got: Buffer | undefined;
    new Demultiplexer((_isStderr, bytes) => {
      got = bytes;
    }).push(wire);
    assert.equal(got?.buffer, wire.buffer);
  });
});

describe('an attachment', () => {
  async function pair({
    listen = true,
  } = {}): Promise<{ attachment: Attachment; engine: Socket; [Symbol.dispose](): void }> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const accepted = once(server, 'connection');
    const ours = connect(port, '127.0.0.1');
    const [engine] = (await accepted) as [Socket];
    const attachment = new Attachment(ours);
    if (listen) attachment.listen();
    const dispose = () => {
      engine.destroy();
      attachment.destroy();
      server.close();
    };
    return { attachment, engine, [Symbol.dispose]: dispose };
  }

  it('loses nothing that comes before somebody listens, nor the end', async () => {
    using sides = await pair({ listen: false });
    const gone = once(sides.engine, 'close');
    sides.engine.end(framed(1, Buffer.from('first words')));
    await once(sides.engine, 'finish');
    // It is in our connection now: the loop sees it on its next turn.
    for (const _ of [1, 2]) await new Promise(setImmediate);
    let said = '';
    sides.attachment.onStdout = (bytes) => {
      said += bytes;
    };
    const over = new Promise((resolve) => {
      sides.attachment.onClose = resolve;
    });
    sides.attachment.listen();
    await over;
    await gone;
    assert.equal(said, 'first words');
  });

  it('tells that it is over also to who listens too late', async () => {
    using sides = await pair({ listen: false });
    const gone = once(sides.engine, 'close');
    sides.attachment.destroy();
    await gone;
    const over = new Promise((resolve) => {
      sides.attachment.onClose = resolve;
    });
    sides.attachment.listen();
    await over;
  });

  it('tells once that it is over when the engine ends it', async () => {
    using sides = await pair();
    const closed: unknown[] = [];
    const over = new Promise<void>((resolve) => {
      sides.attachment.onClose = (error) => {
        closed.push(error);
        resolve();
      };
    });
    sides.engine.end(framed(1, Buffer.from('last words')));
    let said = '';
    sides.attachment.onStdout = (bytes) => {
      said += bytes;
    };
    await over;
    assert.equal(said, 'last words');
    assert.deepEqual(closed, [undefined]);
  });

  it('tells what broke the connection', async () => {
    using sides = await pair();
    const over = new Promise<Error | undefined>((resolve) => {
      sides.attachment.onClose = resolve;
    });
    sides.engine.resetAndDestroy();
    assert.match((await over)?.message ?? '', /ECONNRESET/);
  });

  it('holds a writer back until the container has read', async () => {
    using sides = await pair();
    sides.engine.pause();
    const drained = new Promise<void>((resolve) => {
      sides.attachment.onDrain = resolve;
    });
    const chunk = Buffer.alloc(1 << 20, 'x');
    let sent = chunk.length;
    while (sides.attachment.write(chunk)) sent += chunk.length;
    let got = 0;
    const all = new Promise<void>((resolve) => {
      sides.engine.on('data', (bytes) => {
        got += bytes.length;
        if (got === sent) resolve();
      });
    });
    sides.engine.resume();
    await drained;
    await all;
    assert.equal(got, sent);
  });

  it('takes writes after it is over, and loses them', async () => {
    using sides = await pair();
    sides.attachment.destroy();
    assert.equal(sides.attachment.write(Buffer.from('too late')), true);
  });
});
