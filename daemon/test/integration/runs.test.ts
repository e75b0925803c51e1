/** What becomes of a run: its verdicts, its input, its files, its turn. Real programs in real sandboxes. */
import assert from 'node:assert/strict';
import type { Run, RunRequest } from '../../src/protocol/index.ts';
import { sha256 } from '../support/daemon.ts';
import { python, TestDaemon, WAITS } from '../support/live-daemon.ts';

const SPINS = 'while True: pass';
const SLEEPS = "import signal\nprint('ready', flush=True)\nsignal.pause()";

interface Verdict {
  title: string;
  source: string;
  more?: Partial<RunRequest>;
  expected: Partial<Run>;
  stderr?: RegExp;
}

const VERDICTS: Verdict[] = [
  {
    title: 'succeeded for exit code 0',
    source: "print('hello')",
    expected: { state: 'succeeded', exitCode: 0, signal: null, message: null, error: null },
  },
  {
    title: 'failed with the exit code',
    source: 'raise SystemExit(42)',
    expected: { state: 'failed', exitCode: 42, message: null },
  },
  {
    title: 'failed with a traceback for an uncaught error',
    source: "raise ValueError('no')",
    expected: { state: 'failed', exitCode: 1, error: null },
    stderr: /^Traceback .*main\.py", line 1, in <module>.*ValueError: no\n$/s,
  },
  {
    title: 'signaled, and what the signal means',
    source: 'import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)',
    expected: {
      state: 'signaled',
      exitCode: null,
      signal: 'SIGSEGV',
      message: 'Ended by SIGSEGV: it used memory that is not its own.',
    },
  },
  {
    title: 'signaled when it kills itself, which is not out of memory',
    source: 'import os, signal\nos.kill(os.getpid(), signal.SIGKILL)',
    expected: { state: 'signaled', signal: 'SIGKILL' },
  },
  {
    title: 'out of memory, and how much it had',
    source: 'held = []\nwhile True: held.append(bytearray(2 ** 20))',
    more: { limits: { memoryBytes: 64 * 2 ** 20 } },
    expected: { state: 'out_of_memory', message: 'Stopped: used more than 64 MiB of memory.' },
  },
  {
    title: 'timed out by the clock',
    source: SLEEPS,
    more: { limits: { wallMs: 500 } },
    expected: { state: 'timed_out', message: 'Stopped: ran longer than 500 ms.' },
  },
  {
    title: 'timed out by the processor time',
    source: SPINS,
    more: { limits: { cpuMs: 300 } },
    expected: { state: 'timed_out', message: 'Stopped: used more than 300 ms of CPU time.' },
  },
  {
    title: 'output limit, after exactly that many bytes',
    source: "while True: print('x' * 99)",
    more: { limits: { outputBytes: 12_345 } },
    expected: { state: 'output_limit', outputBytes: 12_345 },
  },
  {
    title: 'signaled when it writes a file beyond the limit',
    source:
      "import signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nwith open('/tmp/big', 'wb') as f: f.write(bytes(2 ** 20))",
    more: { limits: { fileBytes: 1000 } },
    expected: {
      state: 'signaled',
      signal: 'SIGXFSZ',
      message: 'Ended by SIGXFSZ: it wrote a file beyond the size limit.',
    },
  },
];

