/** One run as it is now: its public face, its output, its input, and who follows it. */
import { EventEmitter } from 'node:events';
import {
  type Channel,
  CodeRunnerError,
  isEnd,
  type Run,
  type RunState,
  STDIN_WINDOW_BYTES,
  type TtySize,
} from '../protocol/index.ts';
import type { OutputLog } from './output-log.ts';
import { canMove } from './states.ts';

interface RunEvents {
  /** The run has a new state; its last one when it has ended. */
  state: [Run];
  /** That many more bytes of stdin may be sent. */
  stdinCredit: [number];
}

/** Where a running program can be reached. */
export interface ProgramControls {
  stdin(bytes: Uint8Array, eof: boolean): void;
  signal(number: number): void;
  resize(size: TtySize): void;
}

export class LiveRun extends EventEmitter<RunEvents> {
  readonly owner: string;
  readonly output: OutputLog;
  /** Aborted when someone wants the run to end; the reason says who. */
  readonly stop = new AbortController();
  /** Whether clients send the input; else the run came with all of it. */
  readonly #interactive: boolean;
  #run: Run;
  #program: ProgramControls | undefined;
  /** Input that came before the program was there to read it. */
  #early: Uint8Array[] = [];
  #stdinUnderWay = 0;
  #stdinClosed = false;

  constructor(owner: string, run: Run, output: OutputLog, options: { interactive: boolean }) {
    super();
    this.#interactive = options.interactive;
    this.setMaxListeners(0);
    this.owner = owner;
    this.#run = run;
    this.output = output;
  }

  /** The run as clients see it. */
  get run(): Run {
    return { ...this.#run, outputBytes: this.output.end };
  }

  get id(): string {
    return this.#run.id;
  }

  get ended(): boolean {
    return isEnd(this.#run.state);
  }

  /** Changes the state and what else is known by now. Throws where the table of states does not allow it. Nobody is told before {@link LiveRun.announce}. */
  move(state: RunState, more: Partial<Run> = {}): void {
    if (!canMove(this.#run.state, state)) throw new Error(`A run cannot go from ${this.#run.state} to ${state}.`);
    this.#run = { ...this.#run, ...more, state };
  }

  announce(): void {
    this.emit('state', this.run);
  }

  print(channel: Channel, bytes: Buffer): void {
    this.output.append(channel, bytes);
  }

  /** The program is there: input that came early reaches it now. undefined: it is gone. */
  attach(program: ProgramControls | undefined): void {
    this.#program = program;
    if (!program) return;
    for (const bytes of this.#early.splice(0)) program.stdin(bytes, false);
    if (this.#stdinClosed) program.stdin(new Uint8Array(0), true);
  }

  /**
   * Input for the program, kept until it is there to read it.
   * @throws CodeRunnerError run_ended, stdin_closed, stdin_overflow (more than the window under way)
   */
  stdin(bytes: Uint8Array, eof = false): void {
    this.#mustLive();
    if (!this.#interactive)
      throw new CodeRunnerError('stdin_closed', 'The run was given all of its input when it was started.');
    if (this.#stdinClosed) throw new CodeRunnerError('stdin_closed', "The program's input is already closed.");
    if (this.#stdinUnderWay + bytes.length > STDIN_WINDOW_BYTES) {
      throw new CodeRunnerError(
        'stdin_overflow',
        `More than ${STDIN_WINDOW_BYTES} bytes of input wait for the program.`,
      );
    }
    this.#stdinUnderWay += bytes.length;
    this.#stdinClosed = eof;
    if (this.#program) this.#program.stdin(bytes, eof);
    else if (bytes.length > 0) this.#early.push(bytes);
  }

  /** How much input may be sent now. */
  get stdinRoom(): number {
    return STDIN_WINDOW_BYTES - this.#stdinUnderWay;
  }

  /** The program took input. */
  stdinTaken(bytes: number): void {
    this.#stdinUnderWay -= bytes;
    this.emit('stdinCredit', bytes);
  }

  /** @throws CodeRunnerError run_ended, also while the program has not started */
  signal(number: number): void {
    this.#mustLive();
    if (!this.#program)
      throw new CodeRunnerError('run_ended', 'The program is not running yet.', {
        hint: 'Wait until it runs, or cancel the run.',
      });
    this.#program.signal(number);
  }

  resize(size: TtySize): void {
    this.#program?.resize(size);
  }

  #mustLive(): void {
    if (this.ended) throw new CodeRunnerError('run_ended', 'The run has ended.');
  }
}
