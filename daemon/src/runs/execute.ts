/** One run inside its sandbox: files in, stages one after the other, produced files out. It says how the run ended; it changes no state but through `live`. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import tar from 'tar-stream';
import { AgentFailure, AgentGone } from '../agent/agent.ts';
import {
  CodeRunnerError,
  type EndState,
  type ErrorBody,
  type ProducedFile,
  type Run,
  type Stage,
} from '../protocol/index.ts';
import { type CollectedFile, collectFiles } from './collect.ts';
import { CompileStep, planStage } from './compile.ts';
import { contentsOf, type ExecuteContext, OVERTIME, type PlannedStage, runStage } from './stage.ts';
import { describeStage, outOfMemory, type Verdict } from './verdict.ts';

const MOST_PRODUCED_FILES = 1_000;

/** How a run ended: what changes on it. */
export type Outcome = { state: EndState } & Partial<Run>;

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

async function runStages(context: ExecuteContext, stages: Stage[]): Promise<Outcome> {
  const { live, spec, runtime, lease } = context;
  const { agent } = lease.sandbox;
  const compile = runtime.compile && (await CompileStep.prepare(context, runtime.compile));
  const compiled = compile?.compiled;
  await agent.sendFiles(archive(context, compiled?.files ?? []));
  const warm = { container: lease.hit, interpreter: false, reused: lease.sandbox.runs > 1 };
  const outcome = (verdict: Verdict | undefined): Outcome => ({
    ...summarise(stages),
    ...(verdict ?? { state: 'succeeded', message: null }),
    compileCached: compiled !== undefined,
    warm,
  });
  if (compile && !compiled) {
    await lease.sandbox.raiseMemory();
    const { exit, verdict } = await compile.run(stages);
    warm.interpreter = exit.warm;
    if (verdict) return outcome(verdict);
  }
  if (!(await lease.sandbox.lowerMemory())) return outcome(outOfMemory(spec.limits));
  agent.onOutput = (channel, bytes) => live.print(channel, bytes);
  const program: PlannedStage = { stage: 'run', argv: runtime.run.argv, warm: runtime.run.warm, limits: spec.limits };
  const { exit, verdict } = await runStage(context, program, stages);
  warm.interpreter ||= exit.warm;
  const produced = await collect(context);
  await compile?.kept;
  return { ...outcome(verdict), ...produced };
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

/** What a failed conversation means for the run. */
async function explain(error: Error, context: ExecuteContext): Promise<Outcome> {
  const { live, spec, runtime, lease } = context;
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
    if (await lease.sandbox.ranOutOfMemory().catch(() => false)) {
      return live.run.state === 'compiling' && runtime.compile
        ? outOfMemory(planStage(context, runtime.compile).limits, 'compile')
        : outOfMemory(spec.limits);
    }
    return { state: 'lost', message: 'Lost: the sandbox or the container engine went away while the program ran.' };
  }
  const known =
    error instanceof CodeRunnerError
      ? error
      : new CodeRunnerError('internal', `The run failed inside CodeRunner: ${error.message}`, { cause: error });
  return { state: 'failed', message: known.message, error: known.toJSON() };
}

/** The run's files, and those of an earlier compilation, as a tar stream; contents are read one after the other as the sandbox takes them. */
function archive({ spec, live, blobs }: ExecuteContext, compiled: readonly CollectedFile[]): AsyncIterable<Uint8Array> {
  const pack = tar.pack();
  const fill = async () => {
    const add = (path: string, bytes: Buffer, executable = false) =>
      new Promise<void>((resolve, reject) => {
        pack.entry({ name: path, mode: executable ? 0o755 : 0o644 }, bytes, (error) =>
          error ? reject(error) : resolve(),
        );
      });
    for (const file of spec.files) {
      const bytes = 'content' in file ? contentsOf(file) : await blobs.read(live.owner, file.sha256);
      await add(file.path, bytes, file.executable);
    }
    for (const { path, bytes, executable } of compiled) await add(path, bytes, executable);
    pack.finalize();
  };
  fill().catch((error) => pack.destroy(error));
  return pack as AsyncIterable<Buffer>;
}

/** The files that the program produced and the tables that its runner wrote, put among the owner's contents. */
async function collect(context: ExecuteContext): Promise<Pick<Run, 'files' | 'results'>> {
  const { results } = context.runtime;
  const globs = [...context.spec.collect, ...(results === undefined ? [] : [results])];
  const files = globs.length > 0 ? await keepProduced(context, globs) : [];
  const found = files.find(({ path }) => path === results);
  return {
    files: files.filter((file) => file !== found),
    results: found ? { sizeBytes: found.sizeBytes, sha256: found.sha256 } : null,
  };
}

async function keepProduced({ live, lease, blobs, config }: ExecuteContext, globs: string[]): Promise<ProducedFile[]> {
  const request = { globs, maxFiles: MOST_PRODUCED_FILES, maxBytes: config.maxCollectBytes };
  const files: ProducedFile[] = [];
  await collectFiles(lease.sandbox.agent, request, async ({ path, bytes }) => {
    const hash = createHash('sha256').update(bytes).digest('hex');
    await blobs.put(live.owner, hash, Readable.from([bytes]));
    files.push({ path, sizeBytes: bytes.length, sha256: hash });
  });
  return files;
}
