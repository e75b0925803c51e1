/** How a run ended, from what the agent says of its last stage: the state, and the sentence that a person reads. */
import { constants } from 'node:os';
import type { AgentExit } from '../agent/agent.ts';
import {
  type EndState,
  formatBytes,
  formatDuration,
  type Limits,
  type Stage,
  type StageLimits,
} from '../protocol/index.ts';

export interface Verdict {
  state: EndState;
  /** What happened, where the exit code does not say it all. */
  message: string | null;
}

/** Of the names that a number has, the first: SIGABRT, which is SIGIOT too. */
const SIGNAL_NAMES = new Map(
  Object.entries(constants.signals)
    .reverse()
    .map(([name, number]) => [number, name]),
);
const WHAT_IT_MEANS: Partial<Record<string, string>> = {
  SIGSEGV: 'it used memory that is not its own',
  SIGFPE: 'an arithmetic error, such as a division by zero',
  SIGABRT: 'it gave up by itself (abort)',
  SIGILL: 'an instruction the processor does not know',
  SIGBUS: 'it used memory that does not exist',
  SIGXFSZ: 'it wrote a file beyond the size limit',
  SIGSYS: 'it asked the kernel for what the sandbox refuses',
};

/** `SIGKILL` for 9; `SIG34` for what has no name. */
export function signalName(number: number): string {
  return SIGNAL_NAMES.get(number) ?? `SIG${number}`;
}

export function describeStage(exit: AgentExit): Stage {
  return {
    stage: exit.stage,
    exitCode: exit.exitCode,
    signal: exit.signal === null ? null : signalName(exit.signal),
    wallMs: exit.wallMs,
    cpuMs: exit.cpuMs,
    peakMemoryBytes: exit.peakRssBytes,
  };
}

/** The verdict when a stage ended; undefined when it succeeded and the next one may follow. @param limits those it had */
export function judgeStage(exit: AgentExit, limits: StageLimits & Pick<Limits, 'memoryBytes'>): Verdict | undefined {
  const during = duringStage(exit.stage);
  switch (exit.cause) {
    case 'wall':
      return { state: 'timed_out', message: `Stopped: ran longer than ${formatDuration(limits.wallMs)}${during}.` };
    case 'cpu':
      return {
        state: 'timed_out',
        message: `Stopped: used more than ${formatDuration(limits.cpuMs)} of CPU time${during}.`,
      };
    case 'output':
      return {
        state: 'output_limit',
        message: `Stopped: printed more than ${formatBytes(limits.outputBytes)}${during}.`,
      };
    case 'oom':
      return outOfMemory(limits, exit.stage);
    case 'signal':
    case 'exit':
      return exit.stage === 'run' ? judgeProgram(exit) : judgePreparation(exit);
  }
}

/** @param limits those that the stage had */
export function outOfMemory(limits: Pick<Limits, 'memoryBytes'>, stage = 'run'): Verdict {
  return {
    state: 'out_of_memory',
    message: `Stopped: used more than ${formatBytes(limits.memoryBytes)} of memory${duringStage(stage)}.`,
  };
}

function duringStage(stage: string): string {
  if (stage === 'run') return '';
  return ` while it was ${stage === 'compile' ? 'compiled' : 'prepared'}`;
}

function judgeProgram(exit: AgentExit): Verdict | undefined {
  if (exit.exitCode === 0) return undefined;
  if (exit.signal === null) return { state: 'failed', message: null };
  const name = signalName(exit.signal);
  const meaning = WHAT_IT_MEANS[name];
  return { state: 'signaled', message: `Ended by ${name}${meaning ? `: ${meaning}` : ''}.` };
}

function judgePreparation(exit: AgentExit): Verdict | undefined {
  if (exit.exitCode === 0) return undefined;
  return exit.stage === 'install'
    ? { state: 'install_failed', message: 'The packages could not be installed.' }
    : { state: 'compile_failed', message: 'It does not compile.' };
}
