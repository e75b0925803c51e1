/** `GET /v1/stream`: runs, live, from a real daemon. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { CHANNEL, isEnd, type Run, type ServerMessage, STDIN_WINDOW_BYTES } from '../../src/protocol/index.ts';
import { python, TestDaemon, WAITS } from '../support/live-daemon.ts';
import type { Output, StreamEvent } from '../support/stream.ts';

const WINDOW = 64 * 1024;
/** Prints so many bytes, and keeps in a file how far it has come whenever it gets a line of input. */
const FLOODS = (bytes: number) => `
import os, sys, threading
written = 0
def note():
    for _ in sys.stdin:
        with open('progress.txt', 'w') as file:
            file.write(str(written))
        print('noted', file=sys.stderr, flush=True)
threading.Thread(target=note, daemon=True).start()
while written < ${bytes}:
    written += os.write(1, b'x' * min(4096, ${bytes} - written))
`;

const isGap = (event: StreamEvent): event is Extract<ServerMessage, { type: 'gap' }> => event.type === 'gap';

describe('the stream', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ outputWindow: WINDOW, poolSize: 1 });
  });
  after(() => daemon[Symbol.asyncDispose]());

  /** Asking how a run is does not follow it. */
  async function ended(id: string): Promise<Run> {
    for (;;) {
      const run = await daemon.run(id);
      if (isEnd(run.state)) return run;
    }
  }

  it('starts a run, tells its states, its output on two channels and its end, in that order', async () => {
    await using stream = await daemon.stream();
    const request = python("import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)\nsys.exit(3)");
    stream.send({ type: 'run.start', handle: 7, request });
    const run = await stream.exit(7);
    assert.equal(run.state, 'failed');
    assert.equal(run.exitCode, 3);
    assert.equal(stream.text(7, CHANNEL.stdout), 'out\n');
    assert.equal(stream.text(7, CHANNEL.stderr), 'err\n');
    assert.equal(run.outputBytes, 8);
    const types = stream.events.map(({ type }) => type);
    assert.equal(types[0], 'run.state');
    assert.equal(types.at(-1), 'run.exit');
    assert.ok(types.lastIndexOf('output') > types.lastIndexOf('run.state'), 'states come before the output');
  });

  it('numbers every byte, without holes, whatever the program prints on which channel', async () => {
    await using stream = await daemon.stream();
    const source = `
import os
for i in range(500):
    os.write(1 + i % 2, (str(i) * (1 + i % 97)).encode())
`;
    stream.send({ type: 'run.start', handle: 0, request: python(source) });
    const run = await stream.exit(0);
    let next = 0;
    for (const event of stream.events) {
      if (event.type !== 'output') continue;
      assert.equal(event.seq, next);
      next += event.data.length;
    }
    assert.equal(next, run.outputBytes);
    const expected = (parity: number) =>
      Array.from({ length: 500 }, (_, i) => (i % 2 === parity ? `${i}`.repeat(1 + (i % 97)) : '')).join('');
    assert.equal(stream.text(0, CHANNEL.stdout), expected(0));
    assert.equal(stream.text(0, CHANNEL.stderr), expected(1));
  });

  it('carries input as it is typed, and its end', async () => {
    await using stream = await daemon.stream();
    const source = `
import sys
for line in sys.stdin:
    print('echo', line, end='', flush=True)
print('end')
`;
    stream.send({ type: 'run.start', handle: 1, request: python(source) });
    stream.stdin(1, 'early\n');
    await stream.printed(1, 'echo early\n');
    stream.send({ type: 'stdin', handle: 1, data: 'als JSON ü\n' });
    await stream.printed(1, 'als JSON ü\n');
    stream.send({ type: 'stdin', handle: 1, data: Buffer.from('base64\n').toString('base64'), encoding: 'base64' });
    await stream.printed(1, 'base64\n');
    stream.send({ type: 'stdin.eof', handle: 1 });
    const run = await stream.exit(1);
    assert.equal(run.state, 'succeeded');
    assert.match(stream.text(1), /end\n$/);
    const all = Buffer.byteLength('early\nals JSON ü\nbase64\n');
    assert.equal(run.inputBytes, all);
    assert.equal(stream.events.findLast((event) => event.type === 'stdin.credit')?.seq, all);
  });

  it('takes each byte of input once, however often it is sent, and none behind a hole', async () => {
    await using first = await daemon.stream();
    const source = `
import signal, sys
print('ready', flush=True)
print(sys.stdin.read(), end='', flush=True)
signal.pause()`;
    first.send({ type: 'run.start', handle: 1, request: python(source) });
    await first.printed(1, 'ready');
    const { id } = await first.state(1, 'running');
    first.stdin(1, 'abcd');
    first.send({ type: 'stdin', handle: 1, seq: 2, data: 'cdef' });
    first.stdin(1, 'abc', 0);
    await first.until((event): event is StreamEvent => event.type === 'stdin.credit' && event.seq === 6);
    first.stdin(1, 'hole', 7);
    const { code, details } = await first.error(1);
    assert.deepEqual([code, details], ['stdin_gap', { next: 6 }]);

    await using back = await daemon.stream();
    back.send({ type: 'run.subscribe', handle: 9, id });
    assert.equal((await back.state(9, 'running')).inputBytes, 6);
    await back.until((event): event is StreamEvent => event.type === 'stdin.credit' && event.seq === 6);
    back.send({ type: 'stdin.eof', handle: 9, seq: 8 });
    assert.equal((await back.error(9)).code, 'stdin_gap');
    back.stdin(9, 'efgh', 4);
    const rest = (query: string, body: string) => daemon.fetch('POST', `/v1/runs/${id}/stdin?${query}`, body);
    for (const [query, body, status] of [
      ['seq=6', 'ghij', 204],
      ['seq=11', 'hole', 409],
      ['seq=6&eof=1', 'ghij', 204],
      // The end was lost as well, as far as this client knows.
      ['seq=8&eof=1', 'ij', 204],
      ['seq=10', 'more', 409],
      ['eof=1', '', 409],
    ] as const)
      assert.equal((await rest(query, body)).status, status, query);
    back.send({ type: 'stdin.eof', handle: 9, seq: 10 });
    await back.printed(9, 'j');
    back.send({ type: 'run.cancel', handle: 9 });
    const run = await back.exit(9);
    assert.equal(back.text(9), 'ready\nabcdefghij');
    assert.equal(run.inputBytes, 10);
    assert.equal(back.events.filter(({ type }) => type === 'error').length, 1);
  });

  it('takes no more input than the window while the program does not read, and says so', async () => {
    await using stream = await daemon.stream();
    const request = python("print('ready', flush=True)\nimport signal\nsignal.pause()");
    stream.send({ type: 'run.start', handle: 1, request });
    await stream.printed(1, 'ready');
    // What the pipe holds was taken off the window, so this is more than both together.
    for (let sent = 0; sent < 4 * STDIN_WINDOW_BYTES; sent += 2 ** 16) stream.stdin(1, Buffer.alloc(2 ** 16));
    assert.equal((await stream.error(1)).code, 'stdin_overflow');
    stream.send({ type: 'run.cancel', handle: 1 });
    assert.equal((await stream.exit(1)).state, 'cancelled');
  });

  it('carries signals to the program', async () => {
    await using stream = await daemon.stream();
    const source = `
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(9))
print('ready', flush=True)
while True: signal.pause()
`;
    stream.send({ type: 'run.start', handle: 1, request: python(source) });
    await stream.printed(1, 'ready');
    stream.send({ type: 'signal', handle: 1, signal: 'SIGINT' });
    assert.equal((await stream.exit(1)).exitCode, 9);
  });

  it('gives a terminal its size, and its new size', async () => {
    await using stream = await daemon.stream();
    const source = `
import os, signal, sys
size = lambda *_: print(os.get_terminal_size(), sys.stdin.isatty(), flush=True)
signal.signal(signal.SIGWINCH, size)
size()
while True: signal.pause()
`;
    stream.send({ type: 'run.start', handle: 1, request: python(source, { tty: { rows: 11, cols: 22 } }) });
    await stream.printed(1, 'columns=22, lines=11) True');
    stream.send({ type: 'resize', handle: 1, rows: 33, cols: 44 });
    await stream.printed(1, 'columns=44, lines=33) True');
    stream.send({ type: 'signal', handle: 1, signal: 'SIGKILL' });
    assert.equal((await stream.exit(1)).signal, 'SIGKILL');
  });

  it('lets a client that comes back go on where it was, and any number of clients follow', async () => {
    await using first = await daemon.stream();
    first.send({ type: 'run.start', handle: 1, request: python(WAITS) });
    const { id } = await first.state(1, 'running');
    await first.printed(1, 'ready\n');
    await using back = await daemon.stream();
    back.send({ type: 'run.subscribe', handle: 4, id, from: 3 });
    await back.printed(4, 'dy\n');
    await using second = await daemon.stream();
    second.send({ type: 'run.subscribe', handle: 1, id });
    second.send({ type: 'run.subscribe', handle: 2, id });
    await second.printed(2, 'ready\n');
    await first[Symbol.asyncDispose]();
    back.stdin(4, 'hello\n');
    await Promise.all([back.exit(4), second.exit(1), second.exit(2)]);
    assert.equal(back.text(4), 'dy\ngot hello\n');
    for (const handle of [1, 2]) assert.equal(second.text(handle), 'ready\ngot hello\n');
  });

  it('shows the output and the end of a run that is over', async () => {
    const { run } = await daemon.runToEnd(python("print('over')"));
    await using stream = await daemon.stream();
    stream.send({ type: 'run.subscribe', handle: 1, id: run.id, from: 2 });
    assert.deepEqual(await stream.exit(1), run);
    assert.equal(stream.text(1), 'er\n');
  });

  it('stops the program of a reader that does not acknowledge, and lets it go on when it does', async () => {
    const total = 16 * 2 ** 20;
    await using stream = await daemon.stream({ ack: false });
    stream.send({ type: 'run.start', handle: 1, request: python(FLOODS(total), { collect: ['progress.txt'] }) });
    await stream.printed(1, WINDOW);
    stream.stdin(1, 'how far?\n');
    await stream.until((event): event is StreamEvent => event.type === 'stdin.credit');
    assert.ok(stream.bytes(1).length < 3 * WINDOW, 'no more than the window is sent without being acknowledged');
    // From here on everything is acknowledged as it comes.
    for (let at = 0; ; ) {
      const next = await stream.until(
        (event): event is Output | Extract<ServerMessage, { type: 'run.exit' }> =>
          event.type === 'run.exit' || (event.type === 'output' && event.seq >= at),
      );
      if (next.type === 'run.exit') {
        assert.equal(next.run.state, 'succeeded');
        const [file] = next.run.files;
        const noted = Number(await (await daemon.fetch('GET', `/v1/blobs/${file?.sha256}`)).text());
        // What it may be ahead: the window twice (kept, and under way), its pipe, and what the agent holds.
        assert.ok(noted < 8 * WINDOW, `the program was ${noted} bytes ahead`);
        break;
      }
      at = next.seq + next.data.length;
      stream.send({ type: 'ack', handle: 1, seq: at });
    }
    assert.equal(stream.bytes(1, CHANNEL.stdout).length, total);
    assert.ok(!stream.events.some(isGap), 'nothing was lost');
  });

  it('tells a reader that lags behind others what it missed, and lets nobody wait for it', async () => {
    await using quick = await daemon.stream();
    const total = 20 * WINDOW;
    const source = `${WAITS}import os\nfor _ in range(20): os.write(1, b'x' * ${WINDOW})`;
    quick.send({ type: 'run.start', handle: 1, request: python(source) });
    const { id } = await quick.state(1, 'running');
    await using slow = await daemon.stream({ ack: false });
    slow.send({ type: 'run.subscribe', handle: 1, id });
    await slow.printed(1, 'ready');
    quick.stdin(1, 'go\n');
    const run = await quick.exit(1);
    assert.equal(quick.bytes(1).length, run.outputBytes);
    assert.ok(run.outputBytes > total);
    const sent = slow.bytes(1).length;
    slow.send({ type: 'ack', handle: 1, seq: sent });
    const gap = await slow.until(isGap);
    assert.equal(gap.to, run.outputBytes - WINDOW, 'the latest output is still there');
    await slow.until((event): event is Output => event.type === 'output' && event.seq >= gap.to);
    slow.send({ type: 'ack', handle: 1, seq: gap.to + 1 });
    slow.send({ type: 'ack', handle: 1, seq: run.outputBytes });
    await slow.exit(1);
    assert.equal(slow.bytes(1).length + gap.to - gap.from, run.outputBytes);
  });

  it('lets a program go on when its only reader is gone', async () => {
    await using stream = await daemon.stream({ ack: false });
    stream.send({ type: 'run.start', handle: 1, request: python(FLOODS(2 ** 22)) });
    const { id } = await stream.state(1, 'running');
    await stream.printed(1, WINDOW);
    await stream[Symbol.asyncDispose]();
    const { run } = await daemon.follow(id);
    assert.equal(run.state, 'succeeded');
    assert.equal(run.outputBytes, 2 ** 22);
  });

  it('ends a run that nobody has followed for as long as it asked for, and no other', async () => {
    await using one = await daemon.stream();
    await using other = await daemon.stream();
    const seconds = "import time\nprint('begun', flush=True)\ntime.sleep(0.5)\nprint('finished')";
    const request = python(seconds, { orphanMs: 50 });
    one.send({ type: 'run.start', handle: 1, request });
    await one.printed(1, 'begun');
    const { id } = await one.state(1, 'running');
    other.send({ type: 'run.subscribe', handle: 1, id });
    await other.printed(1, 'begun');
    one.send({ type: 'run.unsubscribe', handle: 1 });
    assert.equal((await other.exit(1)).state, 'succeeded', 'somebody still looked');

    one.send({ type: 'run.start', handle: 2, request: python(WAITS, { orphanMs: 50 }) });
    await one.printed(2, 'ready');
    const deserted = (await one.state(2, 'running')).id;
    one.send({ type: 'run.unsubscribe', handle: 2 });
    const run = await ended(deserted);
    assert.equal(run.state, 'cancelled');
    assert.match(run.message ?? '', /nobody followed it for 50 ms/);

    // Asked for over HTTP, it has no follower from the beginning on.
    const { id: never } = await daemon.start(python(WAITS, { orphanMs: 1 }));
    assert.equal((await ended(never)).state, 'cancelled');
  });

  it('carries many runs over one connection, each with its own', async () => {
    await using stream = await daemon.stream();
    const handles = [0, 1, 2, 0xffff_ffff];
    for (const handle of handles)
      stream.send({ type: 'run.start', handle, request: python(`print(${handle})\nprint(input())`) });
    for (const handle of handles) stream.stdin(handle, `input ${handle}\n`);
    for (const handle of handles) {
      await stream.exit(handle);
      assert.equal(stream.text(handle), `${handle}\ninput ${handle}\n`);
    }
  });

  it('gives a handle back after the end and after run.unsubscribe', async () => {
    await using stream = await daemon.stream();
    stream.send({ type: 'run.start', handle: 1, request: python(WAITS) });
    const { id } = await stream.state(1, 'running');
    stream.send({ type: 'run.subscribe', handle: 1, id });
    assert.equal((await stream.error(1)).code, 'bad_request');
    stream.send({ type: 'run.unsubscribe', handle: 1 });
    stream.send({ type: 'run.subscribe', handle: 1, id });
    stream.stdin(1, 'again\n');
    await stream.exit(1);
    stream.send({ type: 'run.subscribe', handle: 1, id, from: 999 });
    assert.equal((await daemon.follow(id)).stdout, 'ready\ngot again\n');
  });

  it('carries input of any size without loss', async () => {
    const input = Buffer.alloc(3 * STDIN_WINDOW_BYTES, 'input of any size\n');
    await using stream = await daemon.stream();
    const source = 'import hashlib, sys\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())';
    stream.send({ type: 'run.start', handle: 1, request: python(source) });
    type Credit = Extract<ServerMessage, { type: 'stdin.credit' }>;
    let room = STDIN_WINDOW_BYTES;
    for (let sent = 0; sent < input.length; ) {
      const piece = input.subarray(sent, sent + Math.min(room, 2 ** 15));
      stream.stdin(1, piece);
      sent += piece.length;
      room -= piece.length;
      if (room > 0) continue;
      const credit = await stream.until(
        (event): event is Credit => event.type === 'stdin.credit' && event.seq + STDIN_WINDOW_BYTES > sent,
      );
      room = credit.seq + STDIN_WINDOW_BYTES - sent;
    }
    stream.send({ type: 'stdin.eof', handle: 1 });
    await stream.exit(1);
    assert.equal(stream.text(1).trim(), createHash('sha256').update(input).digest('hex'));
  });
});
