/**
 * A batch on a connection that may break. Asked again with the same key, from the first input on whose result is not here yet, the daemon
 * goes on with it: none has two results, and no program that came to its end runs once more.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { BatchLine, BatchRequest, BatchResult } from '../protocol/resources.ts';
import type { DaemonApi } from './api.ts';

const RETRY_MS = 500;

export interface BatchOptions {
  api: DaemonApi;
  /** How long there may be no answer, milliseconds. */
  reconnectMs: number;
  /** Uploads the contents that the daemon has no more. */
  upload(): Promise<void>;
}

/** As {@link DaemonApi.batch}, but it fails with `not_running` only when no connection came about for that long. */
export async function* batchPatiently(
  { api, reconnectMs, upload }: BatchOptions,
  request: BatchRequest & { key: string },
  signal?: AbortSignal,
): AsyncGenerator<BatchLine> {
  const { from = 0 } = request;
  const total = request.inputs.length - from;
  let passed = 0;
  let done = 0;
  let isOver = false;
  let isUploaded = false;
  for (let silentSince: number | undefined; ; ) {
    try {
      for await (const line of api.batch({ ...request, from: from + done }, signal)) {
        silentSince = undefined;
        isUploaded = false;
        if (line.type === 'end') {
          yield { ...line, total, passed, failed: done - passed, skipped: total - done };
          return;
        }
        done++;
        if (line.passed) passed++;
        isOver = done === total || endsBatch(line, request);
        yield line;
      }
    } catch (error) {
      if (error instanceof CodeRunnerError && error.code === 'blobs_missing' && !isUploaded) {
        // They were evicted, or it is another daemon by now.
        isUploaded = true;
        await upload();
        continue;
      }
      if (!(error instanceof CodeRunnerError) || error.code !== 'not_running') throw error;
      if (isOver) {
        // Only the last line was lost, and what it says is known.
        yield { type: 'end', total, passed, failed: done - passed, skipped: total - done, error: null };
        return;
      }
      silentSince ??= performance.now();
      if (performance.now() - silentSince > reconnectMs) throw error;
      await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
      signal?.throwIfAborted();
    }
  }
}

/** Whether the daemon begins nothing behind that result. */
function endsBatch({ passed, run }: BatchResult, { stopAtFirstFailure }: BatchRequest): boolean {
  return run.state === 'compile_failed' || run.state === 'install_failed' || (!passed && stopAtFirstFailure === true);
}
