/** What a batch is made of: which files are inputs, what counts as the same output, what a program has printed. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findInputs, requestInputs, testInputs } from '../../src/cli/test-inputs.ts';
import { loadConfig } from '../../src/config.ts';
import { CHANNEL, type CodeRunnerError } from '../../src/protocol/index.ts';
import { firstDifference } from '../../src/runs/compare.ts';
import { LiveRun } from '../../src/runs/live-run.ts';
import { OutputLog } from '../../src/runs/output-log.ts';
import { admitBatch } from '../../src/runs/spec.ts';
import { Transcript } from '../../src/runs/transcript.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import { cleanUpAfterEach, newRun, temporaryFolder } from '../support/daemon.ts';

describe('the inputs of a folder', () => {
  cleanUpAfterEach();

  it('are in the order that people count in', () => {
    const names = ['10.in', '2.in', '1.in', 'b2.in', 'a10.in', 'a9.in'];
    assert.deepEqual(
      testInputs(names).map(({ name }) => name),
      ['1', '2', '10', 'a9', 'a10', 'b2'],
    );
  });

  it('have what is expected beside them', () => {
    const names = ['1.in', '1.out', '2.in', '2.ans', '3.in', '4', '4.out', '5.in', '5.out', '5.ans'];
    assert.deepEqual(
      testInputs(names).map(({ input, expected }) => [input, expected]),
      [
        ['1.in', '1.out'],
        ['2.in', '2.ans'],
        ['3.in', undefined],
        ['4', '4.out'],
        ['5.in', '5.out'],
      ],
    );
  });

  it('are all files that belong to no other one', () => {
    assert.deepEqual(
      testInputs(['lonely.out', 'data.txt', '.in']).map(({ name }) => name),
      ['.in', 'data.txt', 'lonely.out'],
    );
  });

  it('have names of their own', () => {
    assert.throws(() => testInputs(['1', '1.in']), /1 and 1\.in are both the input 1\./);
  });

  it('go into as many requests as they need, with every byte', async () => {
    const folder = await temporaryFolder();
    const bytes = Buffer.alloc(5 * 2 ** 20, 0xff);
    for (const name of ['1.in', '2.in', '3.in']) await writeFile(join(folder, name), bytes);
    await writeFile(join(folder, '3.out'), 'x');
    const requests = await Array.fromAsync(requestInputs(folder, await findInputs(folder)));
    assert.deepEqual(
      requests.map((inputs) => inputs.map(({ name }) => name)),
      [['1'], ['2'], ['3']],
    );
    const [last] = requests[2] ?? [];
    assert.ok(Buffer.from(last?.stdin ?? '', last?.encoding).equals(bytes));
    assert.equal(Buffer.from(last?.expected ?? '', last?.encoding).toString(), 'x');
  });

  it('that are larger than a request are refused by name', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'big.in'), Buffer.alloc(20 * 2 ** 20 + 1));
    await assert.rejects(
      Array.fromAsync(requestInputs(folder, await findInputs(folder))),
      (error: CodeRunnerError) => error.code === 'too_large' && /The input big has 20/.test(error.message),
    );
  });
});

describe('what is printed against what is expected', () => {
  const compare = (printed: string, expected: string) => firstDifference(Buffer.from(printed), Buffer.from(expected));
  const same: [printed: string, expected: string][] = [
    ['', ''],
    ['', '\n \n'],
    ['a\nb\n', 'a\nb'],
    ['a  \t\nb\r\n\n\n', 'a\nb'],
    ['a\n\nb', 'a\n\nb\n'],
    ['  a', '  a'],
    ['Größe\n', 'Größe'],
  ];
  for (const [printed, expected] of same) {
    it(`takes ${JSON.stringify(printed)} for ${JSON.stringify(expected)}`, () => {
      assert.equal(compare(printed, expected), undefined);
      assert.equal(compare(expected, printed), undefined);
    });
  }

  const different: [printed: string, expected: string, line: number, shown: [string | null, string | null]][] = [
    ['b', 'a', 1, ['a', 'b']],
    ['', 'a', 1, ['a', null]],
    ['a\nb', 'a', 2, [null, 'b']],
    ['a', 'a\n\nc', 3, ['c', null]],
    [' a', 'a', 1, ['a', ' a']],
    ['a\n\nb', 'a\nb', 2, ['b', '']],
    ['A', 'a', 1, ['a', 'A']],
    ['a b', 'a  b', 1, ['a  b', 'a b']],
  ];
  for (const [printed, expected, line, [wanted, got]] of different) {
    it(`tells ${JSON.stringify(printed)} from ${JSON.stringify(expected)} in line ${line}`, () => {
      assert.deepEqual(compare(printed, expected), { line, expected: wanted, printed: got });
    });
  }

  it('looks at bytes that are no text too, and at none that are parts of characters as at space', () => {
    assert.equal(firstDifference(Buffer.from([0xff, 0xa0]), Buffer.from([0xff]))?.line, 1);
    assert.equal(firstDifference(Buffer.from([0xff, 0x00]), Buffer.from([0xff, 0x00])), undefined);
    assert.equal(firstDifference(Buffer.from([0xff]), Buffer.from([0xfe]))?.line, 1);
  });

  it('shows the beginning of long lines only', () => {
    const found = compare('x'.repeat(1_000_000), 'y');
    assert.ok((found?.printed ?? '').length < 300);
  });
});

describe('what a program of a batch has printed', () => {
  const WINDOW = 64 * 1024;
  const aRun = () => new LiveRun('ann', newRun('r'), new OutputLog(WINDOW), { interactive: false });
  const move = (live: LiveRun, state: 'starting' | 'compiling' | 'running') => {
    live.move(state);
    live.announce();
  };

  it('is all there, also what is no longer kept, and keeps nobody from printing', () => {
    const live = aRun();
    using transcript = new Transcript(live);
    let granted = 0;
    live.output.connect((bytes) => {
      granted += bytes;
    });
    move(live, 'starting');
    move(live, 'running');
    const lines: string[] = [];
    for (let printed = 0; printed < 5 * WINDOW; ) {
      const line = `${printed}\n`;
      assert.ok(printed + line.length <= granted, 'the program may go on');
      live.print(CHANNEL.stdout, Buffer.from(line));
      lines.push(line);
      printed += line.length;
    }
    live.print(CHANNEL.stderr, Buffer.from('oh'));
    const { stdout, stderr } = transcript.read();
    assert.ok(stdout.equals(Buffer.from(lines.join(''))));
    assert.equal(stderr.toString(), 'oh');
  });

  it('is not what its compiler said, unless it never began', () => {
    const live = aRun();
    using transcript = new Transcript(live);
    move(live, 'starting');
    move(live, 'compiling');
    live.print(CHANNEL.stderr, Buffer.from('warning'));
    live.print(CHANNEL.stdout, Buffer.from('note'));
    assert.deepEqual(Object.values(transcript.read()).map(String), ['note', 'warning']);
    move(live, 'running');
    live.print(CHANNEL.stdout, Buffer.from('out'));
    assert.deepEqual(Object.values(transcript.read()).map(String), ['out', '']);
  });
});

describe('a batch as it is admitted', () => {
  it('has a run for each input, which ends without anybody who follows it, and prints at most 4 MiB', async () => {
    const { runtimes } = await loadRuntimes();
    const request = {
      runtime: 'python',
      files: [{ path: 'main.py', content: '' }],
      args: ['usual'],
      env: { A: 'a' },
      inputs: [
        { name: '1', stdin: 'eA==', encoding: 'base64' as const, env: { B: 'b' } },
        { name: '2', args: [] },
      ],
    };
    const [one, two] = admitBatch(request, runtimes, loadConfig({}));
    assert.deepEqual(
      [one?.stdin, one?.stdinEncoding, one?.args, one?.env],
      ['eA==', 'base64', ['usual'], { A: 'a', B: 'b' }],
    );
    assert.deepEqual([two?.stdin, two?.args, two?.env], [null, [], { A: 'a' }]);
    for (const spec of [one, two]) {
      assert.ok(spec?.orphanMs);
      assert.ok(spec.limits.outputBytes <= 4 * 2 ** 20);
    }
  });
});
