/** One stage of a run, from START to EXIT: what it is given, its input, its limits and what its end means. */
import { type Agent, type AgentExit, type StageStart, stageFits } from '../agent/agent.ts';
import type { Config } from '../config.ts';
import type { Lease } from '../pool/pool.ts';
import {
  CHANNEL,
  CodeRunnerError,
  type Limits,
  type RunFile,
  STDIN_WINDOW_BYTES,
  type Stage,
  type StageLimits,
} from '../protocol/index.ts';
import { expandArgv, type Runtime } from '../runtimes/runtime.ts';
import type { Blobs } from '../store/blobs.ts';
import type { CompileCache } from './compile-cache.ts';
import type { LiveRun } from './live-run.ts';
import type { RunSpec } from './spec.ts';
import { describeStage, judgeStage, outOfMemory, type Verdict } from './verdict.ts';

/** The last clock is outside the container: an agent that has not ended a stage by then is not asked any more. */
const OVERTIME_MS = 3_000;
const OPEN_FILES = 1_024;
/** Where a runtime's out-of-memory message is looked for: the end of what was printed. */
const TAIL_BYTES = 64 * 1024;

const DEFAULT_ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/workspace',
  USER: 'sandbox',
  LANG: 'C.UTF-8',
};

/** What everything about one run is done with. */
export interface ExecuteContext {
  live: LiveRun;
  spec: RunSpec;
  runtime: Runtime;
  lease: Lease;
  /** The project's packages are in the sandbox, installed for this run where there is a stage. */
  packages: { contents: string; installed: AgentExit | undefined } | undefined;
  blobs: Blobs;
  compileCache: CompileCache;
  config: Config;
}

export interface PlannedStage {
  stage: string;
  argv: readonly string[];
  /** The waiting interpreter can do it. */
  warm: boolean;
  limits: StageLimits & Pick<Limits, 'memoryBytes'>;
}

/** One stage from START to EXIT. @throws CodeRunnerError too_large; AgentFailure, AgentGone */
export async function runStage(
  context: ExecuteContext,
  planned: PlannedStage,
  stages: Stage[],
): Promise<{ exit: AgentExit; verdict: Verdict | undefined }> {
  const { live, lease } = context;
  const { agent } = lease.sandbox;
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
  return { exit, verdict: judge(exit, limits, context) };
}

/** The last word where an agent did not end a stage in time. */
export const OVERTIME = 'The sandbox did not end the run in time.';

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

export function stageStart(
  { spec, runtime, lease, packages }: ExecuteContext,
  { stage, argv, warm, limits }: PlannedStage,
): StageStart {
  const tty = stage === 'run' ? spec.tty : null;
  const env: Record<string, string> = {
    ...DEFAULT_ENV,
    ...runtime.env,
    ...(packages ? runtime.install?.env : {}),
    ...(tty ? { TERM: 'xterm-256color' } : {}),
    ...spec.env,
  };
  const mustBeCold =
    spec.cold || Object.keys(spec.env).some((name) => runtime.warm?.coldEnv.some((pattern) => matches(pattern, name)));
  return {
    stage,
    argv: expandArgv(argv, spec),
    env,
    cwd: '/workspace',
    tty,
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
    feed(agent, Buffer.from(spec.stdin ?? '', spec.stdinEncoding));
  } else {
    agent.onStdinCredit = (bytes) => live.takeStdin(bytes);
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

function judge(
  exit: AgentExit,
  limits: PlannedStage['limits'],
  { runtime, spec, live }: ExecuteContext,
): Verdict | undefined {
  const pattern = runtime.outOfMemory;
  const { signal, exitCode } = describeStage(exit);
  if (pattern && signal === (pattern.signal ?? null) && exitCode === (pattern.exitCode ?? null)) {
    const channel = spec.tty ? CHANNEL.stdout : CHANNEL.stderr;
    if (live.output.tail(channel, TAIL_BYTES).includes(pattern.stderr)) return outOfMemory(limits, exit.stage);
  }
  return judgeStage(exit, limits);
}

/** The bytes of a file that came with the request. */
export function contentsOf({ content, encoding = 'utf8' }: Extract<RunFile, { content: string }>): Buffer {
  return Buffer.from(content, encoding);
}
