/** One run inside its sandbox: files in, stages one after the other, produced files out. It says how the run ended; it changes no state but through `live`. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import tar from 'tar-stream';
import { type Agent, type AgentExit, AgentFailure, AgentGone, type StageStart, stageFits } from '../agent/agent.ts';
import type { Config } from '../config.ts';
import type { Lease } from '../pool/pool.ts';
import {
  CHANNEL,
  CodeRunnerError,
  type EndState,
  type ErrorBody,
  type ProducedFile,
  type Run,
  STDIN_WINDOW_BYTES,
  type Stage,
  type StageLimits,
} from '../protocol/index.ts';
import { type Compilation, expandArgv, type Runtime } from '../runtimes/runtime.ts';
import type { Blobs } from '../store/blobs.ts';
import type { LiveRun } from './live-run.ts';
import { pathProblem, type RunSpec } from './spec.ts';
import { describeStage, judgeStage, outOfMemory, type Verdict } from './verdict.ts';

/** The last clock is outside the container: an agent that has not ended a stage by then is not asked any more. */
const OVERTIME_MS = 3_000;
const COLLECT_WITHIN_MS = 30_000;
const MOST_PRODUCED_FILES = 1_000;
/** What a file takes in the archive beside its contents: headers, padding and the longest of names. */
const ARCHIVE_OVERHEAD_BYTES = 8 * 1024;
const OPEN_FILES = 1_024;
/** Where a runtime's out-of-memory message is looked for: the end of what was printed. */
const TAIL_BYTES = 64 * 1024;

const DEFAULT_ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/workspace',
  USER: 'sandbox',
  LANG: 'C.UTF-8',
};

/** How a run ended: what changes on it. */
export type Outcome = { state: EndState } & Partial<Run>;

export interface ExecuteContext {
  live: LiveRun;
  spec: RunSpec;
  runtime: Runtime;
  lease: Lease;
  /** The project's packages are in the sandbox, installed for this run where there is a stage. */
  packages: { installed: AgentExit | undefined } | undefined;
  blobs: Blobs;
  config: Config;
}

/** Runs it. Resolves with how it ended, whatever happened; the caller disposes of the lease. */
export async function execute(context: ExecuteContext): Promise<Outcome> {
  const { live, lease, packages } = context;
  const { agent } = lease.sandbox;
  const stages: Stage[] = packages?.installed ? [describeStage(packages.installed)] : [];
  const stopped = () => agent.close('The run was stopped.');
  live.stop.signal.addEventListener('abort', stopped, { once: true });
  agent.onOutput = (channel, bytes) => live.print(channel, bytes);
  live.output.connect((bytes) => agent.credit(bytes));
  try {
    live.stop.signal.throwIfAborted();
    return await runStages(context, stages);
  } catch (error) {
    const outcome = await explain(error as Error, context);
    return { ...summarise(stages), ...outcome };
  } finally {
    live.stop.signal.removeEventListener('abort', stopped);
    live.output.disconnect();
    live.attach(undefined);
  }
}

interface PlannedStage {
  stage: string;
  argv: readonly string[];
  /** The waiting interpreter can do it. */
  warm: boolean;
  limits: StageLimits;
}

/** A runtime's own limits, and never more than the daemon allows a run. */
function compileStage({ config }: ExecuteContext, { argv, warm, limits }: Compilation): PlannedStage {
  return {
    stage: 'compile',
    argv,
    warm,
    limits: {
      wallMs: Math.min(limits.wallMs, config.maxWall),
      cpuMs: Math.min(limits.cpuMs, config.maxCpu),
      outputBytes: Math.min(limits.outputBytes, config.maxOutput),
      fileBytes: Math.min(limits.fileBytes, config.workspaceBytes),
    },
  };
}

