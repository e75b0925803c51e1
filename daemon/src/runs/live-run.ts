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
  /** The program has taken its input up to this offset. */
  stdinTaken: [number];
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
  /** Offset of the next byte of input. */
  #stdinNext: number;
  /** Offset of the next byte that the program takes. */
  #stdinTaken = 0;
  #stdinClosed = false;

  constructor(owner: string, run: Run, output: OutputLog, options: { interactive: boolean }) {
    super();
    this.#interactive = options.interactive;
    this.setMaxListeners(0);
    this.owner = owner;
    this.#run = run;
    this.#stdinNext = run.inputBytes;
    this.output = output;
  }

  /** The run as clients see it. */
  get run(): Run {
    return { ...this.#run, outputBytes: this.output.end, inputBytes: this.#stdinNext };
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
    if (state === 'running') this.output.beginProgram();
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
   * @param seq offset of the first byte; what is known from there on was sent before, and is left out. Without it, the bytes come next
   * @throws CodeRunnerError run_ended, stdin_closed, stdin_gap (bytes before these are missing), stdin_overflow (more than the window
   *   under way); then nothing of it is used
   */
  stdin(bytes: Uint8Array, eof = false, seq?: number): void {
    this.#mustLive();
    if (!this.#interactive)
      throw new CodeRunnerError('stdin_closed', 'The run was given all of its input when it was started.');
    const known = this.#stdinNext - (seq ?? this.#stdinNext);
    if (known < 0) {
      throw new CodeRunnerError('stdin_gap', `Input came from offset ${seq} on, but ${this.#stdinNext} is next.`, {
        details: { next: this.#stdinNext },
      });
    }
    const fresh = bytes.subarray(known);
    if (this.#stdinClosed) {
      if (seq !== undefined && fresh.length === 0) return;
      throw new CodeRunnerError('stdin_closed', "The program's input is already closed.");
    }
    if (fresh.length > this.stdinRoom) {
      throw new CodeRunnerError(
        'stdin_overflow',
        `More than ${STDIN_WINDOW_BYTES} bytes of input wait for the program.`,
      );
    }
    this.#stdinNext += fresh.length;
    this.#stdinClosed = eof;
    if (this.#program) this.#program.stdin(fresh, eof);
    else if (fresh.length > 0) this.#early.push(fresh);
  }

  /** How much input may be sent now. */
  get stdinRoom(): number {
    return this.#stdinTaken + STDIN_WINDOW_BYTES - this.#stdinNext;
  }

  /** Offset up to which the program has taken its input. */
  get stdinTaken(): number {
    return this.#stdinTaken;
  }

  /** The program took so many bytes of input. */
  takeStdin(bytes: number): void {
    this.#stdinTaken += bytes;
    this.emit('stdinTaken', this.#stdinTaken);
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
