/**
 * The daemon's end of the conversation with one agent. It knows frames and what they say, not what a run is.
 * What comes from the other side is not trusted: whatever does not fit ends the conversation.
 */
import type { Static } from 'typebox';
import * as Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { Attachment } from '../engine/attachment.ts';
import { CHANNEL, type Channel, STDIN_WINDOW_BYTES, type TtySize } from '../protocol/index.ts';
import { BadFrame, encode, FROM_AGENT, FrameDecoder, LAST, MAX_PAYLOAD_BYTES, TO_AGENT } from './frames.ts';

const nonNegative = Type.Number({ minimum: 0 });

const Ready = Compile(Type.Object({ agent: Type.String(), protocol: Type.Literal(1), warm: Type.Boolean() }));

const ExitSchema = Type.Object({
  stage: Type.String(),
  exitCode: Type.Union([Type.Integer({ minimum: 0, maximum: 255 }), Type.Null()]),
  signal: Type.Union([Type.Integer({ minimum: 1, maximum: 64 }), Type.Null()]),
  wallMs: nonNegative,
  cpuMs: nonNegative,
  peakRssBytes: nonNegative,
  cause: Type.Enum(['exit', 'signal', 'wall', 'cpu', 'output', 'oom']),
  outputBytes: nonNegative,
  warm: Type.Boolean(),
});
const Exit = Compile(ExitSchema);
/** How a stage ended. */
export type AgentExit = Static<typeof ExitSchema>;

const FailSchema = Type.Object({ code: Type.String(), message: Type.String(), path: Type.Optional(Type.String()) });
const Fail = Compile(FailSchema);

/** What the agent itself could not do: refused a file, found the workspace full, did not understand. */
export class AgentFailure extends Error {
  override readonly name = 'AgentFailure';
  readonly code: string;
  readonly path: string | undefined;

  constructor(fail: Static<typeof FailSchema>) {
    super(fail.message);
    this.code = fail.code;
    this.path = fail.path;
  }
}

/** The conversation is over: the container, the engine or the connection is gone, or the agent talked nonsense. */
export class AgentGone extends Error {
  override readonly name = 'AgentGone';
}

/** START's payload; docs/protocol.md. */
export interface StageStart {
  stage: string;
  argv: string[];
  env: Record<string, string>;
  cwd: string;
  tty: TtySize | null;
  warm: { entry: string; args: string[] } | null;
  limits: { wallMs: number; cpuMs: number; outputBytes: number; fileBytes: number; openFiles: number };
}

export interface CollectRequest {
  globs: string[];
  maxFiles: number;
  maxBytes: number;
}

/** Whether START fits into one frame; what the program is told (argv, env) is what makes it large. */
export function stageFits(start: StageStart): boolean {
  return Buffer.byteLength(JSON.stringify(start)) <= MAX_PAYLOAD_BYTES;
}

/** One that takes none of its files for so long never will. */
const TAKES_WITHIN_MS = 30_000;

interface Pending<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

export class Agent {
  /** Resolves once the first run can be taken; rejects with {@link AgentGone} or {@link AgentFailure}. */
  readonly ready: Promise<{ warm: boolean }>;
  /** Resolves when the conversation is over, whatever ended it. Never rejects. */
  readonly closed: Promise<AgentGone>;
  /** Called for each piece of output, in order; the bytes may be kept. */
  onOutput: (channel: Channel, bytes: Buffer) => void = () => {};
  /** Called when the program took that many more bytes of stdin. */
  onStdinCredit: (bytes: number) => void = () => {};

  readonly #attachment: Attachment;
  #ready: Pending<{ warm: boolean }> | undefined;
  #isNew = true;
  #stage: (Pending<AgentExit> & { name: string }) | undefined;
  #collect: (Pending<boolean> & { onSlice: (slice: Buffer) => void; complete: boolean }) | undefined;
  #gone: AgentGone | undefined;
  #failure: AgentFailure | undefined;
  #resolveClosed: (gone: AgentGone) => void = () => {};
  #drained: (() => void)[] = [];
  #stdinUnderWay = 0;
  /** Output that it may still send. */
  #outputCredit = 0;

