/** Files out of a sandbox. What comes is not trusted: neither how much it is, nor what it is called. */
import tar from 'tar-stream';
import type { Agent, CollectRequest } from '../agent/agent.ts';
import { pathProblem } from './spec.ts';

const COLLECT_WITHIN_MS = 30_000;
/** What a file takes in the archive beside its contents: headers, padding and the longest of names. */
const ARCHIVE_OVERHEAD_BYTES = 8 * 1024;

export interface CollectedFile {
  path: string;
  bytes: Buffer;
  executable: boolean;
}

/**
 * Hands on the files that match, one after the other.
 * @returns whether all of them came; false where some go beyond the limits of the request
 * @throws AgentFailure, AgentGone; whatever `take` throws
 */
export async function collectFiles(
  agent: Agent,
  request: CollectRequest,
  take: (file: CollectedFile) => Promise<void> | void,
): Promise<boolean> {
  const extract = tar.extract();
  const late = setTimeout(() => agent.close('The produced files did not come in time.'), COLLECT_WITHIN_MS);
  try {
    // The sum is bounded, so slices need no flow control of their own. The agent keeps to it; one that a program took over may not.
    let room = request.maxBytes + request.maxFiles * ARCHIVE_OVERHEAD_BYTES;
    const feed = (slice: Buffer) => {
      room -= slice.length;
      if (room >= 0) extract.write(slice);
      else agent.close('The sandbox gave back more than it was asked for.');
    };
    const sending = agent.collect(request, feed).finally(() => extract.end(null));
    sending.catch(() => {}); // it is awaited below, after what it feeds
    for await (const { header, ...entry } of entries(extract, agent)) {
      // Clients write these files to their disks: only what a run could bring may come back.
      if (header.type !== 'file' || pathProblem(header.name) !== undefined) continue;
      await take({ path: header.name, bytes: entry.bytes, executable: ((header.mode ?? 0) & 0o100) !== 0 });
    }
    return await sending;
  } finally {
    clearTimeout(late);
  }
}

async function* entries(extract: tar.Extract, agent: Agent): AsyncGenerator<{ header: tar.Header; bytes: Buffer }> {
  try {
    for await (const entry of extract) {
      const chunks: Buffer[] = [];
      for await (const chunk of entry) chunks.push(chunk as Buffer);
      yield { header: entry.header, bytes: Buffer.concat(chunks) };
    }
  } catch {
    // No archive, or the end of one that was cut off: nothing more can be believed of who sent it.
    agent.close('The sandbox gave back no archive.');
    throw await agent.closed;
  }
}
