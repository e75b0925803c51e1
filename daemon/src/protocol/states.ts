/** The states of a run. What may follow what is in `runs/states.ts`; these are the names that travel. */

export const LIVE_STATES = ['queued', 'starting', 'installing', 'compiling', 'running'] as const;

export const END_STATES = [
  'succeeded',
  'failed',
  'signaled',
  'compile_failed',
  'install_failed',
  'timed_out',
  'out_of_memory',
  'output_limit',
  'cancelled',
  'lost',
] as const;

export type LiveState = (typeof LIVE_STATES)[number];
export type EndState = (typeof END_STATES)[number];
export type RunState = LiveState | EndState;

/** Whether a run in this state will never change again. */
export function isEnd(state: RunState): state is EndState {
  return (END_STATES as readonly string[]).includes(state);
}
