/** Which layers are complete, whose they are, and when they were last used. What is not written here is removed. */
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { openDatabase } from '../store/store.ts';

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS layers (
    volume TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    runtime TEXT NOT NULL,
    manifest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT
`;

/** A volume with the installed packages of one manifest. Times are milliseconds since 1970. */
export interface LayerRecord {
  volume: string;
  owner: string;
  runtime: string;
  /** The path of the manifest that it was made for. */
  manifest: string;
  sizeBytes: number;
  createdAt: number;
  usedAt: number;
}

const COLUMNS = `volume, owner, runtime, manifest, size_bytes AS sizeBytes, created_at AS createdAt, used_at AS usedAt`;

export class Catalog implements Disposable {
  readonly #db: DatabaseSync;

  /** Opens or creates `packages.sqlite` in the folder. */
  constructor(dataDir: string) {
    this.#db = openDatabase(join(dataDir, 'packages.sqlite'));
    this.#db.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; ${SCHEMA}`);
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  get(volume: string): LayerRecord | undefined {
    const row = this.#db.prepare(`SELECT ${COLUMNS} FROM layers WHERE volume = ?`).get(volume);
    return row as unknown as LayerRecord | undefined;
  }

  add({ volume, owner, runtime, manifest, sizeBytes, createdAt, usedAt }: LayerRecord): void {
    this.#db
      .prepare('INSERT OR REPLACE INTO layers VALUES (?, ?, ?, ?, ?, ?, ?)')
      .run(volume, owner, runtime, manifest, sizeBytes, createdAt, usedAt);
  }

  touch(volume: string, usedAt: number): void {
    this.#db.prepare('UPDATE layers SET used_at = ? WHERE volume = ?').run(usedAt, volume);
  }

  forget(volume: string): void {
    this.#db.prepare('DELETE FROM layers WHERE volume = ?').run(volume);
  }

  /** The least recently used first. */
  all(): LayerRecord[] {
    return this.#db.prepare(`SELECT ${COLUMNS} FROM layers ORDER BY used_at`).all() as unknown as LayerRecord[];
  }
}
