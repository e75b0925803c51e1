/** A run's output for clients without a WebSocket: pages by long-poll, or server-sent events. Both keep the flow control: a client that has asked holds the program to its pace. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { CHANNEL, type OutputChunk, type OutputPage } from '../protocol/index.ts';
import type { LiveRun } from '../runs/live-run.ts';
import type { OutputLog, Reader } from '../runs/output-log.ts';

const PAGE_BYTES = 256 * 1024;
/** A client that polls counts as reading for that long after each answer. */
const LINGER_MS = 10_000;
const KEEP_ALIVE_MS = 15_000;

interface Poller extends Reader {
  linger: NodeJS.Timeout | undefined;
}

/** The pollers of each run; all of a run's pollers are one reader, the furthest of them. */
const pollers = new WeakMap<LiveRun, Poller>();

/** What there is from an offset on; waits up to `waitMs` for the first byte or the run's end. */
export async function outputPage(
  live: LiveRun,
  from: number,
  waitMs: number,
  signal: AbortSignal,
): Promise<OutputPage> {
  const poller = pollerOf(live);
  live.output.acknowledge(poller, from);
  if (from >= live.output.end && !live.ended && waitMs > 0)
    await news(live, AbortSignal.any([signal, AbortSignal.timeout(waitMs)]));
  poller.linger = setTimeout(() => {
    live.output.removeReader(poller);
    pollers.delete(live);
  }, LINGER_MS);
  poller.linger.unref();
  const { chunks, gap, next } = readChunks(live.output, from, PAGE_BYTES);
  return { chunks, gap, next, state: live.run.state, done: live.ended && next >= live.output.end };
}

/**
 * Server-sent events until the run has ended and everything was sent: `output` (an OutputChunk), `gap`, and last `exit` (the Run). The id of each
 * event is the offset after it, so a browser that reconnects goes on where it was. `closing` ends them early.
 */
export async function outputEvents(
  live: LiveRun,
  from: number,
  response: ServerResponse,
  closing: AbortSignal,
): Promise<void> {
  const gone = new AbortController();
  response.on('close', () => gone.abort());
  const closed = AbortSignal.any([gone.signal, closing]);
  const reader: Reader = { acknowledged: Math.min(from, live.output.end), wake: () => {} };
  live.output.addReader(reader);
  const keepAlive = setInterval(() => response.write(': still here\n\n'), KEEP_ALIVE_MS);
  try {
    for (let at = from; !closed.aborted; ) {
      const { chunks, gap, next } = readChunks(live.output, at, PAGE_BYTES);
      let text = gap ? `event: gap\ndata: ${JSON.stringify(gap)}\n\n` : '';
      for (const chunk of chunks)
        text += `event: output\nid: ${chunk.seq + chunkBytes(chunk)}\ndata: ${JSON.stringify(chunk)}\n\n`;
      at = next;
      if (text !== '' && !response.write(text)) await once(response, 'drain', { signal: closed });
      live.output.acknowledge(reader, at);
      if (at < live.output.end) continue;
      if (live.ended) {
        response.write(`event: exit\ndata: ${JSON.stringify(live.run)}\n\n`);
        return;
      }
      await news(live, closed);
    }
  } catch (error) {
    if (!closed.aborted) throw error;
  } finally {
    clearInterval(keepAlive);
    live.output.removeReader(reader);
    response.end();
  }
}

function pollerOf(live: LiveRun): Poller {
  let poller = pollers.get(live);
  if (!poller) {
    poller = { acknowledged: 0, wake: () => {}, linger: undefined };
    pollers.set(live, poller);
    live.output.addReader(poller);
  }
  clearTimeout(poller.linger);
  return poller;
}

/** Resolves at the next output, change of state, or when the signal is aborted. */
function news(live: LiveRun, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      live.output.removeReader(bell);
      live.off('state', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    // It acknowledges nothing, so it never lets the program run ahead.
    const bell: Reader = { acknowledged: 0, wake: done };
    live.output.addReader(bell);
    live.on('state', done);
    signal.addEventListener('abort', done, { once: true });
    if (signal.aborted) done();
  });
}

function readChunks(output: OutputLog, from: number, maxBytes: number): Pick<OutputPage, 'chunks' | 'gap' | 'next'> {
  const chunks: OutputChunk[] = [];
  let gap: OutputPage['gap'] = null;
  let next = Math.min(from, output.end);
  for (let left = maxBytes; left > 0; ) {
    const piece = output.read(next, left);
    if (!piece) break;
    if (piece.seq > next) gap = { from: next, to: piece.seq };
    const text = piece.data.toString('utf8');
    const isText = Buffer.from(text, 'utf8').equals(piece.data);
    chunks.push({
      seq: piece.seq,
      channel: piece.channel === CHANNEL.stderr ? 'stderr' : 'stdout',
      data: isText ? text : piece.data.toString('base64'),
      encoding: isText ? 'utf8' : 'base64',
    });
    next = piece.seq + piece.data.length;
    left -= piece.data.length;
  }
  return { chunks, gap, next };
}

function chunkBytes(chunk: OutputChunk): number {
  return Buffer.byteLength(chunk.data, chunk.encoding);
}
