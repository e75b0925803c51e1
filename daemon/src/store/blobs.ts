/**
 * Contents by their SHA-256, per owner: what one owner uploaded is neither used for nor shown to another. Bounded; the least
 * recently used go first, except those that a waiting run needs.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CodeRunnerError } from '../protocol/index.ts';

interface Blob {
  sizeBytes: number;
  /** Milliseconds since 1970. */
  usedAt: number;
}

/** What is known of one owner's contents; the order is by use, the oldest first. */
interface Shelf {
  folder: string;
  blobs: Map<string, Blob>;
  totalBytes: number;
}

/** Recently used small contents stay in memory: a run of a thousand files should not open a thousand files. */
const MEMORY_BYTES = 16 * 2 ** 20;
const MEMORY_LARGEST_BYTES = 256 * 1024;
/** The disk is full, the user's quota is used up, or a file would be larger than this process may write. */
const NO_SPACE = new Set<string | undefined>(['ENOSPC', 'EDQUOT', 'EFBIG']);

export class Blobs {
  readonly #folder: string;
  readonly #maxBytes: number;
  readonly #shelves = new Map<string, Promise<Shelf>>();
  /** How many waiting runs need a content, by owner and hash. */
  readonly #pins = new Map<string, number>();
  readonly #memory = new Map<string, Buffer>();
  #memoryBytes = 0;
  #cleaning: Promise<void> | undefined;

  /** @param maxBytes what is kept per owner */
  constructor(dataDir: string, maxBytes: number) {
    this.#folder = join(dataDir, 'blobs');
    this.#maxBytes = maxBytes;
  }

  /** Those of the hashes that the owner has to upload, each once. */
  async missing(owner: string, hashes: Iterable<string>): Promise<string[]> {
    const shelf = await this.#shelf(owner);
    return [...new Set(hashes)].filter((hash) => !shelf.blobs.has(hash));
  }

