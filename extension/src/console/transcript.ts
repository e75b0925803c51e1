/** What a run has shown so far, as much of it as is kept; and its way to the page, no faster than the page draws. */
import { PAGE_WINDOW_BYTES, type ToPage } from './messages.ts';

/** The daemon keeps as much; what is older is only in the page and the output channel. */
const KEPT_BYTES = 1024 * 1024;

type Piece =
  | { type: 'output'; seq: number; channel: 'stdout' | 'stderr'; data: Uint8Array }
  | { type: 'gap'; from: number; to: number }
  | { type: 'notice'; text: string };

export class Transcript {
  readonly #run: number;
  #pieces: Piece[] = [];
  /** Number of the first piece that is kept; they are counted from the beginning on. */
  #first = 0;
  #bytes = 0;
  /** Offset after the last byte. */
  #end = 0;
  /** Where what is to be shown begins: behind what was cleared. */
  #from = 0;
  /** What was dropped ends here. */
  #droppedTo = 0;
  #send: ((message: ToPage) => void) | undefined;
  /** Number of the piece that the page gets next. */
  #next = 0;
  #sentTo = 0;
  #drawnTo = 0;
  /** Up to here a page has been given the output before, and has answered what the program asked its terminal. */
  #answeredTo = 0;
  #caughtUp: (() => void) | undefined;

  /** @param run the number by which the page knows the run */
  constructor(run: number) {
    this.#run = run;
  }

  /** Offset after the last byte: where to go on after an interruption. */
  get end(): number {
    return this.#end;
  }

  /**
   * @param data is kept, so it must not change
   * @returns resolves when the page has room for more; undefined when it has already, or there is none
   */
  output(channel: 'stdout' | 'stderr', seq: number, data: Uint8Array): Promise<void> | undefined {
    this.#end = seq + data.length;
    this.#bytes += data.length;
    this.#add({ type: 'output', seq, channel, data });
    if (!this.#send || this.#next === this.#first + this.#pieces.length) return undefined;
    return new Promise((resolve) => {
      this.#caughtUp = resolve;
    });
  }

  gap(from: number, to: number): void {
    this.#end = to;
    this.#add({ type: 'gap', from, to });
  }

  notice(text: string): void {
    this.#add({ type: 'notice', text });
  }

  /** The last of the output as text, whichever channel it came by. @param bytes about so much of it */
  tail(bytes: number): string {
    const taken: Uint8Array[] = [];
    let size = 0;
    for (let at = this.#pieces.length - 1; at >= 0 && size < bytes; at--) {
      const piece = this.#pieces[at];
      if (piece?.type !== 'output') continue;
      taken.unshift(piece.data);
      size += piece.data.length;
    }
    return Buffer.concat(taken).subarray(-bytes).toString('utf8');
  }

  /** Forgets what was shown. */
  clear(): void {
    this.#first += this.#pieces.length;
    this.#pieces = [];
    this.#bytes = 0;
    this.#from = this.#end;
    this.#droppedTo = this.#end;
    this.#next = this.#first;
    this.#sentTo = this.#end;
    this.#drawnTo = this.#end;
    this.#wake();
  }

  /**
   * A page shows this run from now on.
   * @param again it was loaded anew and has nothing of it; else it has what it was sent before
   */
  attach(send: (message: ToPage) => void, again: boolean): void {
    this.#send = send;
    if (again) {
      this.answered(this.#sentTo);
      if (this.#answeredTo > 0) send({ type: 'replay', run: this.#run, to: this.#answeredTo });
      this.#next = this.#first;
      this.#sentTo = this.#from;
      this.#drawnTo = this.#from;
    }
    this.#pump();
  }

  /** The output before this offset was shown by an earlier page. */
  answered(to: number): void {
    this.#answeredTo = Math.max(this.#answeredTo, to);
  }

  /** Nobody looks: the program goes on without waiting for the page. */
  detach(): void {
    this.#send = undefined;
    this.#wake();
  }

  /** The page has drawn everything before this offset. */
  drawn(seq: number): void {
    this.#drawnTo = Math.max(this.#drawnTo, Math.min(seq, this.#sentTo));
    this.#pump();
  }

  #add(piece: Piece): void {
    this.#pieces.push(piece);
    while (this.#bytes > KEPT_BYTES) {
      const dropped = this.#pieces.shift();
      this.#first++;
      if (dropped?.type !== 'output') continue;
      this.#bytes -= dropped.data.length;
      this.#droppedTo = dropped.seq + dropped.data.length;
    }
    this.#pump();
  }

  #pump(): void {
    if (!this.#send) return;
    this.#next = Math.max(this.#next, this.#first);
    if (this.#sentTo < this.#droppedTo) {
      this.#send({ type: 'gap', run: this.#run, from: this.#sentTo, to: this.#droppedTo });
      this.#sentTo = this.#droppedTo;
      this.#drawnTo = Math.max(this.#drawnTo, this.#droppedTo);
    }
    while (this.#sentTo - this.#drawnTo < PAGE_WINDOW_BYTES) {
      const piece = this.#pieces[this.#next - this.#first];
      if (!piece) break;
      this.#next++;
      if (piece.type === 'output') this.#sentTo = piece.seq + piece.data.length;
      if (piece.type === 'gap') this.#sentTo = this.#drawnTo = piece.to;
      this.#send({ ...piece, run: this.#run });
    }
    if (this.#next === this.#first + this.#pieces.length) this.#wake();
  }

  #wake(): void {
    this.#caughtUp?.();
    this.#caughtUp = undefined;
  }
}
