/** Output without a WebSocket: long-poll and server-sent events. */
import assert from 'node:assert/strict';
import type { OutputChunk, OutputPage, Run } from '../../src/protocol/index.ts';
import { python, TestDaemon, WAITS } from '../support/live-daemon.ts';

const WINDOW = 64 * 1024;

interface ServerSentEvent {
  event: string;
  id: string | undefined;
  data: unknown;
}

/** The events of a response, as they come. */
async function* serverSentEvents(response: Response): AsyncGenerator<ServerSentEvent> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    text += decoder.decode(bytes, { stream: true });
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
      const data = field('data');
      if (data !== undefined) yield { event: field('event') ?? '', id: field('id'), data: JSON.parse(data) };
    }
  }
}

const text = (chunks: OutputChunk[]) =>
  chunks.map(({ data, encoding }) => Buffer.from(data, encoding).toString('latin1')).join('');

describe('output by', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ outputWindow: WINDOW, poolSize: 1 });
  });
  after(() => daemon[Symbol.asyncDispose]());

  const page = (id: string, from: number, wait = 60_000) =>
    daemon.json<OutputPage>('GET', `/v1/runs/${id}/output?from=${from}&wait=${wait}`);

  describe('long-poll', () => {
    it('waits for the first byte, then for the next, then tells the end', async () => {
      const { id } = await daemon.start(python(WAITS));
      let next = 0;
      let printed = '';
      const read = async (until: string) => {
        for (;;) {
          const { chunks, next: after, done } = await page(id, next);
          printed += text(chunks);
          next = after;
          if (done || printed.endsWith(until)) return done;
        }
      };
      assert.equal(await read('ready\n'), false);
      const waiting = read('got it\n');
      await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'it\n');
      await waiting;
      assert.equal(printed, 'ready\ngot it\n');
      const { run } = await daemon.follow(id);
      const last = await page(id, 6);
      assert.equal(text(last.chunks), 'got it\n');
      assert.deepEqual([last.done, last.state, last.next], [true, 'succeeded', run.outputBytes]);
      assert.deepEqual((await page(id, 9_999)).chunks, [], 'nothing comes after the end');
    });

    it('answers at once when it is not to wait', async () => {
      const { id } = await daemon.start(python(WAITS));
      const { chunks, done } = await page(id, 1_000, 0);
      assert.deepEqual([chunks, done], [[], false]);
      await daemon.fetch('DELETE', `/v1/runs/${id}`);
    });

    it('tells the two channels apart, and carries bytes that are no text', async () => {
      const source = "import os\nos.write(1, b'caf\\xc3\\xa9\\n')\nos.write(2, b'\\xff\\xfe')";
      const { run } = await daemon.runToEnd(python(source));
      const { chunks } = await page(run.id, 0);
      const of = (channel: string) => chunks.filter((chunk) => chunk.channel === channel);
      assert.equal(Buffer.from(text(of('stdout')), 'latin1').toString('utf8'), 'café\n');
      assert.equal(text(of('stderr')), '\xff\xfe');
      assert.ok(of('stderr').every(({ encoding }) => encoding === 'base64'));
    });

    it('tells what is gone when nobody was reading', async () => {
      const { run } = await daemon.runToEnd(python(`import os\nfor _ in range(32): os.write(1, b'x' * 8192)`));
      assert.equal(run.outputBytes, 32 * 8192);
      const { gap, chunks, next } = await page(run.id, 0);
      const start = run.outputBytes - WINDOW;
      assert.deepEqual(gap, { from: 0, to: start });
      assert.equal(chunks[0]?.seq, start);
      assert.equal(next, run.outputBytes);
      assert.equal(text(chunks).length, WINDOW);
    });

    it('holds the program to the pace of who reads, and loses nothing', async () => {
      const { id } = await daemon.start(
        python(`${WAITS}import os\nfor i in range(64): os.write(1, bytes([65 + i]) * 8192)`),
      );
      let { next } = await page(id, 0);
      await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'go\n');
      let printed = '';
      for (let done = false; !done; ) {
        const answer = await page(id, next);
        assert.equal(answer.gap, null);
        printed += text(answer.chunks);
        ({ next, done } = answer);
      }
      const expected = Array.from({ length: 64 }, (_, i) => String.fromCharCode(65 + i).repeat(8192)).join('');
      assert.ok(printed.endsWith(`got go\n${expected}`));
    });
  });

  describe('server-sent events', () => {
    const open = (id: string, headers: Record<string, string> = {}) =>
      daemon.fetch('GET', `/v1/runs/${id}/output`, undefined, { accept: 'text/event-stream', ...headers });

    it('comes as it is printed, and the run last', async () => {
      const { id } = await daemon.start(python(WAITS));
      const response = await open(id);
      assert.equal(response.headers.get('content-type'), 'text/event-stream');
      let printed = '';
      let end: ServerSentEvent | undefined;
      for await (const event of serverSentEvents(response)) {
        end = event;
        if (event.event !== 'output') continue;
        printed += text([event.data as OutputChunk]);
        assert.equal(Number(event.id), printed.length);
        if (printed === 'ready\n') await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'it\n');
      }
      assert.equal(printed, 'ready\ngot it\n');
      assert.equal(end?.event, 'exit');
      assert.deepEqual(end?.data, await daemon.run(id));
      assert.equal((end as { data: Run }).data.state, 'succeeded');
    });

    it('goes on after the last event that a browser has seen', async () => {
      const { run } = await daemon.runToEnd(python("print('hello world')"));
      let printed = '';
      for await (const { event, data } of serverSentEvents(await open(run.id, { 'last-event-id': '6' })))
        if (event === 'output') printed += text([data as OutputChunk]);
      assert.equal(printed, 'world\n');
    });

    it('tells what is gone', async () => {
      const { run } = await daemon.runToEnd(python(`import os\nfor _ in range(32): os.write(1, b'x' * 8192)`));
      const events: ServerSentEvent[] = [];
      for await (const event of serverSentEvents(await open(run.id))) events.push(event);
      assert.equal(events[0]?.event, 'gap');
      assert.deepEqual(events[0]?.data, { from: 0, to: run.outputBytes - WINDOW });
      assert.equal(events.at(-1)?.event, 'exit');
    });

    it('lets the program go on when the reader hangs up', async () => {
      const source = `${WAITS}import os\nfor _ in range(256): os.write(1, b'x' * 8192)`;
      const { id } = await daemon.start(python(source));
      const hangUp = new AbortController();
      const response = await fetch(`${daemon.url}/v1/runs/${id}/output`, {
        headers: { authorization: `Bearer ${daemon.token}`, accept: 'text/event-stream' },
        signal: hangUp.signal,
      });
      for await (const { event } of serverSentEvents(response)) if (event === 'output') break;
      hangUp.abort();
      await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'go\n');
      const { run } = await daemon.follow(id);
      assert.equal(run.state, 'succeeded');
    });

    it('is refused for a run that is not there, as an error', async () => {
      const response = await open('r_nothing');
      assert.equal(response.status, 404);
      assert.equal(((await response.json()) as { error: { code: string } }).error.code, 'not_found');
    });
  });
});
