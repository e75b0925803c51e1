/** The life of a run, as one table: which state may follow which. Everything that changes a run's state asks here. */
import { END_STATES, type RunState } from '../protocol/index.ts';

/** Any run can end these ways before it has begun its first stage. */
const BEFORE_A_STAGE = ['cancelled', 'lost', 'failed'] as const satisfies RunState[];

const MOVES: Record<RunState, readonly RunState[]> = {
  queued: ['starting', ...BEFORE_A_STAGE],
  // back to the queue when the engine went away before anything ran
  starting: ['queued', 'installing', 'compiling', 'running', 'out_of_memory', ...BEFORE_A_STAGE],
  installing: [
    'queued',
    'compiling',
    'running',
    'install_failed',
    'timed_out',
    'out_of_memory',
    'output_limit',
    'cancelled',
    'lost',
    'failed',
  ],
  compiling: ['running', 'compile_failed', 'timed_out', 'out_of_memory', 'output_limit', 'cancelled', 'lost', 'failed'],
  running: ['succeeded', 'failed', 'signaled', 'timed_out', 'out_of_memory', 'output_limit', 'cancelled', 'lost'],
  ...(Object.fromEntries(END_STATES.map((state) => [state, []])) as unknown as Record<
    (typeof END_STATES)[number],
    readonly RunState[]
  >),
};

/** Whether a run may go from one state to the other. */
export function canMove(from: RunState, to: RunState): boolean {
  return MOVES[from].includes(to);
}
