/**
 * What compilers made, so that the same sources are not compiled again: found by all that went in, kept for the owner who had it
 * compiled and for nobody else. It is taken before the program runs, which therefore cannot change what the next run gets.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { CodeRunnerError } from '../protocol/index.ts';
import { Blobs } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import type { CollectedFile } from './collect.ts';

/** Larger results are compiled again: moving them would take as long. */
const MOST_BYTES = 32 * 2 ** 20;
const MOST_FILES = 1_000;
/** What one result takes besides its contents, so that their number is bounded too. */
const ROW_BYTES = 1024;

/** All that a compiler's result depends on. */
export interface CompileInputs {
  /** The compiler, as the tag of its image. */
  image: string;
  /** The packages that it may use: null where there are none. */
  packages: string | null;
  argv: readonly string[];
  env: Readonly<Record<string, string>>;
  files: readonly { path: string; sha256: string; executable: boolean }[];
  /** The waiting interpreter does it, which may leave less. */
  warm: boolean;
}

/** What a compiler left. */
export interface Compiled {
  files: CollectedFile[];
  /** What it printed, as `OutputLog.dump` writes it. */
  printed: Uint8Array;
}

export class CompileCache {
  readonly #store: Store;
  readonly #blobs: Blobs;
  readonly #maxBytes: number;
  readonly #log: Logger;
  #lastUse = 0;

  constructor({ store, config, log }: { store: Store; config: Config; log: Logger }) {
    this.#store = store;
    this.#maxBytes = config.compileCacheBytes;
    // Apart from uploaded contents, which neither push these out nor are pushed out by them.
    this.#blobs = new Blobs(join(config.dataDir, 'compiled'), config.compileCacheBytes);
    this.#log = log;
  }

  /** What may be kept of one result; undefined where nothing is kept at all. */
  get limits(): { maxFiles: number; maxBytes: number } | undefined {
    const maxBytes = Math.min(MOST_BYTES, this.#maxBytes);
    return maxBytes === 0 ? undefined : { maxFiles: MOST_FILES, maxBytes };
  }

  /** @returns undefined where it has to be compiled, also because something of it is gone or damaged. Never rejects. */
  async find(owner: string, inputs: CompileInputs): Promise<Compiled | undefined> {
    const key = keyOf(inputs);
    try {
      const stored = this.#store.compilation(owner, key, this.#now());
      if (!stored) return undefined;
      const files = await Promise.all(
        stored.files.map(async ({ sha256, ...file }) => ({ ...file, bytes: await this.#contents(owner, sha256) })),
      );
      if (files.every(isWhole)) return { files, printed: stored.printed };
      this.#store.forgetCompilation(owner, key);
    } catch (error) {
      this.#log.warn({ err: error, key }, 'a compiled program could not be read; compiling it again');
    }
    return undefined;
  }

  /** undefined where they are gone, as the least recently used go by themselves, or damaged. */
  async #contents(owner: string, sha256: string): Promise<Buffer | undefined> {
    try {
      const bytes = await this.#blobs.read(owner, sha256);
      return hash(bytes) === sha256 ? bytes : undefined;
    } catch (error) {
      if (error instanceof CodeRunnerError && error.code === 'blobs_missing') return undefined;
      throw error;
    }
  }

  /** Keeps it for the next time; where that fails, the next time compiles again. Never rejects. */
  async keep(owner: string, inputs: CompileInputs, { files, printed }: Compiled): Promise<void> {
    const key = keyOf(inputs);
    try {
      const kept = await Promise.all(
        files.map(async ({ path, bytes, executable }) => {
          const sha256 = hash(bytes);
          await this.#blobs.put(owner, sha256, Readable.from([bytes]));
          return { path, sha256, executable };
        }),
      );
      const sizeBytes = files.reduce((sum, { bytes }) => sum + bytes.length, printed.length + ROW_BYTES);
      this.#store.keepCompilation({ owner, key, files: kept, printed, sizeBytes, usedAt: this.#now() }, this.#maxBytes);
    } catch (error) {
      this.#log.warn({ err: error, key }, 'a compiled program could not be kept');
    }
  }

  /** Milliseconds since 1970, never the same twice: what was used last stays so within a millisecond. */
  #now(): number {
    this.#lastUse = Math.max(Date.now(), this.#lastUse + 1);
    return this.#lastUse;
  }

  /** For quiet moments: the order of use survives a restart. */
  tidy(): Promise<void> {
    return this.#blobs.tidy();
  }
}

function isWhole<T extends { bytes: Buffer | undefined }>(file: T): file is T & { bytes: Buffer } {
  return file.bytes !== undefined;
}

/** Another form of the key makes all that is kept useless: give it another number then. */
const KEY_FORM = 1;

function keyOf({ image, packages, argv, env, files, warm }: CompileInputs): string {
  const byName =
    <T>(name: (item: T) => string) =>
    (a: T, b: T) =>
      name(a) < name(b) ? -1 : 1;
  return hash(
    JSON.stringify([
      KEY_FORM,
      image,
      packages,
      argv,
      warm,
      Object.entries(env).sort(byName(([name]) => name)),
      files.map(({ path, sha256, executable }) => [path, sha256, executable] as const).sort(byName(([path]) => path)),
    ]),
  );
}

function hash(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
