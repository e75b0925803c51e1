/** One program with many inputs, over HTTP: compiled once, each input in a sandbox of its own, results in order. */
import assert from 'node:assert/strict';
import type { BatchEnd, BatchRequest, BatchResult, Run, RunList } from '../../src/protocol/index.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { until } from '../support/test-pool.ts';
import { TestRuntimes } from '../support/test-runtimes.ts';

type Batch = Partial<BatchRequest> & Pick<BatchRequest, 'inputs'>;

const DOUBLES = 'print(int(input()) * 2)\n';
const numbers = (...values: unknown[]) => values.map((value) => ({ name: `${value}.in`, stdin: `${value}\n` }));

/** Reads the lines of an answer as they come. */
async function* linesOf(response: Response): AsyncGenerator<BatchResult | BatchEnd> {
  assert.equal(response.status, 200, response.ok ? '' : await response.text());
  assert.equal(response.headers.get('content-type'), 'application/x-ndjson');
  let rest = '';
  for await (const text of (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() as string;
    for (const line of lines) yield JSON.parse(line);
  }
  assert.equal(rest.trim(), '');
}

async function answerOf(response: Response): Promise<{ results: BatchResult[]; end: BatchEnd }> {
  const lines = await Array.fromAsync(linesOf(response));
  const end = lines.pop();
  assert.ok(end?.type === 'end', 'the end is the last line');
  return { results: lines as BatchResult[], end };
}

describe('a batch', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
  });
  after(() => daemon[Symbol.asyncDispose]());

  const post = (source: string, batch: Batch) =>
    daemon.fetch('POST', '/v1/runs:batch', { ...program(source), ...batch });
  const run = async (source: string, batch: Batch) => answerOf(await post(source, batch));
  const program = (source: string) => ({ runtime: 'python', files: python(source).files });
  const active = () => daemon.json<RunList>('GET', '/v1/runs?state=queued,starting,running');

  it('runs the program with each input, and answers in their order, whichever ends first', async () => {
    const inputs = numbers(3, 1, 2, 10);
    const { results, end } = await run(`import time\nn = int(input())\ntime.sleep(n / 10)\nprint(n * 2)`, { inputs });
    assert.deepEqual(
      results.map(({ index, name, stdout, passed }) => ({ index, name, stdout, passed })),
      [3, 1, 2, 10].map((n, index) => ({ index, name: `${n}.in`, stdout: `${n * 2}\n`, passed: true })),
    );
    assert.deepEqual(end, { type: 'end', total: 4, passed: 4, failed: 0, skipped: 0, error: null });
  });

  it('is made of ordinary runs, which the history has', async () => {
    const { results } = await run(DOUBLES, { inputs: numbers(4, 5), limits: { wallMs: 5_000 } });
    for (const { run, stdout } of results) {
      const found = await daemon.run(run.id);
      assert.deepEqual(found, run);
      assert.deepEqual([found.state, found.limits.wallMs], ['succeeded', 5_000]);
      assert.equal((await daemon.follow(run.id)).stdout, stdout);
    }
  });

  it('gives no run anything of another', async () => {
    const source = `import os, pathlib
print(sorted(os.listdir('/workspace')), sorted(os.listdir('/tmp')))
pathlib.Path('/workspace/left').touch(), pathlib.Path('/tmp/left').touch()`;
    const { results } = await run(source, { inputs: numbers(1, 2, 3) });
    assert.deepEqual(
      results.map(({ stdout }) => stdout),
      Array(3).fill("['main.py'] []\n"),
    );
  });

  it('gives each input its own arguments, environment and bytes', async () => {
    const source = `import os, sys
sys.stdout.buffer.write(sys.stdin.buffer.read())
print(sys.argv[1:], os.environ.get('ALL'), os.environ.get('ONE'))`;
    const bytes = Buffer.from([0, 255, 10, 128]);
    const { results } = await run(source, {
      args: ['usual'],
      env: { ALL: 'all' },
      inputs: [
        { name: 'plain' },
        { name: 'own', args: ['a', 'b'], env: { ONE: 'one' } },
        { name: 'bytes', stdin: bytes.toString('base64'), encoding: 'base64' },
      ],
    });
    const [plain, own, binary] = results;
    assert.equal(plain?.stdout, "['usual'] all None\n");
    assert.equal(own?.stdout, "['a', 'b'] all one\n");
    assert.equal(binary?.encoding, 'base64');
    assert.deepEqual(
      Buffer.from(binary?.stdout ?? '', 'base64'),
      Buffer.concat([bytes, Buffer.from("['usual'] all None\n")]),
    );
  });

  it('compares what is printed with what is expected, but for white space at the ends of lines', async () => {
    const { results, end } = await run("import sys\nprint(sys.stdin.read() + 'x  ')\nprint('end')", {
      inputs: [
        { name: 'same', stdin: 'a\n', expected: 'a  \nx\r\nend\n\n' },
        { name: 'other', stdin: 'a\n', expected: 'a\ny\nend\n' },
        { name: 'shorter', stdin: '', expected: 'x\nend\nmore' },
        { name: 'none', stdin: '' },
      ],
    });
    assert.deepEqual(
      results.map(({ name, passed, difference }) => ({ name, passed, difference })),
      [
        { name: 'same', passed: true, difference: null },
        { name: 'other', passed: false, difference: { line: 2, expected: 'y', printed: 'x' } },
        { name: 'shorter', passed: false, difference: { line: 3, expected: 'more', printed: null } },
        { name: 'none', passed: true, difference: null },
      ],
    );
    assert.deepEqual([end.passed, end.failed], [2, 2]);
  });

  it('has all that a program prints, also more than is kept of a run, up to 4 MiB', async () => {
    const { results } = await run(
      "import sys\nsys.stdout.write(''.join(f'{i:07}\\n' for i in range(3 * 2 ** 17)))\nprint('e', file=sys.stderr)",
      {
        inputs: [{ name: 'long' }],
      },
    );
    const expected = Array.from({ length: 3 * 2 ** 17 }, (_, i) => `${`${i}`.padStart(7, '0')}\n`).join('');
    assert.ok(results[0]?.stdout === expected);
    assert.equal(results[0]?.stderr, 'e\n');
    const tooMuch = { ...program(DOUBLES), inputs: numbers(1), limits: { outputBytes: 2 ** 22 + 1 } };
    const { code, message } = await daemon.refusal('POST', '/v1/runs:batch', tooMuch);
    assert.equal(code, 'bad_limit', message);
  });

  it('goes on after a failure, unless it is to stop at the first one', async () => {
    const inputs = numbers(1, 'x', 3, 'y', 5);
    const all = await run(DOUBLES, { inputs });
    assert.deepEqual(
      all.results.map(({ passed, run }) => [passed, run.state]),
      [true, false, true, false, true].map((passed) => [passed, passed ? 'succeeded' : 'failed']),
    );
    assert.match(all.results[1]?.stderr ?? '', /ValueError/);
    assert.deepEqual(all.end, { type: 'end', total: 5, passed: 3, failed: 2, skipped: 0, error: null });
    const some = await run(DOUBLES, { inputs, stopAtFirstFailure: true });
    assert.deepEqual(
      some.results.map(({ name }) => name),
      ['1.in', 'x.in'],
    );
    assert.deepEqual(some.end, { type: 'end', total: 5, passed: 1, failed: 1, skipped: 3, error: null });
  });

  it('ends what already runs behind a failure when it stops at the first one', async () => {
    const source = "import time\nname = input()\nif name == 'bad': raise SystemExit(1)\ntime.sleep(1000)";
    const inputs = [
      { name: 'bad', stdin: 'bad\n' },
      { name: 'long', stdin: 'long\n' },
    ];
    const { results, end } = await run(source, { inputs, stopAtFirstFailure: true });
    assert.deepEqual([results.length, end.skipped], [1, 1]);
    const { runs } = await daemon.json<RunList>('GET', '/v1/runs?limit=1');
    assert.match((await daemon.follow((runs[0] as Run).id)).run.state, /^(cancelled|failed)$/);
  });

  it('ends with all its runs when its caller hangs up', async () => {
    const gone = new AbortController();
    const response = await fetch(`${daemon.url}/v1/runs:batch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${daemon.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        ...program("print('ready', flush=True)\nimport time\ntime.sleep(1000)"),
        inputs: numbers(1, 2, 3, 4, 5, 6),
      }),
      signal: gone.signal,
    });
    assert.equal(response.status, 200);
    const first = (await active()).runs.at(-1) as Run;
    await daemon.printed(first.id, 'ready');
    gone.abort();
    assert.equal((await daemon.follow(first.id)).run.state, 'cancelled');
    for (const { id } of (await active()).runs) assert.equal((await daemon.follow(id)).run.state, 'cancelled');
    await until(async () => (await active()).runs.length === 0);
  });

  it('tells of a run that somebody cancels as of any other that does not succeed', async () => {
    const lines = linesOf(await post("import time\nif input() == '1': time.sleep(1000)", { inputs: numbers(1, 2) }));
    const [first] = (await active()).runs.slice(-1) as [Run];
    await daemon.json('DELETE', `/v1/runs/${first.id}`);
    const results = await Array.fromAsync(lines);
    assert.deepEqual(
      results.map((line) => (line.type === 'end' ? line.failed : line.run.state)),
      ['cancelled', 'succeeded', 1],
    );
  });

  describe('refuses', () => {
    const cases: [title: string, more: object, code: string, message: RegExp][] = [
      ['no inputs', { inputs: [] }, 'bad_request', /inputs/],
      ['a missing list of inputs', {}, 'bad_request', /inputs/],
      ['inputs that are no list', { inputs: 'a' }, 'bad_request', /inputs/],
      ['an input that is a number', { inputs: [1] }, 'bad_request', /inputs\/0/],
      ['an input without a name', { inputs: [{ stdin: '' }] }, 'bad_request', /name/],
      [
        'an input of bytes that is not base64',
        { inputs: [{ name: 'a', stdin: '?', encoding: 'base64' }] },
        'bad_request',
        /The input "a" is not base64/,
      ],
      [
        'broken Unicode',
        { inputs: [{ name: 'ok' }, { name: 'b', expected: '\ud800' }] },
        'bad_request',
        /expected of "b" is not valid Unicode/,
      ],
      ['a bad variable', { inputs: [{ name: 'a', env: { 'A B': '' } }] }, 'bad_request', /./],
      [
        '100,000 inputs',
        { inputs: Array.from({ length: 100_000 }, (_, i) => ({ name: `${i}` })) },
        'too_large',
        /has 100,000 inputs; at most 10,000/,
      ],
      ['more than 32 MiB', { inputs: [{ name: 'a', stdin: 'x'.repeat(2 ** 25) }] }, 'too_large', /32 MiB/],
      ['input for the program besides', { inputs: numbers(1), stdin: '' }, 'bad_request', /./],
      ['what a single run is refused for', { inputs: numbers(1), runtime: 'cobol' }, 'unknown_runtime', /cobol/],
    ];
    for (const [title, more, code, message] of cases) {
      it(title, async () => {
        const before = await daemon.json<RunList>('GET', '/v1/runs?limit=1');
        const refusal = await daemon.refusal('POST', '/v1/runs:batch', { ...program(DOUBLES), ...more });
        assert.equal(refusal.code, code, refusal.message);
        assert.match(refusal.message, message);
        assert.deepEqual(await daemon.json<RunList>('GET', '/v1/runs?limit=1'), before, 'nothing was started');
      });
    }
  });
});

describe('a batch that is asked for again with its key', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start();
  });
  after(() => daemon[Symbol.asyncDispose]());

  const request = (key: string, source: string, more: Batch) => ({
    runtime: 'python',
    files: python(source).files,
    args: [key],
    key,
    ...more,
  });
  const post = (body: object, signal?: AbortSignal) =>
    fetch(`${daemon.url}/v1/runs:batch`, {
      method: 'POST',
      headers: { authorization: `Bearer ${daemon.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: signal ?? null,
    });
  const runsOf = async (key: string) => {
    const { runs } = await daemon.json<RunList>('GET', '/v1/runs?limit=1000');
    return runs.filter(({ args }) => args[0] === key);
  };
  const firstOf = async (key: string) => (await runsOf(key)).at(-1) as Run;

  it('has the results that it had, from the wanted one on, and runs nothing', async () => {
    const body = request('whole', DOUBLES, {
      inputs: [
        { name: 'a', stdin: '1', expected: '2' },
        { name: 'b', stdin: 'x' },
        { name: 'c', stdin: '3', expected: '7' },
      ],
    });
    const { results, end } = await answerOf(await post(body));
    assert.deepEqual([end.total, end.passed, end.failed], [3, 1, 2]);
    assert.deepEqual(await answerOf(await post(body)), { results, end });
    assert.deepEqual(await answerOf(await post({ ...body, from: 1 })), {
      results: results.slice(1),
      end: { ...end, total: 2, passed: 0 },
    });
    assert.equal((await runsOf('whole')).length, 3);
  });

  it('goes on where its caller hung up: no program that came to its end runs once more', async () => {
    const source = "import sys, time\nprint('ready', flush=True)\nif 'sleeps' in sys.argv: time.sleep(1000)";
    const inputs = [{ name: '1' }, { name: '2' }, { name: '3', args: ['broken', 'sleeps'] }, { name: '4' }];
    const body = request('broken', source, { inputs, limits: { wallMs: 600_000 } });
    const sleeping = async () =>
      (await runsOf('broken')).find(
        ({ args, state, outputBytes }) => args[1] === 'sleeps' && state === 'running' && outputBytes > 0,
      );
    const gone = new AbortController();
    const lines = linesOf(await post(body, gone.signal));
    const first = [await lines.next(), await lines.next()].map(({ value }) => (value as BatchResult).run.id);
    await until(async () => (await sleeping()) !== undefined);
    gone.abort();
    await assert.rejects(lines.next());
    await until(async () =>
      (await runsOf('broken')).some(({ args, state }) => args[1] === 'sleeps' && state === 'cancelled'),
    );
    const again = linesOf(await post(body));
    const known = [await again.next(), await again.next()].map(({ value }) => (value as BatchResult).run.id);
    assert.deepEqual(known, first);
    await until(async () => (await sleeping()) !== undefined);
    const sleeps = (await sleeping()) as Run;
    await daemon.json('DELETE', `/v1/runs/${sleeps.id}`);
    const rest = (await Array.fromAsync(again)).map((line) => (line.type === 'end' ? line.total : line.run.state));
    assert.deepEqual(rest, ['cancelled', 'succeeded', 4]);
    const succeeded = (await runsOf('broken')).filter(({ state }) => state === 'succeeded');
    assert.equal(succeeded.length, 3);
  });

  it('takes over what runs where the daemon still believes in the first connection', async () => {
    const source = "print('ready', flush=True)\nimport time\ntime.sleep(1000)";
    const body = request('twice', source, { inputs: numbers(1), limits: { wallMs: 600_000 } });
    const first = answerOf(await post(body));
    const { id } = await firstOf('twice');
    await daemon.printed(id, 'ready');
    const second = answerOf(await post(body));
    const { end } = await first;
    assert.deepEqual([end.error?.code, end.skipped], ['key_reused', 1]);
    assert.equal((await daemon.run(id)).state, 'running');
    await daemon.json('DELETE', `/v1/runs/${id}`);
    const [result] = (await second).results;
    assert.deepEqual([result?.run.id, result?.run.state, result?.stdout], [id, 'cancelled', 'ready\n']);
    assert.equal((await runsOf('twice')).length, 1);
  });

  it('runs an input again whose output is no longer there in whole', async () => {
    const body = request('long', "print('x' * 2 ** 21)", { inputs: numbers(1) });
    const [before] = (await answerOf(await post(body))).results;
    const [after] = (await answerOf(await post(body))).results;
    assert.equal(after?.stdout, before?.stdout);
    assert.notEqual(after?.run.id, before?.run.id);
  });

  it('is refused where the key belongs to another batch, or no such input is in it', async () => {
    const body = request('one', DOUBLES, { inputs: numbers(1, 2) });
    await answerOf(await post(body));
    const other = { ...body, inputs: numbers(3, 4, 5), from: 2 };
    const refusal = await daemon.refusal('POST', '/v1/runs:batch', other);
    assert.deepEqual([refusal.status, refusal.code], [409, 'key_reused']);
    assert.equal((await daemon.refusal('POST', '/v1/runs:batch', { ...body, from: 2 })).code, 'bad_request');
    assert.equal((await runsOf('one')).length, 2);
  });
});

