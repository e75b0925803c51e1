import assert from 'node:assert/strict';
import { type Run, STDIN_WINDOW_BYTES } from '../../src/protocol/index.ts';
import { LiveRun } from '../../src/runs/live-run.ts';
import { OutputLog } from '../../src/runs/output-log.ts';
import { newRun } from '../support/daemon.ts';

function start({ interactive = true, state = 'queued' as Run['state'] } = {}) {
  const live = new LiveRun('me', newRun('r_1', { state }), new OutputLog(1000), { interactive });
  const got: (string | number)[] = [];
  const program = {
    stdin: (bytes: Uint8Array, eof: boolean) => {
      if (bytes.length > 0) got.push(Buffer.from(bytes).toString());
      if (eof) got.push('EOF');
    },
    signal: (number: number) => got.push(number),
    resize: ({ rows, cols }: { rows: number; cols: number }) => got.push(`${rows}x${cols}`),
  };
  return { live, got, program };
}
const text = (value: string) => Buffer.from(value);

describe('input', () => {
  it('sent before the program is there reaches it in order, with its end', () => {
    const { live, got, program } = start();
    live.stdin(text('one'));
    live.stdin(text('two'));
    live.stdin(text('three'), true);
    assert.deepEqual(got, []);
    live.attach(program);
    assert.deepEqual(got, ['one', 'two', 'three', 'EOF']);
  });

  it('sent while the program runs reaches it at once', () => {
    const { live, got, program } = start();
    live.attach(program);
    live.stdin(text('x'));
    live.stdin(text('y'), true);
    assert.deepEqual(got, ['x', 'y', 'EOF']);
  });

  it('may be a window ahead of the program, and not a byte more', () => {
    const { live, got, program } = start();
    live.stdin(Buffer.alloc(STDIN_WINDOW_BYTES));
    assert.equal(live.stdinRoom, 0);
    assert.throws(() => live.stdin(text('x')), { code: 'stdin_overflow' });
    live.attach(program);
    assert.throws(() => live.stdin(text('x')), { code: 'stdin_overflow' }, 'the program has it, but has not read it');
    assert.equal(got.length, 1, 'nothing of what was refused arrived');
    let taken = 0;
    live.on('stdinTaken', (seq) => {
      taken = seq;
    });
    live.takeStdin(2);
    assert.deepEqual([taken, live.stdinTaken], [2, 2]);
    assert.throws(() => live.stdin(text('xyz')), { code: 'stdin_overflow' });
    live.stdin(text('xy'));
    assert.equal(got.at(-1), 'xy');
  });

  it('that is sent again is used once, from any byte on, also its end', () => {
    const { live, got, program } = start();
    live.stdin(text('abcd'));
    live.stdin(text('abcdef'), false, 0);
    live.stdin(text('bc'), false, 1);
    live.attach(program);
    assert.throws(() => live.stdin(text('h'), true, 7), { code: 'stdin_gap', details: { next: 6 } });
    live.stdin(text('fg'), true, 5);
    live.stdin(text('fg'), true, 5);
    live.stdin(new Uint8Array(0), true, 7);
    assert.throws(() => live.stdin(text('gh'), false, 6), { code: 'stdin_closed' });
    assert.deepEqual(got, ['abcd', 'ef', 'g', 'EOF']);
    assert.equal(live.run.inputBytes, 7);
  });

  it('that was refused does not close anything', () => {
    const { live } = start();
    assert.throws(() => live.stdin(Buffer.alloc(STDIN_WINDOW_BYTES + 1), true), { code: 'stdin_overflow' });
    live.stdin(text('x'));
  });

  it('after its end is refused', () => {
    const { live, got, program } = start();
    live.stdin(new Uint8Array(0), true);
    assert.throws(() => live.stdin(text('x')), { code: 'stdin_closed' });
    assert.throws(() => live.stdin(new Uint8Array(0), true), { code: 'stdin_closed' });
    live.attach(program);
    assert.deepEqual(got, ['EOF']);
  });

  it('is refused where the run came with all of it, and none is mixed in', () => {
    const { live, got, program } = start({ interactive: false });
    assert.throws(() => live.stdin(text('x')), { code: 'stdin_closed' });
    live.attach(program);
    assert.throws(() => live.stdin(text('x'), true), { code: 'stdin_closed' });
    assert.deepEqual(got, []);
  });

  it('is refused once the run has ended', () => {
    const { live } = start({ state: 'succeeded' });
    assert.throws(() => live.stdin(text('x')), { code: 'run_ended' });
  });
});

describe('a running program', () => {
  it('is sent signals and its terminal’s size, while it is there', () => {
    const { live, got, program } = start();
    assert.throws(() => live.signal(2), { code: 'run_ended', message: /not running yet/ });
    live.resize({ rows: 1, cols: 2 });
    live.attach(program);
    live.signal(2);
    live.resize({ rows: 24, cols: 80 });
    live.attach(undefined);
    live.resize({ rows: 3, cols: 4 });
    assert.deepEqual(got, [2, '24x80']);
  });

  it('never leaves an end state, and tells its followers only what is announced', () => {
    const { live } = start();
    const told: string[] = [];
    live.on('state', (run) => told.push(run.state));
    live.move('starting');
    live.move('running');
    assert.throws(() => live.move('queued'), /cannot go from running to queued/);
    live.announce();
    live.move('failed', { exitCode: 1 });
    assert.ok(live.ended);
    assert.throws(() => live.move('succeeded'), /cannot go from failed to succeeded/);
    live.announce();
    assert.deepEqual(told, ['running', 'failed']);
  });

  it('shows how much it has printed', () => {
    const { live } = start();
    live.print(1, text('12345'));
    assert.equal(live.run.outputBytes, 5);
  });
});