describe('a run', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ poolSize: 1 });
  });
  after(() => daemon[Symbol.asyncDispose]());

  describe('ends as', () => {
    for (const { title, source, more, expected, stderr } of VERDICTS) {
      it(title, async () => {
        const { run, ...printed } = await daemon.runToEnd(python(source, more));
        const actual = Object.fromEntries(Object.keys(expected).map((key) => [key, run[key as keyof Run]]));
        assert.deepEqual(actual, expected);
        if (stderr) assert.match(printed.stderr, stderr);
        assert.equal(Buffer.byteLength(printed.stdout) + Buffer.byteLength(printed.stderr), run.outputBytes);
        assert.ok(Date.parse(run.createdAt) <= Date.parse(run.startedAt ?? ''));
        assert.ok(Date.parse(run.startedAt ?? '') <= Date.parse(run.endedAt ?? ''));
        assert.deepEqual(
          run.stages.map(({ stage }) => stage),
          ['run'],
        );
      });
    }

    it('cancelled, while it runs', async () => {
      await using stream = await daemon.stream();
      stream.send({ type: 'run.start', handle: 1, request: python(SLEEPS) });
      await stream.printed(1, 'ready');
      const { id } = await stream.state(1, 'running');
      const response = await daemon.fetch('DELETE', `/v1/runs/${id}`);
      assert.equal(response.status, 202);
      const run = await stream.exit(1);
      assert.equal(run.state, 'cancelled');
      assert.equal(run.message, 'Cancelled.');
      assert.deepEqual(await daemon.json<Run>('DELETE', `/v1/runs/${id}`), run, 'cancelling again changes nothing');
    });

    it('timed out also when its only reader does not acknowledge', async () => {
      await using stream = await daemon.stream({ ack: false });
      const request = python("while True: print('x' * 4095)", { limits: { wallMs: 700 } });
      stream.send({ type: 'run.start', handle: 1, request });
      const { id } = await stream.state(1, 'running');
      assert.equal((await daemon.follow(id)).run.state, 'timed_out');
    });
  });

  it('gets its arguments, its variables and its input as they are', async () => {
    const { stdout } = await daemon.runToEnd(
      python("import os, sys\nprint(sys.argv, os.environ['GREETING'], sys.stdin.read())\nprint(sorted(os.environ))", {
        args: ['a b', '', '$HOME', 'ü\n'],
        env: { GREETING: 'hello=there' },
        stdin: 'all of it',
      }),
    );
    assert.ok(stdout.startsWith("['main.py', 'a b', '', '$HOME', 'ü\\n'] hello=there all of it\n"), stdout);
    for (const name of Object.keys(process.env).filter((name) => name.startsWith('CODERUNNER')))
      assert.ok(!stdout.includes(name));
  });

  it('is one, however often and however fast it is asked for with the same key, and another where that differs', async () => {
    const files = [{ path: 'main.py', sha256: sha256("print('once')") }];
    const request = { ...python(''), files, key: 'the key' };
    // What was refused has no key yet.
    assert.equal((await daemon.refusal('POST', '/v1/runs', request)).code, 'blobs_missing');
    await daemon.fetch('PUT', `/v1/blobs/${sha256("print('once')")}`, "print('once')");
    await using stream = await daemon.stream();
    stream.send({ type: 'run.start', handle: 1, request });
    stream.send({ type: 'run.start', handle: 2, request });
    const runs = await Promise.all([daemon.start(request), daemon.start(request), stream.exit(1), stream.exit(2)]);
    assert.equal(new Set(runs.map(({ id }) => id)).size, 1);
    assert.equal(stream.text(1), 'once\n');
    assert.equal(stream.text(2), 'once\n');
    const { status, code, details } = await daemon.refusal('POST', '/v1/runs', { ...request, args: ['x'] });
    assert.deepEqual([status, code, details], [409, 'key_reused', { id: runs[0]?.id }]);
    stream.send({ type: 'run.start', handle: 3, request: { ...request, stdin: null } });
    assert.equal((await stream.error(3)).code, 'key_reused');
    assert.notEqual((await daemon.start({ ...request, key: 'another' })).id, runs[0]?.id);
  });

  it('has no input when it was told so', async () => {
    const { stdout } = await daemon.runToEnd(python('import sys\nprint(repr(sys.stdin.read()))', { stdin: null }));
    assert.equal(stdout, "''\n");
  });

  it('takes input of any size over HTTP, as fast as the program reads it', async () => {
    const source = `
import hashlib, sys
print('ready', flush=True)
print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())
`;
    const input = Buffer.alloc(2 ** 20, 'some input\n');
    const { id } = await daemon.start(python(source));
    const first = await daemon.fetch('POST', `/v1/runs/${id}/stdin`, input);
    assert.equal(first.status, 204);
    const last = await daemon.fetch('POST', `/v1/runs/${id}/stdin?eof=1`, 'the end');
    assert.equal(last.status, 204);
    const { stdout } = await daemon.follow(id);
    assert.equal(stdout, `ready\n${sha256(Buffer.concat([input, Buffer.from('the end')]))}\n`);
    assert.equal((await daemon.refusal('POST', `/v1/runs/${id}/stdin`, 'late')).code, 'run_ended');
  });

  it('takes no input after its end was sent, nor beside what it came with', async () => {
    const { id } = await daemon.start(python(SLEEPS));
    await daemon.fetch('POST', `/v1/runs/${id}/stdin?eof=1`);
    assert.equal((await daemon.refusal('POST', `/v1/runs/${id}/stdin`, 'late')).code, 'stdin_closed');
    await daemon.fetch('DELETE', `/v1/runs/${id}`);
    const given = await daemon.start(python(SLEEPS, { stdin: 'all' }));
    assert.equal((await daemon.refusal('POST', `/v1/runs/${given.id}/stdin`, 'more')).code, 'stdin_closed');
    await daemon.fetch('DELETE', `/v1/runs/${given.id}`);
  });

  it('is sent signals over HTTP', async () => {
    const { id } = await daemon.start(python(SLEEPS));
    await daemon.printed(id, 'ready\n');
    assert.equal((await daemon.refusal('POST', `/v1/runs/${id}/signal`, { signal: 'SIGNAL' })).code, 'bad_request');
    assert.equal((await daemon.fetch('POST', `/v1/runs/${id}/signal`, { signal: 'SIGTERM' })).status, 204);
    const { run } = await daemon.follow(id);
    assert.equal(run.signal, 'SIGTERM');
  });

  it('brings many files, in folders, as text, as bytes, executable and by hash', async () => {
    const module = "def hello():\n    return 'from a module'\n";
    await daemon.fetch('PUT', `/v1/blobs/${sha256(module)}`, module);
    const { stdout, stderr } = await daemon.runToEnd({
      runtime: 'python',
      entry: 'main.py',
      files: [
        {
          path: 'main.py',
          content: `
import subprocess
from package.module import hello
print(hello())
print(open('data/bytes', 'rb').read())
print(subprocess.run(['./tool.sh'], capture_output=True, text=True).stdout)
`,
        },
        { path: 'package/module.py', sha256: sha256(module) },
        { path: 'data/bytes', content: Buffer.from([0, 255, 10]).toString('base64'), encoding: 'base64' },
        { path: 'tool.sh', content: '#!/bin/sh\necho a tool\n', executable: true },
      ],
    });
    assert.equal(stdout, "from a module\nb'\\x00\\xff\\n'\na tool\n\n", stderr);
  });

  it('gives back the files that it produced, and no others', async () => {
    const source = `
import os
os.mkdir('out')
for name in ['out/a.txt', 'out/b.bin', 'c.png', 'd.txt']:
    with open(name, 'wb') as file: file.write(name.encode() + b'\\0')
`;
    const { run } = await daemon.runToEnd(python(source, { collect: ['out/**', '*.png'] }));
    const files = run.files.toSorted((a, b) => a.path.localeCompare(b.path));
    assert.deepEqual(
      files,
      ['c.png', 'out/a.txt', 'out/b.bin'].map((path) => ({
        path,
        sizeBytes: path.length + 1,
        sha256: sha256(`${path}\0`),
      })),
    );
    const contents = await daemon.fetch('GET', `/v1/blobs/${files[0]?.sha256}`);
    assert.equal(await contents.text(), 'c.png\0');
    assert.equal(contents.headers.get('content-disposition'), 'attachment');
  });

  it('sees nothing of the runs before it', async () => {
    const source = `
import os, tempfile
print(sorted(os.listdir('.')), os.listdir(tempfile.gettempdir()))
open('left', 'w').close()
open(tempfile.gettempdir() + '/left', 'w').close()
`;
    for (const _ of [1, 2]) {
      const { stdout } = await daemon.runToEnd(python(source));
      assert.ok(!stdout.includes('left'), stdout);
    }
  });

  it('is one of the owner’s runs, newest first, page by page', async () => {
    const ids: string[] = [];
    for (const code of [0, 1, 0]) ids.unshift((await daemon.runToEnd(python(`raise SystemExit(${code})`))).run.id);
    type Page = { runs: Run[]; next: string | null };
    const first = await daemon.json<Page>('GET', '/v1/runs?limit=2');
    assert.deepEqual(
      first.runs.map(({ id }) => id),
      ids.slice(0, 2),
    );
    const second = await daemon.json<Page>('GET', `/v1/runs?limit=1&before=${first.next}`);
    assert.equal(second.runs[0]?.id, ids[2]);
    const failed = await daemon.json<Page>('GET', '/v1/runs?limit=1&state=failed,lost');
    assert.equal(failed.runs[0]?.id, ids[1]);
    assert.equal((await daemon.refusal('GET', '/v1/runs/r_nothing')).code, 'not_found');
  });
});