async function runStages(context: ExecuteContext, stages: Stage[]): Promise<Outcome> {
  const { live, spec, runtime, lease } = context;
  const { agent } = lease.sandbox;
  await agent.sendFiles(archive(context));
  let warmInterpreter = false;
  const plan: PlannedStage[] = [
    ...(runtime.compile ? [compileStage(context, runtime.compile)] : []),
    { stage: 'run', argv: runtime.run.argv, warm: true, limits: spec.limits },
  ];
  for (const planned of plan) {
    const { stage, limits } = planned;
    const start = stageStart(context, planned);
    if (!stageFits(start)) {
      throw new CodeRunnerError('too_large', 'The arguments and the environment together have more than 64 KiB.', {
        hint: 'Give large input through a file or stdin.',
      });
    }
    live.move(stage === 'run' ? 'running' : 'compiling');
    const ending = timed(agent.runStage(start), limits, context);
    if (stage === 'run') connectInput(context);
    else agent.stdin(new Uint8Array(0), true);
    live.announce();
    const exit = await ending;
    live.attach(undefined);
    stages.push(describeStage(exit));
    warmInterpreter ||= exit.warm;
    const verdict = judge(exit, limits, context);
    if (verdict || stage === 'run') {
      const produced = stage === 'run' ? await collect(context) : { files: [], results: null };
      return {
        ...summarise(stages),
        ...(verdict ?? { state: 'succeeded', message: null }),
        ...produced,
        warm: { container: lease.hit, interpreter: warmInterpreter },
      };
    }
  }
  throw new Error('A plan always ends with the run stage.');
}

function judge(exit: AgentExit, limits: StageLimits, { runtime, spec, live }: ExecuteContext): Verdict | undefined {
  const pattern = runtime.outOfMemory;
  const { signal, exitCode } = describeStage(exit);
  if (pattern && signal === (pattern.signal ?? null) && exitCode === (pattern.exitCode ?? null)) {
    const channel = spec.tty ? CHANNEL.stdout : CHANNEL.stderr;
    if (live.output.tail(channel, TAIL_BYTES).includes(pattern.stderr)) return outOfMemory(spec.limits);
  }
  return judgeStage(exit, { ...limits, memoryBytes: spec.limits.memoryBytes });
}

