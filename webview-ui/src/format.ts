/** Measures and states as people read them. */
import type { Phase, RunView } from '../../extension/src/console/messages.ts';
import { number, t } from './l10n.ts';

/** @param ms milliseconds; a tenth of a second is as much as anybody reads while it counts */
export function duration(ms: number): string {
  const seconds = ms / 1000;
  if (seconds < 10) return t('{0} s', number(Math.floor(seconds * 10) / 10, 1));
  if (seconds < 60) return t('{0} s', number(Math.floor(seconds)));
  const minutes = Math.floor(seconds / 60);
  const pad = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (minutes < 60) return `${minutes}:${pad(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(seconds % 60)}`;
}

/** What a program took in the end, exact where it is short. */
export function exactDuration(ms: number): string {
  if (ms < 1000) return t('{0} ms', number(Math.round(ms)));
  return ms < 10_000 ? t('{0} s', number(ms / 1000, 2)) : duration(ms);
}

/** Binary multiples, as the sandbox's limits count. */
export function size(bytes: number): string {
  if (bytes < 1024) return t('{0} bytes', number(bytes));
  let [value, unit] = [bytes / 1024, 0];
  while (value >= 1000 && unit < UNITS.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${number(value, value < 10 ? 1 : 0)} ${UNITS[unit]}`;
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'];

/** How a state looks; `tone` is a colour of the theme. */
export interface Look {
  icon: string;
  tone: 'quiet' | 'busy' | 'good' | 'bad' | 'warning';
}

const LOOKS: Record<Phase, Look & { words: string }> = {
  collecting: { icon: 'loading', tone: 'busy', words: 'Collecting files' },
  connecting: { icon: 'loading', tone: 'busy', words: 'Connecting' },
  building: { icon: 'loading', tone: 'busy', words: 'Building the image' },
  queued: { icon: 'watch', tone: 'quiet', words: 'Waiting for its turn' },
  starting: { icon: 'loading', tone: 'busy', words: 'Starting' },
  installing: { icon: 'loading', tone: 'busy', words: 'Installing dependencies' },
  compiling: { icon: 'loading', tone: 'busy', words: 'Compiling' },
  running: { icon: 'loading', tone: 'busy', words: 'Running' },
  succeeded: { icon: 'pass', tone: 'good', words: 'Finished' },
  failed: { icon: 'error', tone: 'bad', words: 'Failed' },
  signaled: { icon: 'error', tone: 'bad', words: 'Crashed' },
  compile_failed: { icon: 'error', tone: 'bad', words: 'Did not compile' },
  install_failed: { icon: 'error', tone: 'bad', words: 'The dependencies could not be installed' },
  timed_out: { icon: 'warning', tone: 'warning', words: 'Stopped: took too long' },
  out_of_memory: { icon: 'warning', tone: 'warning', words: 'Stopped: used too much memory' },
  output_limit: { icon: 'warning', tone: 'warning', words: 'Stopped: printed too much' },
  cancelled: { icon: 'circle-slash', tone: 'quiet', words: 'Stopped' },
  lost: { icon: 'debug-disconnect', tone: 'bad', words: 'Lost' },
};

export function lookOf({ phase, ended }: Pick<RunView, 'phase' | 'ended'>): Look {
  // Ended before there was a run, such as when no engine could be reached.
  return ended && LOOKS[phase].tone === 'busy' ? { icon: 'error', tone: 'bad' } : LOOKS[phase];
}

/** The state, or the verdict, in words. */
export function wordsOf({ phase, message }: Pick<RunView, 'phase' | 'message'>): string {
  // A heading, not a text: a sentence's end is left away.
  return message?.replace(/\.$/, '') ?? t(LOOKS[phase].words);
}

/** What is known about what the run used, such as `exit code 1`, `CPU 0.31 s`. */
export function measuresOf(run: RunView): string[] {
  const measures: string[] = [];
  if (run.exitCode !== null) measures.push(t('exit code {0}', run.exitCode));
  if (run.signal !== null) measures.push(run.signal);
  if (run.cpuMs !== null) measures.push(t('CPU {0}', exactDuration(run.cpuMs)));
  if (run.peakMemoryBytes !== null) measures.push(t('memory {0}', size(run.peakMemoryBytes)));
  return measures;
}
