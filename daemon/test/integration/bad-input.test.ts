/** What is wrong, from whatever side: it is answered with a code, a sentence and a way out; nothing crashes, nothing is lost. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import type { ErrorBody, ErrorCode, Run } from '../../src/protocol/index.ts';
import { sha256 } from '../support/daemon.ts';
import { EngineProxy } from '../support/engine-proxy.ts';
import { dataFolder, python, TestDaemon, WAITS } from '../support/live-daemon.ts';

/** A sentence, and a way out. */
function assertHelps(error: ErrorBody, code: ErrorCode, message?: RegExp): void {
  assert.equal(error.code, code, error.message);
  assert.match(error.message, /^\S.*\.$/s);
  assert.doesNotMatch(error.message, /\n/, 'it fits on one line');
  assert.ok(error.message.length < 1_000);
  assert.match(error.hint ?? '', /\S.*\S/);
  if (message) assert.match(error.message, message);
}

const file = (path: string) => ({ path, content: '' });
const named = (path: string) => ({ runtime: 'python', entry: 'main.py', files: [file('main.py'), file(path)] });
const limited = (value: unknown) => ({ ...python(''), limits: { wallMs: value } });

const BAD: { title: string; request: unknown; code: ErrorCode; message?: RegExp }[] = [
  {
    title: 'an unknown runtime',
    request: { runtime: 'cobol', files: [file('main.cob')] },
    code: 'unknown_runtime',
    message: /"cobol".*javascript, python/,
  },
  {
    title: 'a missing entry',
    request: { runtime: 'python', entry: 'app.py', files: [file('main.py')] },
    code: 'entry_missing',
    message: /"app\.py"/,
  },
  { title: 'no files', request: { runtime: 'python', files: [] }, code: 'entry_missing' },
  { title: 'a path with ..', request: named('a/../../etc/passwd'), code: 'bad_path', message: /'\.\.'/ },
  { title: 'an absolute path', request: named('/etc/passwd'), code: 'bad_path', message: /absolute/ },
  { title: 'a name with a newline', request: named('a\nb'), code: 'bad_path', message: /control character/ },
  { title: 'a name of 5,000 characters', request: named('x'.repeat(5_000)), code: 'bad_path' },
  { title: 'a limit of 0', request: limited(0), code: 'bad_limit', message: /limits\.wallMs is 0, but takes/ },
  { title: 'a limit of −1', request: limited(-1), code: 'bad_limit', message: /is -1, but takes/ },
  { title: 'a limit of 1e308', request: limited(1e308), code: 'bad_limit', message: /is 1e\+308, but takes/ },
  { title: 'a limit of "5"', request: limited('5'), code: 'bad_limit', message: /is "5", but takes/ },
  { title: 'an unknown field', request: { ...python(''), network: true }, code: 'bad_request' },
  { title: 'a request that is a list', request: [], code: 'bad_request' },
  {
    title: '100,000 files',
    request: { runtime: 'python', files: Array.from({ length: 100_000 }, (_, i) => file(`${i}.py`)) },
    code: 'too_many_files',
    message: /100,000 files; at most 10,000/,
  },
  {
    title: 'contents that were not uploaded',
    request: { runtime: 'python', files: [{ path: 'main.py', sha256: sha256('elsewhere') }] },
    code: 'blobs_missing',
  },
];

