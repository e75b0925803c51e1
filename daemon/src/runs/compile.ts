/** The stage before the program, or what it left when the same sources were compiled before. */
import { createHash } from 'node:crypto';
import type { AgentExit } from '../agent/agent.ts';
import { CHANNEL, type Channel, type Stage } from '../protocol/index.ts';
import { type Compilation, compileMemory } from '../runtimes/runtime.ts';
import { type CollectedFile, collectFiles } from './collect.ts';
import type { Compiled, CompileInputs } from './compile-cache.ts';
import { OutputLog } from './output-log.ts';
import { contentsOf, type ExecuteContext, type PlannedStage, runStage, stageStart } from './stage.ts';
import type { Verdict } from './verdict.ts';

/** A run's compilation. Made before the run's files are sent, since what was compiled before goes with them. */
export class CompileStep {
  readonly #context: ExecuteContext;
  readonly #planned: PlannedStage;
  /** undefined where nothing of it is kept. */
  readonly #inputs: CompileInputs | undefined;
  #keeping: Promise<void> | undefined;
  /** What there is of an earlier time; then there is nothing to do. */
  readonly compiled: Compiled | undefined;

  private constructor(
    context: ExecuteContext,
    planned: PlannedStage,
    inputs: CompileInputs | undefined,
    compiled: Compiled | undefined,
  ) {
    this.#context = context;
    this.#planned = planned;
    this.#inputs = inputs;
    this.compiled = compiled;
  }

  /** Looks for an earlier result, and prints what the compiler had to say then. */
  static async prepare(context: ExecuteContext, compilation: Compilation): Promise<CompileStep> {
    const { compileCache, live } = context;
    const planned = planStage(context, compilation);
    const keeps = compilation.outputs !== undefined && compileCache.limits !== undefined;
    const inputs = keeps ? inputsOf(context, planned) : undefined;
    const compiled = inputs && (await compileCache.find(live.owner, inputs));
    if (compiled) printAgain(compiled, printer(context));
    return new CompileStep(context, planned, inputs, compiled);
  }

  /** Compiles. @returns the verdict where the run ends with it @throws as {@link runStage} */
  async run(stages: Stage[]): Promise<{ exit: AgentExit; verdict: Verdict | undefined }> {
    const { agent } = this.#context.lease.sandbox;
    const print = printer(this.#context);
    const printed = new OutputLog(this.#planned.limits.outputBytes);
    agent.onOutput = (channel, bytes) => {
      print(channel, bytes);
      if (this.#inputs) printed.append(channel, bytes);
    };
    const end = await runStage(this.#context, this.#planned, stages);
    if (!end.verdict && this.#inputs) await this.#keep(this.#inputs, printed);
    return end;
  }

  /** Resolves when what was compiled is kept for the next time. */
  get kept(): Promise<void> {
    return this.#keeping ?? Promise.resolve();
  }

  /** Takes what the compiler made out of the sandbox, now; putting it away goes on while the program runs. */
  async #keep(inputs: CompileInputs, printed: OutputLog): Promise<void> {
    const { runtime, lease, compileCache, live } = this.#context;
    const globs = runtime.compile?.outputs;
    const { limits } = compileCache;
    if (!globs || !limits) return;
    const files: CollectedFile[] = [];
    const complete = await collectFiles(lease.sandbox.agent, { globs: [...globs], ...limits }, (file) => {
      files.push(file);
    });
    // What left no files has what it made elsewhere: a waiting interpreter in its memory, a build script behind a link.
    if (!complete || files.length === 0) return;
    this.#keeping = compileCache.keep(live.owner, inputs, { files, printed: printed.dump().bytes });
  }
}

/** A runtime's own limits, and never more than the daemon allows a run. */
export function planStage(
  { config, runtime, spec }: ExecuteContext,
  { argv, warm, limits }: Compilation,
): PlannedStage {
  return {
    stage: 'compile',
    argv,
    warm,
    limits: {
      wallMs: Math.min(limits.wallMs, config.maxWall),
      cpuMs: Math.min(limits.cpuMs, config.maxCpu),
      outputBytes: Math.min(limits.outputBytes, config.maxOutput),
      fileBytes: Math.min(limits.fileBytes, config.workspaceBytes),
      memoryBytes: compileMemory(runtime, spec.limits.memoryBytes, config),
    },
  };
}

/** How a compiler's output is shown: in a terminal there is one channel only, and a line ends with a return to its beginning. */
function printer({ live, spec }: ExecuteContext): (channel: Channel, bytes: Buffer) => void {
  if (!spec.tty) return (channel, bytes) => live.print(channel, bytes);
  return (_, bytes) =>
    live.print(CHANNEL.stdout, Buffer.from(bytes.toString('latin1').replaceAll('\n', '\r\n'), 'latin1'));
}

/** What the compiler had to say when it did it, so that its warnings do not vanish. */
function printAgain({ printed }: Compiled, print: (channel: Channel, bytes: Buffer) => void): void {
  const log = OutputLog.restore(0, Buffer.from(printed));
  for (let piece = log.read(0, log.end); piece; piece = log.read(piece.seq + piece.data.length, log.end))
    print(piece.channel, piece.data);
}

function inputsOf(context: ExecuteContext, planned: PlannedStage): CompileInputs {
  const { spec, lease, packages } = context;
  const { argv, env, warm } = stageStart(context, planned);
  const files = spec.files.map((file) => ({
    path: file.path,
    sha256: 'content' in file ? createHash('sha256').update(contentsOf(file)).digest('hex') : file.sha256,
    executable: file.executable ?? false,
  }));
  return { image: lease.sandbox.image, packages: packages?.contents ?? null, argv, env, files, warm: warm !== null };
}
