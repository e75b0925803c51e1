/**
 * The client library: finds or starts a daemon, starts runs, follows them. Used by the command line, the VS Code extension
 * and the language server; it prints nothing and keeps no state outside its objects. May import only `protocol` and the
 * version.
 *
 * Start reading at `client.ts`. A run's bytes pass through `stream.ts` (or `polling.ts`) into `run-feed.ts`, which numbers,
 * queues and acknowledges them; `run-handle.ts` is what the caller holds.
 */
export { checkProtocol, type DaemonAddress, discover, type LocalDaemon } from './address.ts';
export type { DaemonApi } from './api.ts';
export { Client, type ClientOptions, type StartRequest } from './client.ts';
export { type EnsureOptions, ensureDaemon, logFile } from './ensure.ts';
export type { SourceFile } from './files.ts';
export type { Output, RunObserver } from './run-feed.ts';
export type { RunHandle } from './run-handle.ts';