describe('a batch in a full queue', () => {
  it('is refused as a run is, and goes on once it was taken', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 1, maxQueued: 1 });
    const waits = (more: object = {}) => ({ ...python("print('ready', flush=True)\ninput()"), ...more });
    const running = await daemon.start(waits());
    await daemon.printed(running.id, 'ready');
    const batch = { runtime: 'python', files: python(DOUBLES).files, inputs: numbers(1, 2, 3) };
    const taken = await daemon.fetch('POST', '/v1/runs:batch', batch);
    const refusal = await daemon.refusal('POST', '/v1/runs:batch', batch);
    assert.deepEqual([refusal.status, refusal.code], [429, 'queue_full']);
    assert.ok(Number(refusal.headers.get('retry-after')) >= 1);
    await daemon.json('DELETE', `/v1/runs/${running.id}`);
    assert.equal((await answerOf(taken)).end.passed, 3);
  });
});

describe('a batch of a daemon that stops', () => {
  it('ends saying so', async () => {
    await using daemon = await TestDaemon.start();
    const source = "print('ready', flush=True)\nimport time\ntime.sleep(1000)";
    const batch = { runtime: 'python', files: python(source).files, inputs: numbers(1, 2) };
    const response = await daemon.fetch('POST', '/v1/runs:batch', batch);
    await daemon.stop(true);
    const { end } = await answerOf(response);
    assert.deepEqual([end.error?.code, end.passed], ['shutting_down', 0]);
  });
});

