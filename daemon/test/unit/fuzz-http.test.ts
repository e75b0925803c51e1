/** Requests of every form to every route: taken or refused by name, never a defect of the daemon's. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import type { ErrorBody } from '../../src/protocol/index.ts';
import { anApp, type TestApp } from '../support/app.ts';
import { cleanUpAfterEach } from '../support/daemon.ts';

cleanUpAfterEach();

const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(0, -1, 1e308, '', '\u0000', '../..', 'NaN', [], {}, null, 2 ** 53),
);
const maybe = (good: unknown) => fc.oneof(fc.constant(good), odd);

const runRequest = fc.record(
  {
    runtime: maybe('python'),
    entry: maybe('main.py'),
    files: fc.oneof(
      odd,
      fc.array(
        fc.record(
          {
            path: maybe('main.py'),
            content: maybe('print(1)'),
            encoding: maybe('base64'),
            sha256: maybe('0'.repeat(64)),
          },
          { requiredKeys: [] },
        ),
        { maxLength: 3 },
      ),
    ),
    args: maybe(['x']),
    env: maybe({ A: 'b' }),
    stdin: maybe('in'),
    tty: maybe({ rows: 24, cols: 80 }),
    limits: fc.oneof(odd, fc.record({ wallMs: odd, memoryBytes: odd, outputBytes: odd }, { requiredKeys: [] })),
    options: maybe({}),
    services: maybe([]),
    collect: maybe(['*.txt']),
    priority: maybe(0),
    orphanMs: maybe(1_000),
    key: maybe('key'),
  },
  { requiredKeys: [] },
);

const body = fc.oneof(runRequest, odd, fc.string(), fc.uint8Array({ maxLength: 200 }));
const word = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }),
  fc.constantFrom('x', '%', '..', '0'.repeat(64), '9'.repeat(15), '-1', '1', 'queued', 'r_0'),
);
const query = fc.dictionary(fc.constantFrom('limit', 'before', 'state', 'from', 'wait', 'eof', 'seq', 'other'), word);

async function serves(app: TestApp): Promise<void> {
  assert.equal((await app.fetch('GET', '/v1/status')).status, 200);
}

describe('the HTTP side', () => {
  it('answers any request to any route, and is at fault for none', async function () {
    this.timeout(60_000); // for machines that do much else
    const app = await anApp();
    // The stream is no request, and reading the languages again takes nothing that could be wrong.
    const without = ['/v1/stream', '/v1/runtimes/reload'];
    const routes = app.routes.filter(({ url, method }) => !without.includes(url) && method !== 'HEAD');
    assert.ok(routes.length > 20);
    const seen = new Set<number>();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...routes),
        word,
        query,
        body,
        async ({ method, url }, parameter, parameters, content) => {
          const path = url.replace(/:[a-z0-9]+|\*/g, encodeURIComponent(parameter.toWellFormed()));
          const search = new URLSearchParams({ ...parameters, wait: '0' }).toString();
          const hasBody = method !== 'GET' && method !== 'HEAD';
          const response = await app.fetch(method, `${path}?${search}`, hasBody ? content : undefined);
          const text = await response.text();
          seen.add(response.status);
          // Without an engine that is the right answer to what is in order.
          const isFault = response.status >= 500 && response.status !== 503;
          assert.ok(!isFault, `${method} ${path} ${response.status} ${text}`);
          if (response.status >= 400 && method !== 'HEAD' && url.startsWith('/v1/')) {
            const { error } = JSON.parse(text) as { error: ErrorBody };
            assert.match(error.code, /^[a-z_]+$/);
            assert.match(error.message, /\S/);
          }
        },
      ),
      { numRuns: 150 },
    );
    for (const status of [200, 400, 404]) assert.ok(seen.has(status), `${status} is among ${[...seen]}`);
    await serves(app);
  });

  it('takes contents as bytes, and says so to who sends JSON', async () => {
    const app = await anApp();
    const empty = createHash('sha256').digest('hex');
    for (const json of [false, 1, {}, ['x']]) {
      const response = await app.fetch('PUT', `/v1/blobs/${empty}`, json);
      const { error } = (await response.json()) as { error: ErrorBody };
      assert.deepEqual([response.status, error.code], [400, 'bad_request']);
    }
    assert.equal((await app.fetch('PUT', `/v1/blobs/${empty}`)).status, 204);
  });

  it('outlives any bytes', async function () {
    this.timeout(60_000);
    const app = await anApp();
    const { port } = app.address;
    const line = fc.constantFrom(
      'GET /v1/status HTTP/1.1\r\n',
      'POST /v1/runs HTTP/1.1\r\n',
      'GET /v1/stream HTTP/1.1\r\n',
      `Host: 127.0.0.1:${port}\r\n`,
      'Authorization: Bearer token\r\n',
      'Content-Length: 5\r\n',
      'Content-Length: -1\r\n',
      'Transfer-Encoding: chunked\r\n',
      'Content-Type: application/json\r\n',
      'Upgrade: websocket\r\nConnection: Upgrade\r\n',
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: coderunner.v1\r\n',
      '\r\n',
      'ffffffff\r\n',
      '{"a":',
    );
    const bytes = fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 300 }).map((some) => Buffer.from(some)),
      fc.array(line, { minLength: 1, maxLength: 10 }).map((lines) => Buffer.from(lines.join(''))),
      fc
        .tuple(fc.array(line, { minLength: 1, maxLength: 10 }), fc.uint8Array({ maxLength: 100 }))
        .map(([lines, some]) => Buffer.concat([Buffer.from(lines.join('')), some])),
    );
    await fc.assert(
      fc.asyncProperty(bytes, async (sent) => {
        const socket = connect(port, '127.0.0.1');
        const closed = once(socket, 'close');
        socket.on('error', () => {}); // 'close' follows
        let answer = '';
        socket.on('data', (chunk) => {
          answer += chunk.toString('latin1');
          // An upgraded connection stays until its client goes.
          if (answer.startsWith('HTTP/1.1 101')) socket.destroy();
        });
        socket.end(sent);
        await closed;
        assert.doesNotMatch(answer, /^HTTP\/1\.1 500/);
      }),
      { numRuns: 150 },
    );
    await serves(app);
  });
});
