/** A run against a model of it, whatever happens to it in whatever order. fast-check prints the seed and the shortest sequence that fails. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  CHANNEL,
  CodeRunnerError,
  END_STATES,
  isEnd,
  LIVE_STATES,
  type RunState,
  STDIN_WINDOW_BYTES,
} from '../../src/protocol/index.ts';
import { LiveRun } from '../../src/runs/live-run.ts';
import { OutputLog } from '../../src/runs/output-log.ts';
import { canMove } from '../../src/runs/states.ts';
import { newRun } from '../support/daemon.ts';

interface Model {
  state: RunState;
  attached: boolean;
  closed: boolean;
  underWay: number;
  /** Input that the program has, or will have when it is there. */
  input: string;
  printed: number;
  told: RunState[];
}

class Real {
  readonly live = new LiveRun('me', newRun('r_1'), new OutputLog(1_000), { interactive: true });
  readonly told: RunState[] = [];
  readonly program = {
    stdin: (bytes: Uint8Array, eof: boolean) => {
      assert.equal(this.ended, false, 'nothing comes after the end of the input');
      this.got += Buffer.from(bytes).toString();
      this.ended = eof;
    },
    signal: () => {},
    resize: () => {},
  };
  got = '';
  ended = false;

  constructor() {
    this.live.on('state', ({ state }) => this.told.push(state));
  }
}

/** Input whose bytes tell where they belong. */
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz-';
function inputOf(from: number, size: number): string {
  const start = from % ALPHABET.length;
  return ALPHABET.repeat(Math.ceil((start + size) / ALPHABET.length)).slice(start, start + size);
}

type Command = fc.Command<Model, Real>;

/** Does it, and expects the refusal with that code, or none. */
function refused(action: () => void, code: string | undefined): void {
  if (code === undefined) action();
  else assert.throws(action, (error) => error instanceof CodeRunnerError && error.code === code);
}

function command(name: string, run: (model: Model, real: Real) => void, check = (_: Readonly<Model>) => true): Command {
  return {
    check,
    run(model, real) {
      run(model, real);
      assert.equal(real.live.run.state, model.state);
      assert.equal(real.live.ended, isEnd(model.state));
      assert.equal(real.live.run.outputBytes, model.printed);
      assert.equal(real.live.stdinRoom, STDIN_WINDOW_BYTES - model.underWay);
      assert.equal(real.live.run.inputBytes, model.input.length);
      assert.deepEqual(real.told, model.told);
      if (model.attached) assert.equal(real.got, model.input);
    },
    toString: () => name,
  };
}

const ALL: readonly RunState[] = [...LIVE_STATES, ...END_STATES];

const commands = [
  fc.constantFrom(...ALL).map((to) =>
    command(`move to ${to}`, (model, { live }) => {
      const may = canMove(model.state, to);
      if (!may) assert.throws(() => live.move(to), /cannot go from/);
      else {
        live.move(to);
        model.state = to;
      }
    }),
  ),
  fc.constant(
    command('announce', (model, { live }) => {
      live.announce();
      model.told.push(model.state);
    }),
  ),
  fc.string({ maxLength: 300 }).map((text) =>
    command(`print ${text.length}`, (model, { live }) => {
      live.print(CHANNEL.stdout, Buffer.from(text));
      model.printed += Buffer.byteLength(text);
    }),
  ),
  fc
    .record({
      size: fc.constantFrom(0, 1, 1_000, STDIN_WINDOW_BYTES / 2, STDIN_WINDOW_BYTES),
      eof: fc.boolean(),
      // How far it begins behind what the daemon has: some of it is repeated, or missing.
      ahead: fc.option(fc.constantFrom(0, 0, -1, -500, -1_000, -STDIN_WINDOW_BYTES, 1), { nil: undefined }),
    })
    .map(({ size, eof, ahead }) =>
      command(`input of ${size}, ${ahead} ahead${eof ? ', with its end' : ''}`, (model, { live }) => {
        const next = model.input.length;
        const seq = ahead === undefined ? undefined : Math.max(0, next + ahead);
        const from = seq ?? next;
        const fresh = Math.max(0, from + size - next);
        const isRepeated = seq !== undefined && fresh === 0;
        const code = isEnd(model.state)
          ? 'run_ended'
          : from > next
            ? 'stdin_gap'
            : model.closed && !isRepeated
              ? 'stdin_closed'
              : model.underWay + fresh > STDIN_WINDOW_BYTES
                ? 'stdin_overflow'
                : undefined;
        refused(() => live.stdin(Buffer.from(inputOf(from, size)), eof, seq), code);
        if (code !== undefined) return;
        model.underWay += fresh;
        model.closed ||= eof;
        model.input += inputOf(next, fresh);
      }),
    ),
  fc.nat(STDIN_WINDOW_BYTES).map((wanted) =>
    command(`the program takes ${wanted}`, (model, { live }) => {
      const bytes = Math.min(wanted, model.underWay);
      live.takeStdin(bytes);
      model.underWay -= bytes;
    }),
  ),
  fc.constant(
    command(
      'the program is there',
      (model, { live, program }) => {
        live.attach(program);
        model.attached = true;
      },
      ({ attached }) => !attached,
    ),
  ),
  fc.constant(
    command('a signal', (model, { live }) => {
      refused(() => live.signal(15), isEnd(model.state) || !model.attached ? 'run_ended' : undefined);
    }),
  ),
];

describe('a run', () => {
  it('is as its model, whatever happens in whatever order', function () {
    this.timeout(60_000); // for machines that do much else
    fc.assert(
      fc.property(fc.commands(commands, { maxCommands: 60 }), (sequence) => {
        const model: Model = {
          state: 'queued',
          attached: false,
          closed: false,
          underWay: 0,
          input: '',
          printed: 0,
          told: [],
        };
        fc.modelRun(() => ({ model, real: new Real() }), sequence);
      }),
      { numRuns: 200 },
    );
  });
});
