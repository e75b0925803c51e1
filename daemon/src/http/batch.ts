/** The answer to a batch: a JSON object a line, each written when it is there. Whoever hangs up ends the batch. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { Batch } from '../runs/batch.ts';

const KEEP_ALIVE_MS = 15_000;

/** @param gone aborted when nobody reads any more */
export async function answerBatch(batch: Batch, response: ServerResponse, gone: AbortSignal): Promise<void> {
  response.writeHead(200, {
    'content-type': 'application/x-ndjson',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  response.flushHeaders();
  // White space in front of a line's JSON changes nothing for those who read it.
  const keepAlive = setInterval(() => response.write(' '), KEEP_ALIVE_MS);
  try {
    for await (const line of batch.lines())
      if (!response.write(`${JSON.stringify(line)}\n`)) await once(response, 'drain', { signal: gone });
  } catch (error) {
    if (!gone.aborted) throw error;
  } finally {
    clearInterval(keepAlive);
    response.end();
  }
}
