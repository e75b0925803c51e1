/**
 * Regular expressions come from the files of languages and meet whatever programs print: some of them take exponentially long on text that is
 * made for it. A script with a time limit is the one way to end them; it also ends what it calls outside its own context.
 */
import { createContext, Script } from 'node:vm';

const surroundings = createContext({ task: undefined as unknown });
const script = new Script('task()');

/**
 * Does something that neither waits nor leaves anything half done when it is ended.
 * @returns whether it came to its end
 */
export function endsWithin(ms: number, task: () => void): boolean {
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
