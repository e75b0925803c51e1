/** What the server and the extension say to each other beyond the Language Server Protocol. */
import type { Static } from 'typebox';
import * as Type from 'typebox';

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

/** `initializationOptions` of a client; all of them may be left out. */
export const ServerOptions = Type.Object({
  /** The client runs programs and tells of it; otherwise the server runs them itself. */
  clientRuns: Type.Optional(Type.Boolean()),
  /** Show what the sandbox will refuse. Default: true. */
  hints: Type.Optional(Type.Boolean()),
  /** Editor languages that can be run beside those that the server knows. */
  languageIds: Type.Optional(Type.Array(Type.String())),
  /** Translations of what the server says, by its English texts. */
  strings: Type.Optional(Type.Record(Type.String(), Type.String())),
});
export type ServerOptions = Static<typeof ServerOptions>;

/** Notification: a program begins. What is known of its last run is forgotten. */
export const RUN_STARTED = 'coderunner/runStarted';
export const RunStarted = Type.Object({
  /** The document that the program begins in. */
  uri: Type.String(),
});
export type RunStarted = Static<typeof RunStarted>;

/** Notification: a program has ended. */
export const RUN_ENDED = 'coderunner/runEnded';
export const RunEnded = Type.Object({
  uri: Type.String(),
  /** URI of the folder that was sent along; null where the document went alone. */
  root: Type.Union([Type.String(), Type.Null()]),
  /** The document's path from the root on, with `/` between folders. */
  entry: Type.String(),
  /** What it printed last, colours and all. */
  output: Type.String(),
  /** How it ended, in words. */
  verdict: Type.String(),
  wallMs: Type.Union([Type.Number(), Type.Null()]),
  cpuMs: Type.Union([Type.Number(), Type.Null()]),
  peakMemoryBytes: Type.Union([Type.Number(), Type.Null()]),
});
export type RunEnded = Static<typeof RunEnded>;

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
