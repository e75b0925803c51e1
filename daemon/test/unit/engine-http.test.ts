/** What is asked of the engine: the answer comes whole, or an error does, whatever becomes of the connection. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import type { Config } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { EngineHttp, Overdue, Refusal } from '../../src/engine/http.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';

const OK = 'HTTP/1.1 200 OK\r\n';

function withLength(body: string, status = OK): string {
  return `${status}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}

function inChunks(...chunks: Buffer[]): Buffer {
  const framed = chunks.flatMap((chunk) => [`${chunk.length.toString(16)}\r\n`, chunk, '\r\n']);
  const all = [`${OK}Transfer-Encoding: chunked\r\n\r\n`, ...framed, '0\r\n\r\n'];
  return Buffer.concat(all.map((piece) => Buffer.from(piece as Buffer)));
}

describe('what is asked of the engine', () => {
  let folder: string;
  let path: string;
  let server: Server;
  let http: EngineHttp;
  /** Every connection that was made, in order. */
  let connections: Socket[];
  const asked = new EventEmitter<{ asked: [string, Socket] }>();

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'coderunner-http-'));
    path = join(folder, 'engine.sock');
    connections = [];
    server = createServer((connection) => {
      connections.push(connection);
      connection.on('error', () => {}); // it is the client's to be cut off
      connection.on('data', (bytes) => asked.emit('asked', bytes.toString(), connection));
    }).listen(path);
    await once(server, 'listening');
    http = new EngineHttp({ host: 'localhost', connect: () => connect({ path }) });
  });

  afterEach(async () => {
    asked.removeAllListeners();
    http.close(new Error('The test is over.'));
    for (const connection of connections) connection.destroy();
    server.close();
    await rm(folder, { recursive: true });
  });

  /** The engine answers each request with the next of these, and the last one to all that follow. */
  function answers(...all: ((connection: Socket, request: string) => void)[]): void {
    let next = 0;
    asked.on('asked', (request, connection) => all[Math.min(next++, all.length - 1)]?.(connection, request));
  }

  it('comes whole, however the connection cuts it, and however its length is told', async () => {
    const values = fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 5 });
    const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(values, cuts, fc.boolean(), async (value, sizes, chunked) => {
        const text = Buffer.from(JSON.stringify(value));
        const wire = chunked ? inChunks(text.subarray(0, 3), text.subarray(3)) : Buffer.from(withLength(`${text}`));
        answers(async (connection) => {
          for (let at = 0, turn = 0; at < wire.length; turn++) {
            const to = at + (sizes[turn % sizes.length] as number);
            connection.write(wire.subarray(at, to));
            await new Promise(setImmediate);
            at = to;
          }
        });
        assert.deepEqual(await http.ask('GET', '/info'), value);
        asked.removeAllListeners();
      }),
      { numRuns: 30 },
    );
    assert.equal(connections.length, 1);
  });

  it('names what is asked for, and says the rest as JSON', async () => {
    answers((connection) => connection.write('HTTP/1.1 204 No Content\r\n\r\n'));
    const request = once(asked, 'asked');
    const query = { force: true, filters: { label: ['a=ä b'] } };
    assert.equal(await http.ask('POST', '/things/create', { query, body: { Name: 'ä' } }), undefined);
    const [head = '', body = ''] = ((await request)[0] as string).split('\r\n\r\n');
    const [line = '', ...headers] = head.split('\r\n');
    const [method, address = ''] = line.split(' ');
    const { pathname, searchParams } = new URL(address, 'http://localhost');
    assert.deepEqual([method, pathname, searchParams.get('force')], ['POST', '/things/create', 'true']);
    assert.deepEqual(JSON.parse(searchParams.get('filters') ?? ''), query.filters);
    assert.deepEqual(headers, ['Host: localhost', 'Content-Type: application/json', 'Content-Length: 13']);
    assert.deepEqual(JSON.parse(body), { Name: 'ä' });
  });

  it('takes a connection of its own while another is asked, and both again afterwards', async () => {
    const held: Socket[] = [];
    answers((connection) => {
      held.push(connection);
      if (held.length === 2) for (const each of held) each.write(withLength('"yes"'));
      if (held.length > 2) connection.write(withLength('"again"'));
    });
    assert.deepEqual(await Promise.all([http.ask('GET', '/a'), http.ask('GET', '/b')]), ['yes', 'yes']);
    assert.equal(await http.ask('GET', '/c'), 'again');
    assert.equal(connections.length, 2);
  });

  it('takes another connection where the engine has ended the one that was kept', async () => {
    answers((connection) => connection.end(withLength('"yes"')));
    assert.equal(await http.ask('GET', '/a'), 'yes');
    await once(connections[0] as Socket, 'close');
    assert.equal(await http.ask('GET', '/a'), 'yes');
    assert.equal(connections.length, 2);
  });

  it('is over with the connection where no length is told', async () => {
    answers((connection) => connection.end(`${OK}\r\n"all of it"`));
    assert.equal(await http.ask('GET', '/a'), 'all of it');
  });

  it('does not take for an answer what was not asked for', async () => {
    answers((connection) => connection.write(withLength('"first"') + withLength('"second"')));
    assert.equal(await http.ask('GET', '/a'), 'first');
    assert.equal(await http.ask('GET', '/b'), 'first');
    assert.equal(connections.length, 2);
  });

  for (const [where, said] of [
    ['before its head', ''],
    ['in its head', 'HTTP/1.1 200 O'],
    ['after its head', `${OK}Content-Length: 10\r\n\r\n`],
    ['in its body', `${OK}Content-Length: 10\r\n\r\n12345`],
    ['before its first chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n`],
    ['in a chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\n123`],
    ['before its last chunk', `${OK}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n`],
  ] as const) {
    it(`fails where the answer is cut off ${where}`, async () => {
      answers((connection) => connection.end(said));
      await assert.rejects(http.ask('GET', '/a'), { code: 'ECONNRESET' });
    });
  }

  it('fails in time where the engine says no more after the head of its answer', async () => {
    answers((connection) => connection.write(`${OK}Transfer-Encoding: chunked\r\n\r\n`));
    await assert.rejects(http.ask('POST', '/wait', { withinMs: 50 }), Overdue);
    await once(connections[0] as Socket, 'close');
  });

  it('fails where nobody speaks HTTP', async () => {
    answers((connection) => connection.write('220 mail.example\r\n\r\n'));
    await assert.rejects(http.ask('GET', '/a'), /does not speak HTTP/);
  });

  for (const size of ['how many?', '', '-6', '+2', ' 2', '2g', '0x2', '100000000']) {
    it(`fails where a chunk has the size ${JSON.stringify(size)}`, async () => {
      answers((connection) => connection.write(`${OK}Transfer-Encoding: chunked\r\n\r\n${size}\r\n{}\r\n0\r\n\r\n`));
      await assert.rejects(http.ask('GET', '/a'), /does not speak HTTP/);
    });
  }

  it('comes also in chunks of which more is said than their size, and with more behind them', async () => {
    const chunks = '1 \r\n"\r\nA;of=b\r\n0123456789\r\n1\r\n"\r\n000\r\nOf: b\r\n\r\n';
    answers((connection) => connection.write(`${OK}Transfer-Encoding: chunked\r\n\r\n${chunks}`));
    assert.equal(await http.ask('GET', '/a'), '0123456789');
    assert.equal(await http.ask('GET', '/b'), '0123456789');
    assert.equal(connections.length, 1);
  });

  const MIB = 2 ** 20;
  const chunked = `${OK}Transfer-Encoding: chunked\r\n\r\n`;
  for (const [how, head, piece] of [
    ['in one piece that says how long it is', `${OK}Content-Length: ${65 * MIB}\r\n\r\n`, 'x'.repeat(MIB)],
    ['in chunks', chunked, `${MIB.toString(16)}\r\n${'x'.repeat(MIB)}\r\n`],
    ['in a chunk that is larger', `${chunked}${(65 * MIB).toString(16)}\r\n`, 'x'.repeat(MIB)],
    ['to the end of the connection', `${OK}\r\n`, 'x'.repeat(MIB)],
  ] as const) {
    it(`fails where it has more than 64 MiB, ${how}`, async () => {
      answers((connection) => void Readable.from([head, ...Array<string>(65).fill(piece)]).pipe(connection));
      await assert.rejects(http.ask('GET', '/a', { withinMs: 5_000 }), /more than 64 MiB/);
      assert.equal(connections.length, 1);
    });
  }

  it('fails where its head has no end', async () => {
    answers((connection) => connection.write(`${OK}X: ${'x'.repeat(MIB)}`));
    await assert.rejects(http.ask('GET', '/a', { withinMs: 5_000 }), /does not speak HTTP/);
  });

  it('takes no more time for each of its bytes where it has many', async () => {
    const chunks = Array<Buffer>(60).fill(Buffer.alloc(MIB, 'x'));
    answers((connection) => connection.write(inChunks(...chunks)));
    const said = await http.ask<string>('GET', '/a', { withinMs: 8_000 });
    assert.ok(Buffer.concat(chunks).equals(Buffer.from(said)));
  });

  it('is refused with what the engine says', async () => {
    const no = (body: string) => (connection: Socket) =>
      connection.write(withLength(body, 'HTTP/1.1 409 Conflict\r\n'));
    answers(no('{"message":"already there"}'), no('no JSON'), no(''));
    const refusal = (message: string) => (error: unknown) =>
      error instanceof Refusal && error.statusCode === 409 && error.message === message;
    await assert.rejects(http.ask('POST', '/a'), refusal('already there (HTTP 409)'));
    await assert.rejects(http.ask('POST', '/a'), refusal('no JSON (HTTP 409)'));
    await assert.rejects(http.ask('POST', '/a'), refusal('(HTTP 409)'));
    assert.equal(connections.length, 1);
  });

  it('becomes a conversation, of which nothing is lost', async () => {
    answers((connection) => {
      asked.removeAllListeners();
      connection.on('data', (bytes) => connection.end(`you said ${bytes}`));
      connection.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nhello, ');
    });
    const conversation = await http.converse('/attach', { stream: true });
    // It is no longer the client's.
    http.close(new Error('It went away.'));
    conversation.write('this');
    let said = '';
    for await (const bytes of conversation) said += bytes;
    assert.equal(said, 'hello, you said this');
  });

  it('is a conversation however much is said in it', async () => {
    answers((connection) => {
      asked.removeAllListeners();
      connection.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      connection.end(Buffer.alloc(65 * MIB));
    });
    let said = 0;
    for await (const bytes of await http.converse('/attach', { stream: true })) said += bytes.length;
    assert.equal(said, 65 * MIB);
  });

  it('is no conversation where the engine says no', async () => {
    answers((connection) => connection.write(withLength('{"message":"gone"}', 'HTTP/1.1 404 Not Found\r\n')));
    await assert.rejects(http.converse('/attach', {}), { statusCode: 404, message: 'gone (HTTP 404)' });
  });

  it('ends, with the reason, when the engine is given up, and nothing can be asked then', async () => {
    const heard = once(asked, 'asked');
    const answer = http.ask('GET', '/a');
    const reason = new Error('It went away.');
    const refused = assert.rejects(answer, reason);
    await heard;
    http.close(reason);
    await refused;
    await assert.rejects(http.ask('GET', '/a'), reason);
    assert.equal(connections.length, 1);
  });

  for (const cut of ['/_ping', '/version', '/info']) {
    it(`finds no engine where its answer to ${cut} is cut off after the head`, async () => {
      answers((connection, request) =>
        request.startsWith(`GET ${cut} `)
          ? connection.end(`${OK}Content-Length: 10\r\n\r\n`)
          : connection.write(withLength('{}')),
      );
      const unavailable = (error: unknown) => error instanceof CodeRunnerError && error.code === 'engine_unavailable';
      await assert.rejects(Engine.connect({ engine: `unix://${path}` } as Config), unavailable);
    });
  }
});
