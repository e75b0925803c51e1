/** The files of a run on their way to the daemon: small ones in the message, the others by their hash. */
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { RunFile } from '../protocol/resources.ts';
import type { DaemonApi } from './api.ts';

/** A larger file is not sent again when the daemon still has it. */
const INLINE_FILE_BYTES = 64 * 1024;
/** What all small files together may weigh; the rest goes by hash too, so that an unchanged workspace does not travel twice. */
const INLINE_TOTAL_BYTES = 256 * 1024;
const UPLOADS_AT_ONCE = 8;

export interface SourceFile {
  /** Relative to the workspace, with `/` between folders. */
  path: string;
  /** Or how to read it: called only when the daemon turns out to lack it, where `sha256` is given. */
  content: Uint8Array | (() => Promise<Uint8Array>);
  /** SHA-256 of the contents in lower-case hex, where the caller knows it. */
  sha256?: string;
  executable?: boolean;
}

export interface Parcel {
  files: RunFile[];
  /** Contents that go by hash. */
  byHash: Map<string, SourceFile['content']>;
}

/** Decides how each file travels, in the order given. */
export async function pack(sources: readonly SourceFile[]): Promise<Parcel> {
  const parcel: Parcel = { files: [], byHash: new Map() };
  let inlineBytes = 0;
  for (const { path, content, sha256, executable } of sources) {
    const mode = executable ? { executable } : {};
    if (sha256 !== undefined && typeof content === 'function') {
      parcel.files.push({ path, sha256, ...mode });
      parcel.byHash.set(sha256, content);
      continue;
    }
    const bytes = typeof content === 'function' ? await content() : content;
    if (bytes.length <= INLINE_FILE_BYTES && inlineBytes + bytes.length <= INLINE_TOTAL_BYTES) {
      inlineBytes += bytes.length;
      parcel.files.push({ path, ...inline(bytes), ...mode });
    } else {
      const hash = sha256 ?? createHash('sha256').update(bytes).digest('hex');
      parcel.files.push({ path, sha256: hash, ...mode });
      parcel.byHash.set(hash, bytes);
    }
  }
  return parcel;
}

/** Uploads what the daemon says it lacks, a few at a time. */
export async function upload(api: DaemonApi, parcel: Parcel, missing: readonly string[]): Promise<void> {
  const waiting = missing.values();
  const work = async () => {
    for (const sha256 of waiting) {
      const content = parcel.byHash.get(sha256);
      if (!content)
        throw new CodeRunnerError(
          'protocol_error',
          `The daemon asks for contents ${sha256} that are not part of the run.`,
        );
      await api.putBlob(sha256, typeof content === 'function' ? await content() : content);
    }
  };
  await Promise.all(Array.from({ length: Math.min(UPLOADS_AT_ONCE, missing.length) }, work));
}

function inline(bytes: Uint8Array): { content: string; encoding?: 'base64' } {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(buffer)
    ? { content: buffer.toString('utf8') }
    : { content: buffer.toString('base64'), encoding: 'base64' };
}
