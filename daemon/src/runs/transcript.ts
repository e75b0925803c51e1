/** All that a program printed, taken from its output while it runs, however little of that is kept; of one that has ended, what is kept. */
import { CHANNEL } from '../protocol/index.ts';
import type { LiveRun } from './live-run.ts';
import type { Reader } from './output-log.ts';

/** Taken at once, so that a program that prints single bytes leaves no list of them. */
const TAKE_BYTES = 16 * 1024;

export class Transcript implements Disposable {
  readonly #live: LiveRun;
  readonly #reader: Reader;
  #stdout: Buffer[] = [];
  #stderr: Buffer[] = [];
  #taken: number;

  /** Follows the run from now on. */
  constructor(live: LiveRun) {
    this.#live = live;
    this.#taken = live.output.programFrom ?? 0;
    this.#reader = { acknowledged: 0, wake: () => this.#wake() };
    live.output.addReader(this.#reader);
    live.on('state', this.#onState);
  }

  /** What the program has printed; as long as it has not begun, what came before it. */
  read(): { stdout: Buffer; stderr: Buffer } {
    this.#take();
    return { stdout: Buffer.concat(this.#stdout), stderr: Buffer.concat(this.#stderr) };
  }

  /** Follows it no more. */
  [Symbol.dispose](): void {
    this.#live.off('state', this.#onState);
    this.#live.output.removeReader(this.#reader);
  }

  /** The program begins: what its compiler said is not its own. */
  readonly #onState = (): void => {
    if (this.#live.run.state !== 'running') return;
    this.#take();
    this.#stdout = [];
    this.#stderr = [];
  };

  #wake(): void {
    if (this.#live.output.end - this.#taken >= TAKE_BYTES) this.#take();
  }

  #take(): void {
    const { output } = this.#live;
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    for (let piece = output.read(this.#taken, TAKE_BYTES); piece; piece = output.read(this.#taken, TAKE_BYTES)) {
      (piece.channel === CHANNEL.stderr ? stderr : stdout).push(piece.data);
      this.#taken = piece.seq + piece.data.length;
    }
    if (stdout.length > 0) this.#stdout.push(Buffer.concat(stdout));
    if (stderr.length > 0) this.#stderr.push(Buffer.concat(stderr));
    output.acknowledge(this.#reader, this.#taken);
  }
}
