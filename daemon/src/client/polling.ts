/** One run over plain HTTP, where something on the way lets no WebSocket through: the same, with a little more delay. */
import { setTimeout as sleep } from 'node:timers/promises';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { Run, RunRequest } from '../protocol/resources.ts';
import type { DaemonApi } from './api.ts';
import { RunFeed, type RunObserver } from './run-feed.ts';
import { RunHandle, type Wire } from './run-handle.ts';

const POLL_MS = 25_000;
const RETRY_MS = 500;

export interface PollingOptions {
  api: DaemonApi;
  reconnectMs: number;
}

/** @param request with a key, so that it can be sent again. @throws CodeRunnerError whatever is wrong with the request */
export async function startPolling(options: PollingOptions, request: RunRequest, observer: RunObserver) {
  return poll(options, await patiently(options, () => options.api.submit(request)), 0, observer);
}

/** @throws CodeRunnerError not_found */
export async function followPolling(options: PollingOptions, id: string, from: number, observer: RunObserver) {
  return poll(options, await options.api.run(id), from, observer);
}

function poll(options: PollingOptions, run: Run, from: number, observer: RunObserver): RunHandle {
  const { api } = options;
  const feed = new RunFeed(observer, from);
  const over = new AbortController();
  feed.onOver = () => over.abort();
  feed.state(run);
  /** Offset of the next byte of input. */
  let next = run.inputBytes;
  const wire: Wire = {
    async write(bytes) {
      await patiently(options, () => api.stdin(run.id, bytes, { seq: next }));
      next += bytes.length;
    },
    eof: () => patiently(options, () => api.stdin(run.id, new Uint8Array(0), { seq: next, eof: true })),
    resize() {}, // plain HTTP has no way to say it; the terminal keeps the size it began with
    async cancel() {
      await patiently(options, () => api.cancel(run.id));
    },
    release() {
      feed.fail(new CodeRunnerError('not_running', 'The run is no longer followed.', { hint: 'Follow it again.' }));
    },
  };
  follow(options, run.id, feed, over.signal).catch((error) => feed.fail(error));
  return new RunHandle(feed, wire, api);
}

async function follow(options: PollingOptions, id: string, feed: RunFeed, over: AbortSignal): Promise<void> {
  const { api } = options;
  const run = () => patiently(options, () => api.run(id), over);
  while (!feed.over) {
    const page = await patiently(options, () => api.output(id, feed.received, POLL_MS, over), over);
    if (page.gap) feed.gap(page.gap.from, page.gap.to);
    for (const { channel, seq, data, encoding } of page.chunks) feed.output(channel, seq, Buffer.from(data, encoding));
    // Asking for more says that this was taken, so it has to be.
    await feed.drained();
    if (feed.over) return;
    if (page.done) return feed.end(await run());
    if (page.state !== feed.run?.state) feed.state(await run());
  }
}

/** Asks again while nobody answers, as long as a broken connection may last: for what does no harm when it arrives twice. */
async function patiently<T>({ reconnectMs }: PollingOptions, ask: () => Promise<T>, over?: AbortSignal): Promise<T> {
  for (let silentSince: number | undefined; ; ) {
    try {
      return await ask();
    } catch (error) {
      silentSince ??= performance.now();
      const passing = error instanceof CodeRunnerError && error.code === 'not_running';
      if (!passing || over?.aborted || performance.now() - silentSince > reconnectMs) throw error;
      await sleep(RETRY_MS, undefined, { signal: over });
    }
  }
}