  /** Size in bytes, or undefined where it is not there. */
  async size(owner: string, hash: string): Promise<number | undefined> {
    return (await this.#shelf(owner)).blobs.get(hash)?.sizeBytes;
  }

  /**
   * Takes contents. Nothing is kept unless all of it came and has that hash.
   * @throws CodeRunnerError hash_mismatch, disk_full; whatever the source throws
   */
  async put(owner: string, hash: string, source: Readable | AsyncIterable<Uint8Array>): Promise<void> {
    await this.#cleaned();
    const shelf = await this.#shelf(owner);
    const partial = join(this.#folder, `${randomUUID()}.partial`);
    const digest = createHash('sha256');
    let sizeBytes = 0;
    try {
      await pipeline(
        source,
        async function* (chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            digest.update(chunk);
            sizeBytes += chunk.length;
            yield chunk;
          }
        },
        createWriteStream(partial, { mode: 0o600 }),
      );
      const found = digest.digest('hex');
      if (found !== hash)
        throw new CodeRunnerError('hash_mismatch', `The contents sent as ${hash} have the SHA-256 ${found}.`);
      await rename(partial, join(shelf.folder, hash));
    } catch (error) {
      await rm(partial, { force: true });
      if (NO_SPACE.has((error as NodeJS.ErrnoException).code)) {
        throw new CodeRunnerError('disk_full', 'The contents could not be kept: the disk is full.', { cause: error });
      }
      throw error;
    }
    shelf.totalBytes += sizeBytes - (shelf.blobs.get(hash)?.sizeBytes ?? 0);
    this.#touch(shelf, hash, { sizeBytes, usedAt: 0 });
    await this.#evict(owner, shelf);
  }

  /** Contents in memory. @throws CodeRunnerError blobs_missing */
  async read(owner: string, hash: string): Promise<Buffer> {
    const key = `${owner} ${hash}`;
    const shelf = await this.#shelf(owner);
    const blob = shelf.blobs.get(hash);
    if (!blob) throw missingBlobs([hash]);
    this.#touch(shelf, hash, blob);
    const known = this.#memory.get(key);
    if (known) {
      this.#memory.delete(key);
      this.#memory.set(key, known);
      return known;
    }
    const bytes = await readFile(join(shelf.folder, hash)).catch((error) => {
      if (error.code !== 'ENOENT') throw error;
      this.#forget(shelf, hash);
      throw missingBlobs([hash]);
    });
    this.#remember(key, bytes);
    return bytes;
  }

  /** Contents as a stream, or undefined where they are not there. */
  async open(owner: string, hash: string): Promise<Readable | undefined> {
    const shelf = await this.#shelf(owner);
    const blob = shelf.blobs.get(hash);
    if (!blob) return undefined;
    const file = await open(join(shelf.folder, hash)).catch((error) => {
      if (error.code !== 'ENOENT') throw error;
      this.#forget(shelf, hash);
      return undefined;
    });
    if (file) this.#touch(shelf, hash, blob);
    return file?.createReadStream();
  }

  /** Keeps contents from being evicted until they are unpinned as often as they were pinned. */
  pin(owner: string, hashes: readonly string[]): void {
    for (const hash of hashes) this.#pins.set(`${owner} ${hash}`, (this.#pins.get(`${owner} ${hash}`) ?? 0) + 1);
  }

  unpin(owner: string, hashes: readonly string[]): void {
    for (const hash of hashes) {
      const key = `${owner} ${hash}`;
      const left = (this.#pins.get(key) ?? 0) - 1;
      if (left > 0) this.#pins.set(key, left);
      else this.#pins.delete(key);
    }
  }

  /** Writes down when contents were last used, so that the order survives a restart. For quiet moments. */
  async tidy(): Promise<void> {
    for (const loading of this.#shelves.values()) {
      const shelf = await loading;
      for (const [hash, blob] of shelf.blobs) {
        const used = new Date(blob.usedAt);
        await utimes(join(shelf.folder, hash), used, used).catch(() => this.#forget(shelf, hash));
      }
    }
  }

  /** Removes, once, the parts of uploads that a killed daemon left. */
  #cleaned(): Promise<void> {
    this.#cleaning ??= (async () => {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const names = await readdir(this.#folder);
      await Promise.all(
        names.filter((name) => name.endsWith('.partial')).map((name) => rm(join(this.#folder, name), { force: true })),
      );
    })();
    return this.#cleaning;
  }

  #shelf(owner: string): Promise<Shelf> {
    let shelf = this.#shelves.get(owner);
    if (!shelf) {
      shelf = this.#load(owner);
      this.#shelves.set(owner, shelf);
      shelf.catch(() => this.#shelves.delete(owner));
    }
    return shelf;
  }

  async #load(owner: string): Promise<Shelf> {
    // An owner's name can be anything; a hash of it is always a folder's name.
    const folder = join(this.#folder, createHash('sha256').update(owner).digest('hex').slice(0, 32));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const names = (await readdir(folder)).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const entries = await Promise.all(
      names.map(async (name) => {
        const { size, mtimeMs } = await stat(join(folder, name));
        return [name, { sizeBytes: size, usedAt: mtimeMs }] as const;
      }),
    );
    entries.sort(([, a], [, b]) => a.usedAt - b.usedAt);
    const totalBytes = entries.reduce((sum, [, blob]) => sum + blob.sizeBytes, 0);
    return { folder, blobs: new Map(entries), totalBytes };
  }

  async #evict(owner: string, shelf: Shelf): Promise<void> {
    for (const [hash] of shelf.blobs) {
      if (shelf.totalBytes <= this.#maxBytes) return;
      if (this.#pins.has(`${owner} ${hash}`)) continue;
      this.#forget(shelf, hash);
      await rm(join(shelf.folder, hash), { force: true });
    }
  }

  #touch(shelf: Shelf, hash: string, blob: Blob): void {
    blob.usedAt = Date.now();
    shelf.blobs.delete(hash);
    shelf.blobs.set(hash, blob);
  }

  #forget(shelf: Shelf, hash: string): void {
    shelf.totalBytes -= shelf.blobs.get(hash)?.sizeBytes ?? 0;
    shelf.blobs.delete(hash);
  }

  #remember(key: string, bytes: Buffer): void {
    // Another reader of the same contents may have come first.
    if (bytes.length > MEMORY_LARGEST_BYTES || this.#memory.has(key)) return;
    this.#memory.set(key, bytes);
    this.#memoryBytes += bytes.length;
    for (const [oldest, { length }] of this.#memory) {
      if (this.#memoryBytes <= MEMORY_BYTES) return;
      this.#memory.delete(oldest);
      this.#memoryBytes -= length;
    }
  }
}

/** The answer to a run whose contents have to be uploaded first. */
export function missingBlobs(hashes: string[]): CodeRunnerError {
  return new CodeRunnerError('blobs_missing', `${hashes.length} of the run's contents are not here.`, {
    details: { missing: hashes },
  });
}