describe('a run that waits', () => {
  it('has its turn by priority, then in order; may be cancelled; and gets input that came early', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 1 });
    await using stream = await daemon.stream();
    stream.send({ type: 'run.start', handle: 0, request: python(WAITS) });
    await stream.printed(0, 'ready');
    const start = (priority: number) => daemon.start(python('print(input())', { priority }));
    const low = await start(-1);
    const usual = await start(0);
    const later = await start(0);
    const high = await start(10);
    const unwanted = await start(5);
    assert.equal(usual.state, 'queued');
    await daemon.fetch('POST', `/v1/runs/${usual.id}/stdin`, 'early\n');
    for (const { id } of [low, later, high]) await daemon.fetch('POST', `/v1/runs/${id}/stdin?eof=1`, 'x');
    const cancelled = await daemon.json<Run>('DELETE', `/v1/runs/${unwanted.id}`);
    assert.equal(cancelled.state, 'cancelled');
    assert.equal(cancelled.startedAt, null);
    stream.stdin(0, 'go\n');
    const ended = await Promise.all([low, usual, later, high].map(({ id }) => daemon.follow(id)));
    assert.equal(ended[1]?.stdout, 'early\n');
    const order = ended.map(({ run }) => run).toSorted((a, b) => (a.startedAt ?? '').localeCompare(b.startedAt ?? ''));
    assert.deepEqual(
      order.map(({ id }) => id),
      [high, usual, later, low].map(({ id }) => id),
    );
  });
});
