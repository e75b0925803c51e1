import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ERRORS, type ErrorBody } from '../../src/protocol/index.ts';
import { anApp, type TestApp } from '../support/app.ts';
import { cleanUpAfterEach } from '../support/daemon.ts';

cleanUpAfterEach();

interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  error: ErrorBody | undefined;
}

/** A request as it is written on the wire, with any `Host`. */
async function ask(
  { port }: AddressInfo,
  method: string,
  path: string,
  headers: Record<string, string>,
  address = '127.0.0.1',
): Promise<Answer> {
  const sent = request({ host: address, port, method, path, headers, setHost: headers.host === undefined });
  sent.end();
  const [response] = await once(sent, 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  let error: ErrorBody | undefined;
  try {
    ({ error } = JSON.parse(Buffer.concat(chunks).toString()));
  } catch {
    // a page or a file
  }
  return { status: response.statusCode, headers: response.headers, error };
}

/** Every route that was built, with something in the place of its parameters. */
function routesOf(app: TestApp): { method: string; path: string }[] {
  const found = app.routes.map(({ method, url }) => ({
    method,
    path: url
      .replace(':sha256', 'a'.repeat(64))
      .replace(/\/:[a-z]+/g, '/x')
      .replace('::', ':')
      .replace('*', 'x'),
  }));
  assert.ok(found.length > 20, 'the routes were listed');
  for (const known of ['/v1/runs', '/v1/stream', '/metrics', '/docs'])
    assert.ok(
      found.some(({ path }) => path === known),
      `${known} is among them`,
    );
  return found;
}

describe('who may ask', () => {
  const TOKEN = 'the-token';
  const BEARER = { authorization: `Bearer ${TOKEN}` };

  it('is only who knows the token, on every route but /healthz', async () => {
    const app = await anApp({ token: TOKEN });
    const wrong = [
      {},
      { authorization: 'Bearer' },
      { authorization: 'Bearer ' },
      { authorization: 'Bearer the-toke' },
      { authorization: 'Bearer the-tokens' },
      { authorization: `Token ${TOKEN}` },
      { authorization: TOKEN },
    ] as Record<string, string>[];
    for (const { method, path } of routesOf(app)) {
      for (const headers of wrong) {
        const { status, error } = await ask(app.address, method, path, headers);
        if (path === '/healthz') assert.equal(status, 200);
        else assert.equal(status, 401, `${method} ${path} ${JSON.stringify(headers)}`);
        if (path !== '/healthz' && method !== 'HEAD') assert.equal(error?.code, 'unauthorized');
      }
    }
  });

  it('is only who calls the daemon by its own name, on every route', async () => {
    const app = await anApp({ token: TOKEN });
    const { port } = app.address;
    for (const { method, path } of routesOf(app)) {
      for (const host of [
        'evil.example',
        `evil.example:${port}`,
        '127.0.0.1',
        `127.0.0.1:${port + 1}`,
        '',
        'localhost',
      ]) {
        const { status, error } = await ask(app.address, method, path, { ...BEARER, host });
        assert.equal(status, 403, `${method} ${path} as ${host}`);
        if (method !== 'HEAD') assert.equal(error?.code, 'forbidden_host');
      }
    }
  });

  it('is no web page, on every route', async () => {
    const app = await anApp({ token: TOKEN });
    const { port } = app.address;
    for (const { method, path } of routesOf(app)) {
      for (const origin of ['http://evil.example', 'null', `http://localhost:${port + 1}`, 'vscode-webview://x', '']) {
        const { status, error } = await ask(app.address, method, path, { ...BEARER, origin });
        assert.equal(status, 403, `${method} ${path} from ${origin}`);
        if (method !== 'HEAD') assert.equal(error?.code, 'forbidden_origin');
      }
    }
  });

  it('may be told of nothing that is not there, without the token', async () => {
    const app = await anApp({ token: TOKEN });
    assert.equal((await ask(app.address, 'GET', '/v1/nothing', {})).status, 401);
    assert.equal((await ask(app.address, 'GET', '/v1/nothing', BEARER)).error?.code, 'not_found');
  });

  it('may call it by its address or localhost, or by a name that was allowed', async () => {
    const app = await anApp({ token: TOKEN, allowedHosts: ['box.example', 'other.example:8080'] });
    const { port } = app.address;
    const status = async (host: string) => (await ask(app.address, 'GET', '/v1/status', { ...BEARER, host })).status;
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'box.example', 'box.example:9', 'other.example:8080'])
      assert.equal(await status(host), 200, host);
    for (const host of ['other.example', 'other.example:80', 'sub.box.example', 'box.example.evil'])
      assert.equal(await status(host), 403, host);
  });

  it('may be the daemon’s own page, or one whose origin was allowed', async () => {
    const app = await anApp({ token: TOKEN, allowedOrigins: ['https://ide.example'] });
    const { port } = app.address;
    for (const origin of [`http://127.0.0.1:${port}`, 'https://ide.example'])
      assert.equal((await ask(app.address, 'GET', '/v1/status', { ...BEARER, origin })).status, 200, origin);
    for (const origin of ['http://ide.example', 'https://ide.example.evil', `http://localhost:${port}`])
      assert.equal((await ask(app.address, 'GET', '/v1/status', { ...BEARER, origin })).status, 403, origin);
  });

  it('may read the documentation in a browser, with the token as password, and nothing else that way', async () => {
    const app = await anApp({ token: TOKEN });
    const basic = (text: string) => ({ authorization: `Basic ${Buffer.from(text).toString('base64')}` });
    const first = await ask(app.address, 'GET', '/docs/json', {});
    assert.equal(first.status, 401);
    assert.match(String(first.headers['www-authenticate']), /^Basic realm=/);
    assert.equal((await ask(app.address, 'GET', '/docs/json', basic(`anybody:${TOKEN}`))).status, 200);
    assert.equal((await ask(app.address, 'GET', '/docs/json', basic('anybody:wrong'))).status, 401);
    assert.equal((await ask(app.address, 'GET', '/docs/json', basic(`${TOKEN}:`))).status, 401);
    for (const path of ['/v1/status', '/docsx', '/v1/runs?/docs/', '/metrics']) {
      const answer = await ask(app.address, 'GET', path, basic(`anybody:${TOKEN}`));
      assert.equal(answer.status, 401, path);
      assert.equal(answer.headers['www-authenticate'], undefined, 'no other route makes a browser ask for it');
    }
  });

  it('is told what is wrong and how to mend it', async () => {
    const app = await anApp({ token: TOKEN });
    const { error } = await ask(app.address, 'GET', '/v1/status', {});
    assert.deepEqual(error, {
      code: 'unauthorized',
      message: 'The request carries no token.',
      hint: ERRORS.unauthorized.hint,
    });
  });
});
