/** What clients send, as schemas: apart from the names, so that a client need not carry what checks them. */
import type { Static } from 'typebox';
import * as Type from 'typebox';

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

/** A program begins. */
export const RunStarted = Type.Object({
  /** The document that the program begins in. */
  uri: Type.String(),
});
export type RunStarted = Static<typeof RunStarted>;

/** A program has ended. */
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
