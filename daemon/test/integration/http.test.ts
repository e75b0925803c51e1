/** The daemon's own pages: is it well, what does it count, what can it do. And who may ask. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import type { DaemonStatus, ErrorBody, PoolStatus, RuntimeInfo } from '../../src/protocol/index.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { TestStream } from '../support/stream.ts';

/** What an upgrade to the stream is answered with: its status, and the error's code. */
function upgrade(url: string, headers: Record<string, string>): Promise<{ status: number; code?: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(`${url}/v1/stream`, {
      agent: false,
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
        'sec-websocket-protocol': 'coderunner.v1',
        ...headers,
      },
    });
    asked.on('upgrade', (_response, socket) => {
      socket.destroy();
      resolve({ status: 101 });
    });
    asked.on('response', async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode ?? 0, code: (JSON.parse(body) as { error: ErrorBody }).error.code });
    });
    asked.on('error', reject);
    asked.end();
  });
}

describe('the daemon', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ allowedOrigins: ['https://good.example'] });
  });
  after(() => daemon[Symbol.asyncDispose]());

  it('is alive, and says so to anybody', async () => {
    const response = await fetch(`${daemon.url}/healthz`);
    assert.deepEqual([response.status, await response.json()], [200, { status: 'ok' }]);
  });

  it('is ready while its engine answers', async () => {
    const response = await daemon.fetch('GET', '/readyz');
    assert.deepEqual([response.status, await response.json()], [200, { ready: true, problems: [] }]);
  });

  it('counts runs, output and streams', async () => {
    await daemon.runToEnd(python("print('12345')"));
    await daemon.runToEnd(python('raise SystemExit(1)'));
    await using _stream = await daemon.stream();
    const text = await (await daemon.fetch('GET', '/metrics')).text();
    for (const line of [
      'coderunner_runs_total{runtime="python",state="succeeded"} 1',
      'coderunner_runs_total{runtime="python",state="failed"} 1',
      'coderunner_output_bytes_total{runtime="python"} 6',
      'coderunner_queue_seconds_count 2',
      'coderunner_runs{state="running"} 0',
      'coderunner_clients 1',
      'coderunner_engine_up 1',
      'coderunner_leases{runtime="python",result="miss"} 2',
    ])
      assert.ok(text.split('\n').includes(line), line);
    // The others of its kind would need a timer that wakes the daemon all the time.
    assert.deepEqual(text.match(/^nodejs_eventloop_lag\w+(?= )/gm), ['nodejs_eventloop_lag_seconds']);
  });

  it('describes its API, every request of it', async () => {
    const document = await daemon.json<{ openapi: string; paths: Record<string, Record<string, unknown>> }>(
      'GET',
      '/docs/json',
    );
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    for (const one of [
      'POST /v1/runs',
      'GET /v1/runs',
      'GET /v1/runs/{id}',
      'DELETE /v1/runs/{id}',
      'POST /v1/runs/{id}/signal',
      'POST /v1/runs/{id}/stdin',
      'GET /v1/runs/{id}/output',
      'POST /v1/blobs/missing',
      'PUT /v1/blobs/{sha256}',
      'GET /v1/blobs/{sha256}',
      'GET /v1/runtimes',
      'GET /v1/pool',
      'GET /v1/status',
      'POST /v1/shutdown',
      'GET /healthz',
      'GET /readyz',
      'GET /metrics',
    ])
      assert.ok(described.includes(one), `${one} is not among ${described.join(', ')}`);
    const page = await fetch(`${daemon.url}/docs/`, {
      headers: { authorization: `Basic ${Buffer.from(`me:${daemon.token}`).toString('base64')}` },
    });
    assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
    assert.match(await page.text(), /swagger/);
  });

  it('lists its languages, its containers and itself', async () => {
    const { runtimes } = await daemon.json<{ runtimes: RuntimeInfo[] }>('GET', '/v1/runtimes');
    const found = runtimes.find(({ id }) => id === 'python');
    assert.deepEqual([found?.state, found?.warm, found?.entry, found?.problem], ['ready', true, 'main.py', null]);
    const pool = await daemon.json<PoolStatus>('GET', '/v1/pool');
    assert.equal(pool.engine.state, 'up');
    const status = await daemon.json<DaemonStatus>('GET', '/v1/status');
    assert.deepEqual([status.pid, status.url, status.clients], [process.pid, daemon.url, 0]);
  });

  it('answers a run with its address', async () => {
    const response = await daemon.fetch('POST', '/v1/runs', python(''));
    const { id } = (await response.json()) as { id: string };
    assert.deepEqual([response.status, response.headers.get('location')], [201, `/v1/runs/${id}`]);
    await daemon.follow(id);
  });

  it('opens the stream only to who has the token, by its own name, and to no web page', async () => {
    const token = { authorization: `Bearer ${daemon.token}` };
    const own = new URL(daemon.url).host;
    assert.deepEqual(await upgrade(daemon.url, token), { status: 101 });
    assert.deepEqual(await upgrade(daemon.url, {}), { status: 401, code: 'unauthorized' });
    assert.deepEqual(await upgrade(daemon.url, { authorization: 'Bearer wrong' }), {
      status: 401,
      code: 'unauthorized',
    });
    assert.deepEqual(await upgrade(daemon.url, { ...token, host: 'evil.example' }), {
      status: 403,
      code: 'forbidden_host',
    });
    assert.deepEqual(await upgrade(daemon.url, { ...token, origin: 'https://evil.example' }), {
      status: 403,
      code: 'forbidden_origin',
    });
    for (const origin of ['https://good.example', `http://${own}`])
      assert.deepEqual(await upgrade(daemon.url, { ...token, origin }), { status: 101 });
  });

  it('counts a stream as a client until it is closed', async () => {
    const stream = await TestStream.open(daemon.url, { authorization: `Bearer ${daemon.token}` });
    assert.equal((await daemon.json<DaemonStatus>('GET', '/v1/status')).clients, 1);
    await stream[Symbol.asyncDispose]();
    while ((await daemon.json<DaemonStatus>('GET', '/v1/status')).clients > 0);
  });
});