describe('bad input', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
  });
  after(() => daemon[Symbol.asyncDispose]());
  afterEach(async () => {
    assert.equal((await fetch(`${daemon.url}/healthz`)).status, 200);
  });

  for (const { title, request, code, message } of BAD) {
    it(`${title} is ${code}, over HTTP and over the stream`, async () => {
      assertHelps(await daemon.refusal('POST', '/v1/runs', request), code, message);
      await using stream = await daemon.stream();
      stream.send({ type: 'run.start', handle: 3, request });
      // What has the wrong form has no handle that could be trusted.
      assertHelps(await stream.error(code === 'bad_request' ? undefined : 3), code, message);
      stream.send({ type: 'run.start', handle: 3, request: python("print('still here')") });
      await stream.printed(3, 'still here');
    });
  }

  for (const body of ['{"files": [], "limits": {"wallMs": NaN}}', '', '{"files": ', 'hello', '"', '\0'])
    it(`${JSON.stringify(body)} is no JSON, and said to be none`, async () => {
      const headers = { 'content-type': 'application/json' };
      assertHelps(await daemon.refusal('POST', '/v1/runs', body, headers), 'bad_request');
    });

  it('other media types are refused with what is taken', async () => {
    const headers = { 'content-type': 'text/xml' };
    assertHelps(await daemon.refusal('POST', '/v1/runs', '<run/>', headers), 'bad_request');
  });

  it('what is not there is not found', async () => {
    for (const path of ['/v1/nothing', '/v1/runs/r_nothing', `/v1/blobs/${sha256('nothing')}`])
      assertHelps(await daemon.refusal('GET', path), 'not_found');
    for (const path of ['/v1/runs?limit=0', '/v1/runs?limit=1001'])
      assertHelps(await daemon.refusal('GET', path), 'bad_limit');
    for (const path of ['/v1/runs?limit=-1', '/v1/runs?state=happy', '/v1/runs/x/output?from=-1', '/v1/blobs/short'])
      assertHelps(await daemon.refusal('GET', path), 'bad_request');
  });

  describe('contents', () => {
    it('of 200 MB are too large, announced or not, and leave nothing behind', async () => {
      const path = `/v1/blobs/${sha256('large')}`;
      const announced = await daemon.refusal('PUT', path, Buffer.alloc(200_000_000));
      assertHelps(announced, 'too_large', /191 MiB.*CODERUNNER_MAX_FILE_BYTES/);
      const chunk = new Uint8Array(2 ** 20);
      let left = 200;
      const response = await fetch(`${daemon.url}${path}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${daemon.token}`, 'content-type': 'application/octet-stream' },
        body: new ReadableStream({
          pull(controller) {
            if (left-- > 0) controller.enqueue(chunk);
            else controller.close();
          },
        }),
        duplex: 'half',
      } as RequestInit);
      assertHelps(((await response.json()) as { error: ErrorBody }).error, 'too_large');
      assertHelps(await daemon.refusal('GET', path), 'not_found');
    });

    it('in one message of more than 32 MiB are too large', async () => {
      const request = python('#'.repeat(40 * 2 ** 20));
      assertHelps(await daemon.refusal('POST', '/v1/runs', request), 'too_large', /32 MiB/);
    });

    it('of another hash are refused and not kept', async () => {
      const hash = sha256('these');
      assertHelps(await daemon.refusal('PUT', `/v1/blobs/${hash}`, 'those'), 'hash_mismatch', new RegExp(hash));
      const { missing } = await daemon.json<{ missing: string[] }>('POST', '/v1/blobs/missing', { sha256: [hash] });
      assert.deepEqual(missing, [hash]);
    });

    it('that several clients send at once are all taken, and are there once', async () => {
      const bytes = Buffer.alloc(2 ** 20, 'the same');
      const hash = sha256(bytes);
      const sent = await Promise.all(Array.from({ length: 8 }, () => daemon.fetch('PUT', `/v1/blobs/${hash}`, bytes)));
      assert.deepEqual(
        sent.map(({ status }) => status),
        Array(8).fill(204),
      );
      const back = await daemon.fetch('GET', `/v1/blobs/${hash}`);
      assert.equal(sha256(new Uint8Array(await back.arrayBuffer())), hash);
    });
  });

  describe('garbage on the stream', () => {
    const GARBAGE: [string, string | Buffer, ErrorCode][] = [
      ['text that is no JSON', 'hello', 'protocol_error'],
      ['nothing', '', 'protocol_error'],
      ['null', 'null', 'protocol_error'],
      ['a list', '[]', 'protocol_error'],
      ['a message without a type', '{"handle":1}', 'protocol_error'],
      ['a message of an unknown type', '{"type":"run.delete","handle":1}', 'protocol_error'],
      ['a type that every object has', '{"type":"__proto__","handle":1}', 'protocol_error'],
      ['a type of depth', `{"type":${'['.repeat(100_000)}${']'.repeat(100_000)},"handle":1}`, 'protocol_error'],
      ['a message of the wrong form', '{"type":"ack","handle":1,"seq":-1}', 'bad_request'],
      ['a handle that is none', '{"type":"stdin.eof","handle":4294967296}', 'bad_request'],
      ['a binary message that is too short', Buffer.from([0, 1, 2]), 'protocol_error'],
      ['a binary message of no channel', Buffer.alloc(13, 9), 'protocol_error'],
      ['output from a client', Buffer.concat([Buffer.from([1]), Buffer.alloc(12)]), 'protocol_error'],
      ['an offset beyond all', Buffer.concat([Buffer.alloc(5), Buffer.alloc(8, 255)]), 'protocol_error'],
    ];
    for (const [title, garbage, code] of GARBAGE)
      it(`${title} is ${code}, and the connection goes on`, async () => {
        await using stream = await daemon.stream();
        stream.socket.send(garbage);
        assertHelps(await stream.error(), code);
        stream.send({ type: 'run.start', handle: 1, request: python("print('fine')") });
        assert.equal((await stream.exit(1)).state, 'succeeded');
      });

    it('messages for a handle that is not in use are nobody’s mistake', async () => {
      await using stream = await daemon.stream();
      for (const type of ['run.unsubscribe', 'run.cancel', 'stdin.eof']) stream.send({ type, handle: 9 });
      stream.send({ type: 'ack', handle: 9, seq: 5 });
      stream.stdin(9, 'nobody');
      stream.send({ type: 'run.start', handle: 9, request: python('') });
      await stream.exit(9);
      assert.ok(stream.events.every(({ type }) => type !== 'error'));
    });
  });
});

