/**
 * Regular expressions come from the files of languages and meet whatever programs print: some of them take exponentially long on text that is
 * made for it. A script with a time limit is the one way to end them; it also ends what it calls outside its own context.
 */
import { createContext, Script } from 'node:vm';

const surroundings = createContext({ task: undefined as unknown });
const script = new Script('task()');

/** On a machine so busy that a task gets no processor time within its limit, it is begun again at most so often. */
const MOST_TRIES = 5;

/**
 * Does something that does not wait and may be begun again: it is, when the clock ended it while the machine did other things.
 * @param ms of processor time, about
 * @returns whether it came to its end
 */
export function endsWithin(ms: number, task: () => void): boolean {
  const before = process.cpuUsage();
  for (let tries = 1; ; tries++) {
    if (endsInTime(ms, task)) return true;
    const { user, system } = process.cpuUsage(before);
    if (user + system >= ms * 1_000 || tries === MOST_TRIES) return false;
  }
}

function endsInTime(ms: number, task: () => void): boolean {
  surroundings.task = task;
  try {
    script.runInContext(surroundings, { timeout: ms });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') return false;
    throw error;
  } finally {
    surroundings.task = undefined;
  }
}

/** @returns the match; null where there is none, undefined where that was not known in time */
export function execWithin(ms: number, pattern: RegExp, text: string): RegExpExecArray | null | undefined {
  let match: RegExpExecArray | null | undefined;
  endsWithin(ms, () => {
    match = pattern.exec(text);
  });
  return match;
}
