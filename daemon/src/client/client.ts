/** Runs on a daemon: started, followed, and brought back after a broken connection. */
import { randomUUID } from 'node:crypto';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { BatchLine, BatchRequest, RunRequest } from '../protocol/resources.ts';
import type { DaemonAddress } from './address.ts';
import { DaemonApi, type Locator } from './api.ts';
import { batchPatiently } from './batch.ts';
import { type Parcel, pack, type SourceFile, upload } from './files.ts';
import { followPolling, type PollingOptions, startPolling } from './polling.ts';
import type { RunObserver } from './run-feed.ts';
import type { RunHandle } from './run-handle.ts';
import { checkDaemonProtocol, Stream, WebSocketBlocked } from './stream.ts';

const RECONNECT_MS = 30_000;
/** Hashes that are remembered, some 100 bytes each. */
const MOST_UPLOADED = 100_000;

export interface ClientOptions {
  /** Where the daemon is; asked again after a connection broke. `ensureDaemon` is one way to know. */
  locate(): Promise<DaemonAddress>;
  /** How long a broken connection may take to be made again before runs are given up, milliseconds; 30,000 when left out. */
  reconnectMs?: number;
  /** The daemon has other languages than before; told while there is a connection. */
  onRuntimesChanged?(): void;
}

/** A run as callers ask for it: files by their contents, however they travel. */
export interface StartRequest extends Omit<RunRequest, 'files'> {
  files: readonly SourceFile[];
}

/** The same for a program with many inputs. */
export interface StartBatch extends Omit<BatchRequest, 'files'> {
  files: readonly SourceFile[];
}

export interface FollowOptions {
  /** Offset of the first byte wanted; 0 when left out. */
  from?: number;
  /** Stops following; the run goes on. */
  signal?: AbortSignal | undefined;
}

export class Client implements AsyncDisposable {
  /** The daemon's other abilities: status, runtimes, runs of the past, produced files. */
  readonly api: DaemonApi;
  readonly #stream: Stream;
  readonly #patience: PollingOptions;
  /** Contents that the daemon has had. It is not asked for them again; should they be gone, it says so. */
  readonly #uploaded = new Set<string>();
  /** Once no WebSocket came through, it is not tried again. */
  #blocked = false;

  constructor(options: ClientOptions) {
    const locator = remember(options.locate);
    this.api = new DaemonApi(locator);
    const reconnectMs = options.reconnectMs ?? RECONNECT_MS;
    const onRuntimesChanged = () => options.onRuntimesChanged?.();
    this.#stream = new Stream({ locator, api: this.api, reconnectMs, onRuntimesChanged });
    this.#patience = { api: this.api, reconnectMs };
  }

  /**
   * Starts a run and follows it; contents that the daemon lacks are uploaded before.
   * @param signal cancels the run, whose end comes through `done` as usual
   * @throws CodeRunnerError for whatever is wrong with the request or the daemon; the signal's reason when it was aborted before the
   *   run was asked for
   */
  async start(request: StartRequest, observer: RunObserver, signal?: AbortSignal): Promise<RunHandle> {
    const parcel = await pack(request.files);
    // With a key it can be asked for again when a connection breaks before the answer.
    const wire: RunRequest = { ...request, files: parcel.files, key: request.key ?? randomUUID() };
    await Promise.all([this.#uploadMissing(parcel, this.#unknown(parcel)), this.#open()]);
    signal?.throwIfAborted();
    const submit = () =>
      this.#blocked ? startPolling(this.#patience, wire, observer) : this.#stream.start(wire, observer);
    let handle: RunHandle;
    try {
      handle = await submit();
    } catch (error) {
      if (!(error instanceof CodeRunnerError) || error.code !== 'blobs_missing') throw error;
      // They were evicted, or it is another daemon by now.
      await this.#uploadMissing(parcel, [...parcel.byHash.keys()]);
      handle = await submit();
    }
    onAbort(signal, handle, () => handle.cancel());
    return handle;
  }

  /**
   * Runs a program with many inputs; contents that the daemon lacks are uploaded before. Gives the results in the order of the inputs,
   * then the end. Whoever stops reading ends the batch.
   * @param signal ends it too
   * @throws CodeRunnerError for whatever is wrong with the request or the daemon; not_running where a broken connection could not be made
   *   again; the signal's reason
   */
  async *batch(request: StartBatch, signal?: AbortSignal): AsyncGenerator<BatchLine> {
    const parcel = await pack(request.files);
    const wire = { ...request, files: parcel.files, key: request.key ?? randomUUID() };
    await this.#uploadMissing(parcel, this.#unknown(parcel));
    const upload = () => this.#uploadMissing(parcel, [...parcel.byHash.keys()]);
    yield* batchPatiently({ ...this.#patience, upload }, wire, signal);
  }

  /** Follows a run that was started elsewhere, also one that has ended. @throws CodeRunnerError not_found */
  async follow(id: string, observer: RunObserver, options: FollowOptions = {}): Promise<RunHandle> {
    const { from = 0, signal } = options;
    signal?.throwIfAborted();
    await this.#open();
    const handle = this.#blocked
      ? await followPolling(this.#patience, id, from, observer)
      : await this.#stream.follow(id, from, observer);
    onAbort(signal, handle, () => handle[Symbol.dispose]());
    return handle;
  }

  /** Stops following all runs, which go on, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream[Symbol.asyncDispose]();
  }

  async #open(): Promise<void> {
    if (this.#blocked) return;
    try {
      await this.#stream.open();
    } catch (error) {
      if (!(error instanceof WebSocketBlocked)) throw error;
      // It may be the daemon that refuses, because it speaks another protocol.
      await checkDaemonProtocol(this.api);
      this.#blocked = true;
    }
  }

  /** Contents that the daemon has not had from us. */
  #unknown({ byHash }: Parcel): string[] {
    return [...byHash.keys()].filter((sha256) => !this.#uploaded.has(sha256));
  }

  async #uploadMissing(parcel: Parcel, hashes: readonly string[]): Promise<void> {
    if (hashes.length === 0) return;
    await upload(this.api, parcel, await this.api.missingBlobs(hashes));
    if (this.#uploaded.size + hashes.length > MOST_UPLOADED) this.#uploaded.clear();
    for (const sha256 of hashes) this.#uploaded.add(sha256);
  }
}

/** Asks once, until told to forget; who asks meanwhile waits for the same answer. */
function remember(locate: () => Promise<DaemonAddress>): Locator {
  let known: Promise<DaemonAddress> | undefined;
  const forget = () => {
    known = undefined;
  };
  return {
    forget,
    locate() {
      if (known) return known;
      const asked = locate();
      known = asked;
      asked.catch(() => {
        if (known === asked) forget();
      });
      return asked;
    },
  };
}

function onAbort(signal: AbortSignal | undefined, handle: RunHandle, action: () => unknown): void {
  if (!signal) return;
  if (signal.aborted) action();
  else signal.addEventListener('abort', action, { once: true });
  const detach = () => signal.removeEventListener('abort', action);
  handle.done.then(detach, detach);
}