describe('a batch in a language that is compiled', () => {
  let runtimes: TestRuntimes;
  before(async function () {
    this.timeout(600_000);
    runtimes = await TestRuntimes.create('cached', 'c');
  });
  after(() => runtimes?.[Symbol.asyncDispose]());

  const C = `#include <stdio.h>
int main(void) { int unused, n; scanf("%d", &n); printf("%d\\n", n * 2); return 0; }
`;
  const batch = (source: string, more: Partial<BatchRequest> = {}) => ({
    runtime: 'cached',
    files: [
      { path: 'main.c', content: source },
      { path: 'answer.h', content: '' },
    ],
    entry: 'main.c',
    inputs: numbers(1, 2, 3, 4, 5),
    ...more,
  });
  const stages = ({ results }: { results: BatchResult[] }) =>
    results.map(({ run }) => run.stages.map(({ stage }) => stage).join());

  it('is compiled once', async () => {
    await using daemon = await TestDaemon.start({ runtimesPath: runtimes.path });
    const answer = await answerOf(await daemon.fetch('POST', '/v1/runs:batch', batch(C)));
    assert.deepEqual(stages(answer), ['compile,run', 'run', 'run', 'run', 'run']);
    assert.deepEqual(
      answer.results.map(({ run, stdout, stderr }) => [run.compileCached, stdout, stderr]),
      [2, 4, 6, 8, 10].map((doubled, index) => [index > 0, `${doubled}\n`, '']),
    );
  });

  it('has no words of the compiler in its results, also where those are given again', async () => {
    await using daemon = await TestDaemon.start({ runtimesPath: runtimes.path });
    const warns = batch(`#warning careful\n${C}`, { inputs: numbers(1), key: 'warns' });
    const ask = async () => answerOf(await daemon.fetch('POST', '/v1/runs:batch', warns));
    const answer = await ask();
    const [result] = answer.results;
    assert.deepEqual([result?.stdout, result?.stderr], ['2\n', '']);
    assert.match((await daemon.follow(result?.run.id ?? '')).stderr, /careful/);
    assert.deepEqual(await ask(), answer);
  });

  it('is compiled for each input where nothing compiled is kept', async () => {
    await using daemon = await TestDaemon.start({ runtimesPath: runtimes.path, compileCacheBytes: 0 });
    const answer = await answerOf(await daemon.fetch('POST', '/v1/runs:batch', batch(C, { inputs: numbers(1, 2) })));
    assert.deepEqual(stages(answer), ['compile,run', 'compile,run']);
    assert.equal(answer.end.passed, 2);
  });

  it('ends with the first input where it does not compile, with what the compiler says', async () => {
    await using daemon = await TestDaemon.start({ runtimesPath: runtimes.path });
    const { results, end } = await answerOf(
      await daemon.fetch('POST', '/v1/runs:batch', batch('int main(void) { nonsense }')),
    );
    assert.deepEqual(
      results.map(({ run }) => run.state),
      ['compile_failed'],
    );
    assert.match(`${results[0]?.stderr}${results[0]?.stdout}`, /nonsense/);
    assert.deepEqual([end.failed, end.skipped], [1, 4]);
  });
});
