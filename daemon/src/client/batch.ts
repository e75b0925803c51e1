/**
 * A batch on a connection that may break. The daemon ends a batch whose client is gone, so asking again for the inputs that have no result
 * yet goes on with it, and none of them has two results.
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
  request: BatchRequest,
  signal?: AbortSignal,
): AsyncGenerator<BatchLine> {
  const total = request.inputs.length;
  let passed = 0;
  let done = 0;
  let isOver = false;
  let isUploaded = false;
  for (let silentSince: number | undefined; ; ) {
    try {
      for await (const line of api.batch({ ...request, inputs: request.inputs.slice(done) }, signal)) {
        silentSince = undefined;
        isUploaded = false;
        if (line.type === 'end') {
          yield { ...line, total, passed, failed: done - passed, skipped: total - done };
          return;
        }
        const index = done++;
        if (line.passed) passed++;
        isOver = done === total || endsBatch(line, request);
        yield { ...line, index };
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