function summarise(stages: Stage[]): Partial<Run> {
  const last = stages.at(-1);
  if (!last) return {};
  return {
    stages,
    exitCode: last.exitCode,
    signal: last.signal,
    wallMs: sum(stages.map((stage) => stage.wallMs)),
    cpuMs: sum(stages.map((stage) => stage.cpuMs)),
    peakMemoryBytes: Math.max(...stages.map((stage) => stage.peakMemoryBytes)),
  };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Waits for the stage's end, but not for ever: near its limit readers no longer hold the program up, beyond it the container ends. */
async function timed(
  ending: Promise<AgentExit>,
  { wallMs }: StageLimits,
  { live, lease }: ExecuteContext,
): Promise<AgentExit> {
  const last = setTimeout(() => lease.sandbox.agent.close(OVERTIME), wallMs + OVERTIME_MS);
  const release = setTimeout(() => live.output.release(), wallMs);
  try {
    return await ending;
  } finally {
    clearTimeout(release);
    clearTimeout(last);
  }
}

const OVERTIME = 'The sandbox did not end the run in time.';

/** What a failed conversation means for the run. */
async function explain(error: Error, { live, spec, lease }: ExecuteContext): Promise<Outcome> {
  const stop = live.stop.signal;
  if (stop.aborted) return stop.reason as Outcome;
  if (error instanceof AgentFailure) {
    const known = error.code === 'workspace_full' ? 'workspace_full' : 'bad_path';
    const body: ErrorBody =
      error.code === 'workspace_full' || error.path !== undefined
        ? new CodeRunnerError(known, error.message, { details: { path: error.path } }).toJSON()
        : new CodeRunnerError('internal', `The sandbox could not do its part: ${error.message}`).toJSON();
    return { state: 'failed', message: error.message, error: body };
  }
  if (error instanceof AgentGone) {
    if (error.message === OVERTIME) return { state: 'timed_out', message: `Stopped: ${error.message}` };
    if (await lease.sandbox.ranOutOfMemory().catch(() => false)) return outOfMemory(spec.limits);
    return { state: 'lost', message: 'Lost: the sandbox or the container engine went away while the program ran.' };
  }
  const known =
    error instanceof CodeRunnerError
      ? error
      : new CodeRunnerError('internal', `The run failed inside CodeRunner: ${error.message}`, { cause: error });
  return { state: 'failed', message: known.message, error: known.toJSON() };
}

function stageStart(
  { spec, runtime, lease, packages }: ExecuteContext,
  { stage, argv, warm, limits }: PlannedStage,
): StageStart {
  const env: Record<string, string> = {
    ...DEFAULT_ENV,
    ...runtime.env,
    ...(packages ? runtime.install?.env : {}),
    ...(spec.tty ? { TERM: 'xterm-256color' } : {}),
    ...spec.env,
  };
  const mustBeCold =
    spec.cold || Object.keys(spec.env).some((name) => runtime.warm?.coldEnv.some((pattern) => matches(pattern, name)));
  return {
    stage,
    argv: expandArgv(argv, spec),
    env,
    cwd: '/workspace',
    tty: stage === 'run' ? spec.tty : null,
    warm: warm && lease.sandbox.warm && !mustBeCold ? { entry: spec.entry, args: spec.args } : null,
    limits: {
      wallMs: limits.wallMs,
      cpuMs: limits.cpuMs,
      outputBytes: limits.outputBytes,
      fileBytes: limits.fileBytes,
      openFiles: OPEN_FILES,
    },
  };
}

/** `PYTHON*` and the like: a name, or its beginning and a star. */
function matches(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

function connectInput({ live, spec, lease }: ExecuteContext): void {
  const { agent } = lease.sandbox;
  if (spec.stdin !== undefined) {
    feed(agent, Buffer.from(spec.stdin ?? ''));
  } else {
    agent.onStdinCredit = (bytes) => live.stdinTaken(bytes);
  }
  live.attach({
    stdin: (bytes, eof) => agent.stdin(bytes, eof),
    signal: (number) => agent.signal(number),
    resize: (size) => agent.resize(size),
  });
}

/** All of the input, as fast as the program takes it, then its end. */
function feed(agent: Agent, input: Buffer): void {
  let sent = 0;
  const send = (room: number) => {
    const next = input.subarray(sent, sent + room);
    sent += next.length;
    agent.stdin(next, sent === input.length);
    if (sent === input.length) agent.onStdinCredit = () => {};
  };
  agent.onStdinCredit = send;
  send(STDIN_WINDOW_BYTES);
}

/** The run's files as a tar stream; contents are read one after the other as the sandbox takes them. */
function archive({ spec, live, blobs }: ExecuteContext): AsyncIterable<Uint8Array> {
  const pack = tar.pack();
  const fill = async () => {
    for (const file of spec.files) {
      const bytes =
        'content' in file
          ? Buffer.from(file.content, file.encoding ?? 'utf8')
          : await blobs.read(live.owner, file.sha256);
      await new Promise<void>((resolve, reject) => {
        pack.entry({ name: file.path, mode: file.executable ? 0o755 : 0o644 }, bytes, (error) =>
          error ? reject(error) : resolve(),
        );
      });
    }
    pack.finalize();
  };
  fill().catch((error) => pack.destroy(error));
  return pack as AsyncIterable<Buffer>;
}

/** The files that the program produced and the tables that its runner wrote, put among the owner's contents. */
async function collect(context: ExecuteContext): Promise<Pick<Run, 'files' | 'results'>> {
  const { results } = context.runtime;
  const globs = [...context.spec.collect, ...(results === undefined ? [] : [results])];
  const files = globs.length > 0 ? await collectFiles(context, globs) : [];
  const found = files.find(({ path }) => path === results);
  return {
    files: files.filter((file) => file !== found),
    results: found ? { sizeBytes: found.sizeBytes, sha256: found.sha256 } : null,
  };
}

async function collectFiles({ live, lease, blobs, config }: ExecuteContext, globs: string[]): Promise<ProducedFile[]> {
  const { agent } = lease.sandbox;
  const extract = tar.extract();
  const request = { globs, maxFiles: MOST_PRODUCED_FILES, maxBytes: config.maxCollectBytes };
  const late = setTimeout(() => agent.close('The produced files did not come in time.'), COLLECT_WITHIN_MS);
  try {
    // The sum is bounded, so slices need no flow control of their own. The agent keeps to it; one that a program took over may not.
    let room = request.maxBytes + MOST_PRODUCED_FILES * ARCHIVE_OVERHEAD_BYTES;
    const take = (slice: Buffer) => {
      room -= slice.length;
      if (room >= 0) extract.write(slice);
      else agent.close('The sandbox gave back more than it was asked for.');
    };
    const sending = agent.collect(request, take).finally(() => extract.end(null));
    sending.catch(() => {}); // it is awaited below, after what it feeds
    const files: ProducedFile[] = [];
    for await (const entry of extract) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      // Clients write these files to their disks: only what a run could bring may come back.
      if (entry.header.type !== 'file' || pathProblem(entry.header.name) !== undefined) continue;
      const bytes = Buffer.concat(chunks);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      await blobs.put(live.owner, sha256, Readable.from([bytes]));
      files.push({ path: entry.header.name, sizeBytes: bytes.length, sha256 });
    }
    await sending;
    return files;
  } finally {
    clearTimeout(late);
  }
}
