/** What the server and the extension say to each other beyond the Language Server Protocol. */
export type { RunEnded, RunStarted, ServerOptions } from './schemas.ts';

/** Commands of the server's CodeLenses. Each takes the document's URI. */
export const COMMANDS = {
  run: 'coderunner.run',
  runWithArguments: 'coderunner.runWithArguments',
  stop: 'coderunner.stop',
} as const;

/** Titles of the CodeLenses, for clients that put others in their place. */
export const TITLES = {
  run: '▶ Run in Sandbox',
  runAgain: '↻ Run Again',
  runWithArguments: 'with Arguments…',
  stop: '■ Stop',
} as const;

/** Notification: a program begins. What is known of its last run is forgotten. */
export const RUN_STARTED = 'coderunner/runStarted';

/** Notification: a program has ended. */
export const RUN_ENDED = 'coderunner/runEnded';

/**
 * Notification, to clients that run programs: where a program that has ended should be looked at first, and where that has moved to
 * by edits.
 */
export const PROBLEM = 'coderunner/problem';
export interface ProblemMoved {
  /** The document that the program begins in. */
  uri: string;
  /** Line from 0 on; null where no error names a place, or its line was removed. */
  problem: { uri: string; line: number; character: number | null } | null;
}
