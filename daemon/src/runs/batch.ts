/**
 * One program with many inputs. Each input is a run like any other, in a sandbox of its own; the batch decides only when it is put into
 * the queue. So few are there at a time that what else its owner wants to run comes soon.
 */
import { isUtf8 } from 'node:buffer';
import { type BatchEnd, type BatchRequest, type BatchResult, CodeRunnerError, type Run } from '../protocol/index.ts';
import { firstDifference } from './compare.ts';
import type { LiveRun } from './live-run.ts';
import { Transcript } from './transcript.ts';

/** Results that may wait for that of an earlier input, for each run at a time: programs do not wait for a reader who is slow. */
const AHEAD = 2;

export interface BatchOptions {
  request: BatchRequest;
  /** Runs of it that wait or run at a time. */
  atOnce: number;
  /**
   * The run of an input: a new one, or the one that an earlier request for the batch has begun.
   * @param promised the batch has been taken already. @throws CodeRunnerError why the run cannot be taken
   */
  take(index: number, promised: boolean): Promise<LiveRun>;
  cancel(id: string): unknown;
  /** Ends it; where the reason is a CodeRunnerError, it is told. */
  signal: AbortSignal;
}

export class Batch {
  readonly #options: BatchOptions;
  readonly #results = new Map<number, Promise<BatchResult | undefined>>();
  readonly #going = new Map<number, LiveRun>();
  /** The input whose result is awaited. */
  #head = 0;
  /** The input that is begun next. */
  #next = 0;
  /** The last input that will have a result. */
  #last: number;
  #active = 0;
  /** What the first run has to compile, the others find done: they wait for it. */
  #compiled = false;
  #error: CodeRunnerError | undefined;
  /** Somebody else has its runs now. */
  #left = false;
  /** Nobody reads its lines any more. */
  #closed = false;
  readonly #over = Promise.withResolvers<void>();
  /** Resolves when nothing of it will be begun any more, and nothing of it runs; or when others have what runs. */
  readonly over = this.#over.promise;

  private constructor(options: BatchOptions) {
    this.#options = options;
    this.#head = this.#next = options.request.from ?? 0;
    this.#last = options.request.inputs.length - 1;
  }

  /** Resolves when its first run has been taken. @throws CodeRunnerError why it was not */
  static async start(options: BatchOptions): Promise<Batch> {
    const batch = new Batch(options);
    const first = await options.take(batch.#next, false);
    first.on('state', batch.#watchCompiler(first));
    batch.#begin(Promise.resolve(first));
    return batch;
  }

  /** Ends it, but not what runs of it: whoever asked for the batch again goes on with that. */
  leave(): void {
    // What is being cancelled already is nothing to go on with.
    if (this.#closed || this.#options.signal.aborted) return;
    this.#left = true;
    this.#endAfter(-1, new CodeRunnerError('key_reused', 'The batch was asked for once more, and goes on there.'));
    this.#over.resolve();
  }

  /** The results in the order of the inputs, each as soon as it and those before it are there; then how many there are. To be called once. */
  async *lines(): AsyncGenerator<BatchResult | BatchEnd> {
    const { request, signal } = this.#options;
    const total = request.inputs.length - this.#head;
    let passed = 0;
    let failed = 0;
    const abort = () => this.#endAfter(-1, signal.reason instanceof CodeRunnerError ? signal.reason : undefined);
    signal.addEventListener('abort', abort, { once: true });
    if (signal.aborted) abort();
    try {
      for (; this.#head <= this.#last; this.#head++) {
        this.#fill();
        const result = await Promise.race([this.#results.get(this.#head), this.over]);
        this.#results.delete(this.#head);
        if (!result || this.#head > this.#last) break;
        if (result.passed) passed++;
        else failed++;
        yield result;
      }
      yield {
        type: 'end',
        total,
        passed,
        failed,
        skipped: total - passed - failed,
        error: this.#error?.toJSON() ?? null,
      };
    } finally {
      signal.removeEventListener('abort', abort);
      abort();
      this.#closed = true;
      this.#lookWhetherOver();
    }
  }

  #fill(): void {
    const { atOnce } = this.#options;
    const begins = () => this.#compiled && this.#active < atOnce && this.#next < this.#head + atOnce * AHEAD;
    while (this.#next <= this.#last && begins()) this.#begin(this.#options.take(this.#next, true));
  }

  #begin(taken: Promise<LiveRun>): void {
    const index = this.#next++;
    this.#active++;
    const result = this.#result(index, taken).catch((error: unknown) => {
      const known =
        error instanceof CodeRunnerError ? error : new CodeRunnerError('internal', (error as Error).message);
      this.#endAfter(index - 1, known);
      return undefined;
    });
    this.#results.set(index, result);
    void result.then(() => {
      this.#active--;
      this.#going.delete(index);
      this.#compiled = true;
      this.#fill();
      this.#lookWhetherOver();
    });
  }

  #lookWhetherOver(): void {
    if (this.#closed && this.#active === 0) this.#over.resolve();
  }

  async #result(index: number, taken: Promise<LiveRun>): Promise<BatchResult> {
    const live = await taken;
    using transcript = new Transcript(live);
    this.#going.set(index, live);
    if (index > this.#last) this.#cancel(live);
    const { request } = this.#options;
    const { name, expected, encoding } = request.inputs[index] as BatchRequest['inputs'][number];
    const run = await ended(live);
    const { stdout, stderr } = transcript.read();
    const difference =
      run.state === 'succeeded' && expected !== undefined
        ? (firstDifference(stdout, Buffer.from(expected, encoding)) ?? null)
        : null;
    const passed = run.state === 'succeeded' && difference === null;
    // What does not compile does so with no input.
    const hopeless = run.state === 'compile_failed' || run.state === 'install_failed';
    if (hopeless || (!passed && request.stopAtFirstFailure)) this.#endAfter(index);
    const written = isUtf8(stdout) && isUtf8(stderr) ? 'utf8' : 'base64';
    return {
      type: 'result',
      index,
      name,
      passed,
      difference,
      run,
      stdout: stdout.toString(written),
      stderr: stderr.toString(written),
      encoding: written,
    };
  }

  /** Nothing behind that input is begun any more, and what was begun ends. */
  #endAfter(index: number, error?: CodeRunnerError): void {
    if (index >= this.#last) return;
    this.#last = index;
    this.#error = error;
    for (const [other, live] of this.#going) if (other > index) this.#cancel(live);
  }

  #cancel(live: LiveRun): void {
    if (!this.#left) this.#options.cancel(live.id);
  }

  /** Lets the others begin when the first run's program does and nothing was compiled for it; else they begin when that run has ended. */
  #watchCompiler(first: LiveRun): () => void {
    let compiling = false;
    return () => {
      const { state } = first.run;
      if (state === 'compiling') compiling = true;
      if (state !== 'running' || compiling) return;
      this.#compiled = true;
      this.#fill();
    };
  }
}

/** The run as it ended, once it has. */
export function ended(live: LiveRun): Promise<Run> {
  return new Promise((resolve) => {
    const look = () => {
      if (!live.ended) return;
      live.off('state', look);
      resolve(live.run);
    };
    live.on('state', look);
    look();
  });
}