  constructor(attachment: Attachment) {
    this.#attachment = attachment;
    this.ready = new Promise((resolve, reject) => {
      this.#ready = { resolve, reject };
    });
    this.ready.catch(() => {}); // whoever waits for it is told; nobody has to
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const decoder = new FrameDecoder({
      output: (type, bytes) => {
        this.#outputCredit -= bytes.length;
        if (this.#outputCredit < 0) throw new BadFrame('The agent sent more output than it may.');
        this.onOutput(type === FROM_AGENT.stdout ? CHANNEL.stdout : CHANNEL.stderr, bytes);
      },
      frame: (type, flags, payload) => this.#take(type, flags, payload),
    });
    attachment.onStdout = (chunk) => {
      if (this.#gone) return;
      try {
        decoder.push(chunk);
      } catch (error) {
        if (!(error instanceof BadFrame)) throw error;
        this.#close(error.message);
        attachment.destroy();
      }
    };
    attachment.onDrain = () => {
      for (const resolve of this.#drained.splice(0)) resolve();
    };
    attachment.onClose = (error) => this.#close(error?.message ?? 'The container closed its connection.');
    attachment.listen();
  }

  /**
   * Sends the run's files as a tar archive. Waits for the connection to take them, so memory stays bounded.
   * A refusal shows as {@link AgentFailure} of the stage that follows.
   */
  async sendFiles(archive: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of archive) {
      for (let at = 0; at < chunk.length; at += MAX_PAYLOAD_BYTES) {
        const wrote = this.#send(TO_AGENT.files, chunk.subarray(at, at + MAX_PAYLOAD_BYTES));
        if (!wrote) await this.#drain();
        if (this.#gone) throw this.#gone;
        if (this.#failure) throw this.#failure;
      }
    }
    this.#send(TO_AGENT.files, undefined, LAST);
  }

  /** Starts a stage and waits for its end. Rejects with {@link AgentFailure} or {@link AgentGone}. */
  runStage(start: StageStart): Promise<AgentExit> {
    return new Promise((resolve, reject) => {
      const problem = this.#failure ?? this.#gone;
      if (problem) return reject(problem);
      this.#stage = { resolve, reject, name: start.stage };
      this.#stdinUnderWay = 0;
      this.#sendJson(TO_AGENT.start, start);
    });
  }

  /**
   * Bytes for the program's stdin, then its end if `eof`.
   * @throws RangeError when more than {@link STDIN_WINDOW_BYTES} would be under way: the caller keeps the window
   */
  stdin(bytes: Uint8Array, eof = false): void {
    if (this.#stdinUnderWay + bytes.length > STDIN_WINDOW_BYTES) throw new RangeError('stdin window exceeded');
    this.#stdinUnderWay += bytes.length;
    for (let at = 0; at < bytes.length; at += MAX_PAYLOAD_BYTES) {
      this.#send(TO_AGENT.stdin, bytes.subarray(at, at + MAX_PAYLOAD_BYTES));
    }
    if (eof) this.#send(TO_AGENT.stdin, undefined, LAST);
  }

  /** @param number the signal's number on Linux */
  signal(number: number): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt32BE(number);
    this.#send(TO_AGENT.signal, payload);
  }

  resize(size: TtySize): void {
    const payload = Buffer.alloc(4);
    payload.writeUInt16BE(size.rows, 0);
    payload.writeUInt16BE(size.cols, 2);
    this.#send(TO_AGENT.resize, payload);
  }

  /** Lets the agent send `bytes` more of output. */
  credit(bytes: number): void {
    const payload = Buffer.alloc(4);
    const credit = Math.min(bytes, 0xffff_ffff);
    this.#outputCredit += credit;
    payload.writeUInt32BE(credit);
    this.#send(TO_AGENT.credit, payload);
  }

  /**
   * Asks for the files that the program produced; `onSlice` gets a tar archive piece by piece.
   * @returns whether all of them came; false when some were left out because of the limits
   */
  collect(request: CollectRequest, onSlice: (slice: Buffer) => void): Promise<boolean> {
    return new Promise((resolve, reject) => {
      if (this.#gone) return reject(this.#gone);
      this.#collect = { resolve, reject, onSlice, complete: true };
      this.#sendJson(TO_AGENT.collect, request);
    });
  }

  /**
   * Has everything that the run left removed, so that another run of the same owner can be taken; to be called when the last stage
   * has ended and what it produced was collected. Resolves when that run can be taken.
   * Rejects with {@link AgentFailure} where it could not be proved that nothing is left, or {@link AgentGone}: then nothing more may run here.
   * @param uid the next run's user, another one than that of the run before
   */
  reset(uid: number): Promise<{ warm: boolean }> {
    return new Promise((resolve, reject) => {
      const problem = this.#failure ?? this.#gone;
      if (problem) return reject(problem);
      this.#ready = { resolve, reject };
      this.#outputCredit = 0;
      this.#stdinUnderWay = 0;
      this.onOutput = () => {};
      this.onStdinCredit = () => {};
      const payload = Buffer.alloc(4);
      payload.writeUInt32BE(uid);
      this.#send(TO_AGENT.reset, payload);
    });
  }

  /** Ends the conversation; the agent then kills everything in its container and exits. */
  close(reason: string): void {
    this.#close(reason);
    this.#attachment.destroy();
  }

  #take(type: number, flags: number, payload: Buffer): void {
    switch (type) {
      case FROM_AGENT.ready: {
        const { warm } = this.#json(Ready, payload);
        if (!this.#ready) throw new BadFrame('The agent said READY, but nobody asked for it.');
        this.#ready.resolve({ warm });
        this.#ready = undefined;
        if (this.#isNew) this.credit(0); // any answer will do: an agent that hears none has been forgotten by its engine, and ends
        this.#isNew = false;
        return;
      }
      case FROM_AGENT.exit: {
        const exit = this.#json(Exit, payload);
        if (exit.stage !== this.#stage?.name) throw new BadFrame('The agent said EXIT of a stage that it is not at.');
        this.#stage.resolve(exit);
        this.#stage = undefined;
        return;
      }
      case FROM_AGENT.fail:
        this.#fail(new AgentFailure(this.#json(Fail, payload)));
        return;
      case FROM_AGENT.stdinCredit: {
        if (payload.length !== 4) throw new BadFrame('The agent sent a malformed STDIN_CREDIT.');
        const bytes = payload.readUInt32BE(0);
        if (bytes > this.#stdinUnderWay) throw new BadFrame('The agent acknowledged more stdin than it was sent.');
        this.#stdinUnderWay -= bytes;
        this.onStdinCredit(bytes);
        return;
      }
      case FROM_AGENT.file: {
        const collect = this.#collect;
        if (!collect) throw new BadFrame('The agent sent files that nobody asked for.');
        if (payload.length > 0) collect.onSlice(payload);
        if ((flags & LAST) === 0) return;
        this.#collect = undefined;
        collect.resolve(collect.complete);
        return;
      }
    }
  }

  #fail(failure: AgentFailure): void {
    if (failure.code === 'collect_limit' && this.#collect) {
      this.#collect.complete = false;
      return;
    }
    this.#failure = failure;
    this.#ready?.reject(failure);
    this.#stage?.reject(failure);
    this.#collect?.reject(failure);
    this.#ready = this.#stage = this.#collect = undefined;
  }

  #json<T>(validator: { Check(value: unknown): value is T }, payload: Buffer): T {
    let value: unknown;
    try {
      value = JSON.parse(payload.toString('utf8'));
    } catch {
      throw new BadFrame('The agent sent something that is not JSON.');
    }
    if (!validator.Check(value)) throw new BadFrame('The agent sent a message of the wrong form.');
    return value;
  }

  #send(type: number, payload?: Uint8Array, flags = 0): boolean {
    return this.#gone ? true : this.#attachment.write(encode(type, payload, flags));
  }

  #sendJson(type: number, value: unknown): void {
    this.#send(type, Buffer.from(JSON.stringify(value)));
  }

  async #drain(): Promise<void> {
    if (this.#gone) return;
    const late = setTimeout(() => this.close('The agent does not take its files.'), TAKES_WITHIN_MS);
    await new Promise<void>((resolve) => this.#drained.push(resolve));
    clearTimeout(late);
  }

  #close(reason: string): void {
    if (this.#gone) return;
    const gone = new AgentGone(reason);
    this.#gone = gone;
    this.#ready?.reject(gone);
    this.#stage?.reject(gone);
    this.#collect?.reject(gone);
    this.#ready = this.#stage = this.#collect = undefined;
    for (const resolve of this.#drained.splice(0)) resolve();
    this.#resolveClosed(gone);
  }
}