describe('an engine that is not there', () => {
  it('is said at /readyz and for each run; the daemon serves all else, and runs once it comes', async () => {
    await using proxy = await EngineProxy.start();
    await proxy.cut();
    await using daemon = await TestDaemon.start({ engine: proxy.address });
    const ready = await daemon.fetch('GET', '/readyz');
    assert.equal(ready.status, 503);
    assert.match(((await ready.json()) as { problems: string[] }).problems[0] ?? '', /container engine/);
    assertHelps(await daemon.refusal('POST', '/v1/runs', python('')), 'engine_unavailable');
    assert.equal((await daemon.fetch('GET', '/v1/runs')).status, 200);
    await proxy.restore();
    while ((await daemon.fetch('GET', '/readyz')).status !== 200);
    assert.equal((await daemon.runToEnd(python("print('now')"))).stdout, 'now\n');
  });

  it('in the middle costs the run that was running, says so, and keeps those that wait', async () => {
    await using proxy = await EngineProxy.start();
    await using daemon = await TestDaemon.start({ engine: proxy.address, maxRunning: 1 });
    await using stream = await daemon.stream();
    stream.send({ type: 'run.start', handle: 1, request: python(WAITS) });
    await stream.printed(1, 'ready\n');
    const waiting = await daemon.start(python("print('after all')"));
    await proxy.cut();
    const lost = await stream.exit(1);
    assert.equal(lost.state, 'lost');
    assert.match(lost.message ?? '', /^Lost: .*engine went away/);
    assert.equal(stream.text(1), 'ready\n');
    await proxy.restore();
    const { run, stdout } = await daemon.follow(waiting.id);
    assert.deepEqual([run.state, stdout], ['succeeded', 'after all\n']);
  });
});

describe('a disk that is full', () => {
  let dataDir: string;
  beforeEach(async () => {
    dataDir = await dataFolder();
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  /** Files of this process stay below that size, which a daemon meets as a disk without space: no privilege is needed. */
  function limitFiles(bytes: number | 'unlimited'): void {
    execFileSync('prlimit', ['--pid', `${process.pid}`, `--fsize=${bytes}:`]);
  }

  it('refuses uploads and runs that do not fit, keeps what it had, and goes on when there is space', async () => {
    await using daemon = await TestDaemon.start({ dataDir });
    const { run: before } = await daemon.runToEnd(python("print('before')"));
    const bytes = Buffer.alloc(2 ** 20, 'x');
    const path = `/v1/blobs/${sha256(bytes)}`;
    const large = python('#'.repeat(2 ** 20));
    limitFiles(2 ** 19);
    try {
      assertHelps(await daemon.refusal('PUT', path, bytes), 'disk_full');
      assertHelps(await daemon.refusal('POST', '/v1/runs', large), 'disk_full');
      assertHelps(await daemon.refusal('GET', path), 'not_found');
      assert.deepEqual(await daemon.run(before.id), before);
    } finally {
      limitFiles('unlimited');
    }
    assert.equal((await daemon.fetch('PUT', path, bytes)).status, 204);
    assert.equal((await daemon.runToEnd(large)).run.state, 'succeeded');
    const { runs } = await daemon.json<{ runs: Run[] }>('GET', '/v1/runs');
    assert.equal(runs.length, 2, 'what was refused is not there');
  });
});
