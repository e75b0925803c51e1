/** `coderunner run --input-dir` as people use it. Real programs in real sandboxes. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../../src/protocol/index.ts';
import { Cli } from '../support/cli.ts';
import { until } from '../support/test-pool.ts';
import { TestRuntimes } from '../support/test-runtimes.ts';

const DOUBLES = 'print(int(input()) * 2)\n';

describe('coderunner run --input-dir', () => {
  let cli: Cli;
  before(async () => {
    cli = await Cli.create();
    const { code, stderr } = await cli.run(['start', '--stop-when-idle']);
    assert.equal(code, 0, stderr);
  });
  after(() => cli[Symbol.asyncDispose]());

  const inputs = async (folder: string, files: Record<string, string | Uint8Array>) => {
    for (const [name, contents] of Object.entries(files)) await cli.file(`${folder}/${name}`, contents);
    return folder;
  };
  const rows = (stdout: Buffer) =>
    stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/ {2,}/).slice(0, 2).join(' '));

  it('shows how the program did with each of them, in natural order, and succeeds when all passed', async () => {
    await cli.file('double/main.py', DOUBLES);
    const folder = await inputs('passing', {
      '10.in': '10',
      '2.in': '2',
      '2.out': '4  \n\n',
      '1.in': '1',
      '1.ans': '2\n',
    });
    const { code, stdout, stderr } = await cli.run(['run', '--input-dir', folder, 'double/main.py']);
    assert.equal(code, 0, stderr);
    assert.deepEqual(rows(stdout), ['INPUT VERDICT', '1 passed', '2 passed', '10 succeeded', '3 of 3 passed']);
    assert.match(stdout.toString(), /^1 +passed +[\d.]+ m?s +[\d.]+ MiB$/m);
    assert.equal(stderr, '');
  });

  it('says where an output differs, and why a program failed', async () => {
    await cli.file('double/main.py', DOUBLES);
    const folder = await inputs('failing', {
      '1.in': '1',
      '1.out': '3\n',
      '2.in': 'two',
      '3.in': '3',
      '3.out': '6\n7\n',
    });
    const { code, stdout } = await cli.run(['run', '--input-dir', folder, 'double/main.py']);
    assert.equal(code, 1);
    const lines = stdout.toString().split('\n');
    assert.match(lines[1] as string, /^1 +wrong output /);
    assert.equal(lines[2], '  line 1: expected "3", printed "2"');
    assert.match(lines[3] as string, /^2 +failed /);
    assert.ok(lines.includes("  ValueError: invalid literal for int() with base 10: 'two'"), stdout.toString());
    assert.ok(lines.includes('  line 2: expected "7", printed nothing'));
    assert.equal(lines.at(-2), '0 of 3 passed, 3 failed');
  });

  it('stops at the first failure where it is told to', async () => {
    await cli.file('double/main.py', DOUBLES);
    const folder = await inputs('stopping', { '1.in': '1', '2.in': 'x', '3.in': '3', '4.in': '4' });
    const { code, stdout } = await cli.run(['run', '--stop-at-first-failure', '--input-dir', folder, 'double/main.py']);
    assert.equal(code, 1);
    assert.match(stdout.toString(), /\n1 of 4 passed, 1 failed, 2 not run\n$/);
  });

  it('takes bytes of any kind, and keeps what is printed', async () => {
    await cli.file(
      'cat/main.py',
      "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())\nprint('e', file=sys.stderr)",
    );
    const bytes = Buffer.from(Array.from({ length: 4096 }, (_, i) => i % 256));
    const folder = await inputs('bytes', { 'a.in': bytes, 'a.out': bytes, 'empty.in': '' });
    const { code, stdout } = await cli.run(['run', '--input-dir', folder, '--output-dir', 'kept/here', 'cat/main.py']);
    assert.equal(code, 0, stdout.toString());
    const kept = join(cli.folder, 'kept/here');
    assert.deepEqual((await readdir(kept)).sort(), ['a.err', 'a.out', 'empty.err', 'empty.out']);
    assert.ok((await readFile(join(kept, 'a.out'))).equals(bytes));
    assert.equal(await readFile(join(kept, 'a.err'), 'utf8'), 'e\n');
    assert.equal(await readFile(join(kept, 'empty.out'), 'utf8'), '');
  });

  it('tells programs a line for each', async () => {
    await cli.file('double/main.py', DOUBLES);
    const folder = await inputs('json', { '1.in': '1', '1.out': '2', '2.in': '2', '2.out': '5' });
    const { code, stdout } = await cli.run(['run', '--json', '--input-dir', folder, 'double/main.py']);
    assert.equal(code, 1);
    const [first, second, end, ...more] = stdout
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(more, []);
    const { id, wallMs, cpuMs, peakMemoryBytes, ...rest } = first;
    assert.match(id, /^r_/);
    for (const number of [wallMs, cpuMs, peakMemoryBytes]) assert.ok(number > 0);
    assert.deepEqual(rest, {
      type: 'result',
      name: '1',
      passed: true,
      difference: null,
      stdout: '2\n',
      stderr: '',
      encoding: 'utf8',
      state: 'succeeded',
      exitCode: 0,
      signal: null,
      message: null,
      compileCached: false,
    });
    assert.deepEqual([second.passed, second.difference], [false, { line: 1, expected: '5', printed: '4' }]);
    assert.deepEqual(end, { type: 'end', total: 2, passed: 1, failed: 1, skipped: 0 });
  });

  it('gives every run the arguments and limits', async () => {
    await cli.file(
      'args/main.py',
      'import sys, time\nprint(sys.argv[1:], input(), flush=True)\nif sys.argv[2:]: time.sleep(1000)',
    );
    const folder = await inputs('args-in', { '1.in': 'x', '1.out': "['a'] x" });
    const all = ['run', '--input-dir', folder, 'args/main.py'];
    assert.equal((await cli.run([...all, 'a'])).code, 0);
    const { code, stdout } = await cli.run(['run', '--timeout', '300ms', ...all.slice(1), 'a', 'b']);
    assert.equal(code, 1);
    assert.match(stdout.toString(), /^1 +timed out .*\n {2}.*longer than 300 ms/m);
  });

  it('is cancelled by Ctrl-C, with all its runs', async () => {
    await cli.file('slow/main.py', "import time\nif input() != '1': time.sleep(1000)");
    const folder = await inputs('slow-in', { '1.in': '1\n', '2.in': '2\n', '3.in': '3\n' });
    const running = cli.spawn('run', '--input-dir', folder, 'slow/main.py');
    running.child.stdin.end();
    await running.printed('succeeded');
    running.child.kill('SIGINT');
    const { code, stdout } = await running.ended;
    assert.equal(code, 130);
    assert.match(stdout.toString(), /\n1 of 3 passed, 2 not run\n$/);
    await until(async () => {
      const runs: Run[] = JSON.parse((await cli.run(['ps', '--json'])).stdout.toString());
      return runs.length === 0;
    });
  });

  describe('says what is wrong with', () => {
    const cases: [title: string, args: string[], said: RegExp][] = [
      ['a folder that is not there', ['--input-dir', 'nowhere', 'main.py'], /bad_usage.*nowhere: no such file/],
      ['a file in the place of the folder', ['--input-dir', 'main.py', 'main.py'], /bad_usage.*main\.py is no folder/],
      ['an empty folder', ['--input-dir', 'empty', 'main.py'], /bad_usage.*There are no inputs in empty\./],
      ['no program', ['--input-dir', 'one', 'gone.py'], /entry_missing.*There is no file gone\.py/],
      [
        'input besides',
        ['--input-dir', 'one', '--stdin', 'main.py', 'main.py'],
        /--input-dir does not go with --stdin/,
      ],
      ['outputs among the inputs', ['--input-dir', 'one', '--output-dir', 'one', 'main.py'], /folder of the inputs/],
      ['outputs without inputs', ['--output-dir', 'one', 'main.py'], /--output-dir needs --input-dir/],
    ];
    before(async () => {
      await cli.file('main.py', DOUBLES);
      await inputs('one', { '1.in': '1' });
      await mkdir(join(cli.folder, 'empty'));
      await cli.file('empty/.hidden', '');
    });
    for (const [title, args, said] of cases) {
      it(title, async () => {
        const { code, stdout, stderr } = await cli.run(['run', ...args]);
        assert.equal(code, 125);
        assert.match(stderr, said);
        assert.equal(stdout.toString(), '');
      });
    }
  });
});

describe('coderunner run --input-dir in a language that is compiled', () => {
  let runtimes: TestRuntimes;
  before(async function () {
    this.timeout(600_000);
    runtimes = await TestRuntimes.create('cached', 'c');
  });
  after(() => runtimes?.[Symbol.asyncDispose]());

  /** The lines of a batch of three. */
  const batch = async (env: NodeJS.ProcessEnv) => {
    await using cli = await Cli.create({ CODERUNNER_RUNTIMES_PATH: runtimes.path, ...env });
    const main = '#include <stdio.h>\nint main(void) { int n; scanf("%d", &n); printf("%d\\n", n * 2); return 0; }\n';
    await cli.file('main.c', main);
    for (const n of [1, 2, 3]) {
      await cli.file(`tests/${n}.in`, `${n}\n`);
      await cli.file(`tests/${n}.out`, `${n * 2}\n`);
    }
    const ended = await cli.run(['run', '--json', '--only', '--runtime', 'cached', '--input-dir', 'tests', 'main.c']);
    assert.equal(ended.code, 0, ended.stderr + ended.stdout.toString());
    const lines = ended.stdout.toString().trimEnd().split('\n').slice(0, -1);
    return { cached: lines.map((line) => JSON.parse(line).compileCached), stderr: ended.stderr };
  };

  it('compiles once', async () => {
    assert.deepEqual(await batch({}), { cached: [false, true, true], stderr: '' });
  });

  it('says so where it has to compile each time', async () => {
    const { cached, stderr } = await batch({ CODERUNNER_COMPILE_CACHE_BYTES: '0' });
    assert.deepEqual(cached, [false, false, false]);
    assert.match(stderr, /^coderunner: compiled 3 times, since compiled programs are not kept/);
  });
});
