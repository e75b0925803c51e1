/** A daemon that is sent what no client sends, and clients that come back at any byte. fast-check prints the seed of what fails. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import { CHANNEL, encodeFrame, type OutputPage } from '../../src/protocol/index.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import type { TestStream } from '../support/stream.ts';

const PART_BYTES = 40_000;
/** Prints two parts in pieces of many sizes on both channels, the second when it is told to. */
const TWO_PARTS = `
import os, random, sys
random.seed(1)
def part():
    left = ${PART_BYTES}
    while left > 0:
        size = min(left, random.choice([1, 7, 500, 5000]))
        os.write(random.choice([1, 2]), random.randbytes(size))
        left -= size
part()
input()
part()
`;

/** Of all that is made up here; the title of the tests tells it, and this variable brings it back. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31);

describe(`a daemon that is sent anything (FUZZ_SEED=${SEED})`, () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
  });
  after(() => daemon[Symbol.asyncDispose]());

  const odd = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.constantFrom<unknown>(-1, 2 ** 32, 1e308, '', '\u0000', [], {}, null),
  );
  const maybe = (...good: unknown[]) => fc.oneof(fc.constantFrom(...good), odd);
  const handle = fc.oneof({ weight: 4, arbitrary: fc.nat(5) }, { weight: 1, arbitrary: odd });

  /** Messages of every type, right but for some of their fields; and what is none. @param id of a run that has ended */
  function anything(id: string): fc.Arbitrary<string | Uint8Array> {
    const message = (fields: Record<string, fc.Arbitrary<unknown>>) =>
      fc.record<Record<string, unknown>, 'type'>({ handle, ...fields }, { requiredKeys: ['type'] });
    const one = fc.oneof(
      message({
        type: fc.constant('run.start'),
        request: fc.oneof(
          maybe({ runtime: 'nothing' }, { files: [{ path: '../x' }] }, {}),
          fc.record({ files: fc.constant([]), key: maybe('key', 'k'.repeat(201)) }),
        ),
      }),
      message({ type: fc.constant('run.subscribe'), id: maybe(id, 'r_0'), from: maybe(0, 1, 5, 1e9) }),
      message({ type: fc.constant('ack'), seq: maybe(0, 1, 1e9) }),
      message({
        type: fc.constant('stdin'),
        data: maybe('x'),
        encoding: maybe('utf8', 'base64'),
        seq: maybe(0, 1, 2 ** 53),
      }),
      message({ type: fc.constant('stdin.eof'), seq: maybe(0, 5, 1e9) }),
      message({ type: fc.constant('resize'), rows: maybe(1, 65_535), cols: maybe(80) }),
      message({ type: fc.constant('signal'), signal: maybe('SIGINT', 'SIGNONE', '__proto__') }),
      message({ type: fc.constantFrom('stdin.eof', 'run.cancel', 'run.unsubscribe', 'nothing', '__proto__') }),
    );
    const frame = fc
      .tuple(
        fc.constantFrom(...Object.values(CHANNEL)),
        fc.nat(5),
        fc.oneof(fc.nat(100), fc.maxSafeNat()),
        fc.uint8Array({ maxLength: 50 }),
      )
      .map(([channel, to, seq, data]) => encodeFrame({ channel, handle: to, seq, data: Buffer.from(data) }));
    return fc.oneof(
      { weight: 6, arbitrary: one.map((value) => JSON.stringify(value)) },
      {
        weight: 1,
        arbitrary: fc.oneof(
          odd.map((value) => JSON.stringify(value)),
          fc.string(),
        ),
      },
      {
        weight: 2,
        arbitrary: fc.oneof(
          frame,
          fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        ),
      },
    );
  }

  /** Whether the daemon still does on that connection what it is for. @returns codes of all errors that it answered with */
  async function stillServes(stream: TestStream): Promise<Set<string>> {
    stream.send({ type: 'run.start', handle: 1_000_000, request: python("print('hello')") });
    assert.equal((await stream.exit(1_000_000)).state, 'succeeded');
    assert.equal(stream.text(1_000_000), 'hello\n');
    return new Set(stream.events.flatMap((event) => (event.type === 'error' ? [event.error.code] : [])));
  }

  it('refuses messages by name, and then runs a hello on the same connection', async () => {
    const { run } = await daemon.runToEnd(python("print('ended')"));
    await using stream = await daemon.stream();
    const messages = fc.sample(anything(run.id), { numRuns: 1_000, seed: SEED });
    for (const message of messages) stream.socket.send(message);
    const codes = await stillServes(stream).catch((error: Error) => {
      throw new Error(`${error.message}\nsent: ${messages.map((message) => message.toString()).join('\n')}`);
    });
    assert.ok(codes.has('bad_request') && codes.has('protocol_error') && codes.has('not_found'), [...codes].join(' '));
    assert.equal(codes.has('internal'), false);
  });

  it('closes a connection that speaks no WebSocket any more, and serves others', async () => {
    const { host, hostname, port } = new URL(daemon.url);
    const upgrade = [
      'GET /v1/stream HTTP/1.1',
      `Host: ${host}`,
      `Authorization: Bearer ${daemon.token}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Protocol: coderunner.v1',
      '\r\n',
    ].join('\r\n');
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        const socket = connect(Number(port), hostname);
        const closed = once(socket, 'close');
        socket.on('error', () => {}); // 'close' follows
        socket.write(upgrade);
        const [answer] = (await once(socket, 'data')) as [Buffer];
        assert.match(answer.toString('latin1'), /^HTTP\/1\.1 101/);
        socket.resume();
        socket.end(bytes);
        await closed;
      }),
      { numRuns: 50, seed: SEED },
    );
    await using stream = await daemon.stream();
    await stillServes(stream);
  });

  it('gives a program each byte of its input once, whatever is sent again, over both ways at once', async () => {
    const input = Buffer.from(
      fc.sample(fc.uint8Array({ minLength: 20_000, maxLength: 40_000 }), { numRuns: 1, seed: SEED })[0] ?? [],
    );
    await using one = await daemon.stream();
    await using other = await daemon.stream();
    const source = "import sys\nprint('ready', flush=True)\nsys.stdout.buffer.write(sys.stdin.buffer.read())";
    one.send({ type: 'run.start', handle: 0, request: python(source, { limits: { wallMs: 600_000 } }) });
    await one.printed(0, 'ready');
    const { id } = await one.state(0, 'running');
    other.send({ type: 'run.subscribe', handle: 0, id });
    await other.printed(0, 'ready');
    const pieces = fc.sample(fc.tuple(fc.nat(3), fc.nat(input.length), fc.nat(2_000)), { numRuns: 300, seed: SEED });
    for (const [way, from, size] of pieces) {
      // Any piece may come: one that leaves a hole is refused, of any other what is new is used.
      const data = input.subarray(from, from + size);
      if (way === 0) one.stdin(0, data, from);
      else if (way === 1) other.stdin(0, data, from);
      else if (way === 2)
        one.send({ type: 'stdin', handle: 0, seq: from, data: data.toString('base64'), encoding: 'base64' });
      else await daemon.fetch('POST', `/v1/runs/${id}/stdin?seq=${from}`, data);
    }
    // Now all of it in order, in pieces that overlap.
    for (let from = 0; from < input.length; from += 900) one.stdin(0, input.subarray(from, from + 1_000), from);
    one.send({ type: 'stdin.eof', handle: 0, seq: input.length });
    one.send({ type: 'stdin.eof', handle: 0, seq: input.length });
    const run = await one.exit(0);
    assert.equal(run.inputBytes, input.length);
    assert.ok(one.bytes(0).subarray('ready\n'.length).equals(input));
    const codes = new Set(
      [...one.events, ...other.events].flatMap((event) => (event.type === 'error' ? [event.error.code] : [])),
    );
    // The other connection's may come when all is over.
    codes.delete('run_ended');
    assert.deepEqual([...codes], ['stdin_gap']);
  });

  it('gives exactly the same bytes from any byte on, while the program runs and after', async () => {
    await using first = await daemon.stream();
    first.send({ type: 'run.start', handle: 1, request: python(TWO_PARTS, { limits: { wallMs: 600_000 } }) });
    await first.printed(1, PART_BYTES);
    const { id } = await first.state(1, 'running');
    const offsets = fc.sample(fc.nat(PART_BYTES - 1), { numRuns: 20, seed: SEED });
    await using second = await daemon.stream();
    for (const [at, from] of offsets.entries()) second.send({ type: 'run.subscribe', handle: at, id, from });
    for (const at of offsets.keys()) await second.printed(at, PART_BYTES);
    first.stdin(1, 'go\n');
    await first.exit(1);
    const whole = first.bytes(1);
    assert.equal(whole.length, 2 * PART_BYTES);
    const same = async (stream: TestStream, at: number, from: number) => {
      await stream.exit(at);
      assert.ok(stream.bytes(at).equals(whole.subarray(from)), `from ${from}`);
      for (const channel of [CHANNEL.stdout, CHANNEL.stderr])
        if (from === 0) assert.ok(stream.bytes(at, channel).equals(first.bytes(1, channel)), `channel ${channel}`);
    };
    for (const [at, from] of offsets.entries()) await same(second, at, from);
    await using third = await daemon.stream();
    const later = [0, whole.length, ...fc.sample(fc.nat(whole.length), { numRuns: 20, seed: SEED })];
    for (const [at, from] of later.entries()) third.send({ type: 'run.subscribe', handle: at, id, from });
    for (const [at, from] of later.entries()) await same(third, at, from);
    for (const from of later) {
      const page = await daemon.json<OutputPage>('GET', `/v1/runs/${id}/output?from=${from}`);
      assert.equal(page.next, whole.length);
      assert.equal(page.done, true);
    }
  });
});
