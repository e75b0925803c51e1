/**
 * What outlives the daemon, in one SQLite file: runs, their specifications while they wait, their latest output when they ended.
 * Writes are synchronous and small (some 30 µs); the write-ahead log makes them survive a killed daemon.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { CodeRunnerError, END_STATES, type Run, type RunState } from '../protocol/index.ts';

/** What each version of the database adds; its version is how many of them it has. */
const SCHEMAS = [
  `
  CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    priority INTEGER NOT NULL,
    run TEXT NOT NULL,
    spec TEXT,
    output_from INTEGER,
    output BLOB
  ) STRICT;
  CREATE INDEX runs_by_owner ON runs (owner, number);
  CREATE INDEX runs_by_state ON runs (state, number);
`,
  `
  CREATE TABLE compilations (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    files TEXT NOT NULL,
    printed BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (owner, key)
  ) STRICT;
`,
  `
  ALTER TABLE runs ADD COLUMN key TEXT;
  ALTER TABLE runs ADD COLUMN request_hash TEXT;
  UPDATE runs SET run = json_set(run, '$.inputBytes', 0);
  CREATE UNIQUE INDEX runs_by_key ON runs (owner, key) WHERE key IS NOT NULL;
`,
];

/**
 * The log is written back to the database when it has grown by that many 4 KiB pages; between runs it happens by {@link
 * Store.tidy}.
 */
const CHECKPOINT_PAGES = 16_384;
const SQLITE_FULL = 13;
const SQLITE_IOERR = 10;

const END_LIST = END_STATES.map((state) => `'${state}'`).join(', ');

export interface StoredRun {
  owner: string;
  priority: number;
  run: Run;
}

/** By which a client finds again the run that it asked for. */
export interface RunKey {
  /** As the client chose it; each owner has keys of its own. */
  name: string;
  /** Of what was asked for with it. */
  requestHash: string;
}

export interface ListOptions {
  limit: number;
  /** A page ends where its runs would be longer than that as JSON, but has one at least. */
  mostCharacters: number;
  /** The id of the last run of the page before. */
  before?: string;
  states?: readonly RunState[];
}

/** The latest output of an ended run, as `OutputLog.dump` wrote it. */
export interface StoredOutput {
  from: number;
  bytes: Uint8Array;
}

/** What a compiler made: its files by the hashes of their contents, and what it printed. */
export interface StoredCompilation {
  files: { path: string; sha256: string; executable: boolean }[];
  printed: Uint8Array;
}

interface Row {
  number: number;
  owner: string;
  priority: number;
  run: string;
}

/**
 * Opens or creates a database that only its user can read: SQLite would let others, and gives the files that it adds this
 * one's mode.
 */
export function openDatabase(path: string): DatabaseSync {
  closeSync(openSync(path, 'a', 0o600));
  return new DatabaseSync(path);
}

export class Store implements Disposable {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  /** Opens or creates `coderunner.sqlite` in the folder. Throws CodeRunnerError disk_full, internal. */
  constructor(dataDir: string) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    this.#db = openDatabase(join(dataDir, 'coderunner.sqlite'));
    this.#guard(() => {
      this.#db.exec(
        `PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
      );
      const { user_version: version } = this.#db.prepare('PRAGMA user_version').get() as { user_version: number };
      if (version > SCHEMAS.length) {
        throw new CodeRunnerError('version_mismatch', `The history in ${dataDir} was written by a newer CodeRunner.`);
      }
      if (version < SCHEMAS.length) {
        const missing = SCHEMAS.slice(version).join('');
        this.#db.exec(`BEGIN; ${missing} PRAGMA user_version = ${SCHEMAS.length}; COMMIT`);
      }
    });
  }

  [Symbol.dispose](): void {
    this.#statements.clear();
    this.#db.close();
  }

  /** A new run with what is needed to start it after a restart. No other run of its owner may have its key. */
  insert({ owner, priority, run }: StoredRun, spec: string, key?: RunKey): void {
    this.#run(
      'INSERT INTO runs (id, owner, state, priority, run, spec, key, request_hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      run.id,
      owner,
      run.state,
      priority,
      JSON.stringify(run),
      spec,
      key?.name ?? null,
      key?.requestHash ?? null,
    );
  }

  /** The id of the owner's run that has this key, and what was asked for with it. */
  keyed(owner: string, name: string): { id: string; requestHash: string } | undefined {
    return this.#statement('SELECT id, request_hash AS requestHash FROM runs WHERE owner = ? AND key = ?').get(
      owner,
      name,
    ) as { id: string; requestHash: string } | undefined;
  }

  /** Lets another run have the run's key. */
  forgetKey(id: string): void {
    this.#run('UPDATE runs SET key = NULL, request_hash = NULL WHERE id = ?', id);
  }

  /** The run as it is now. When it has left the queue its specification is no longer kept. */
  update(run: Run): void {
    this.#run(
      `UPDATE runs SET state = ?1, run = ?2, spec = CASE WHEN ?1 = 'queued' THEN spec END WHERE id = ?3`,
      run.state,
      JSON.stringify(run),
      run.id,
    );
  }

  /** The run as it ended, with its latest output. */
  settle(run: Run, output: StoredOutput): void {
    this.#run(
      'UPDATE runs SET state = ?, run = ?, spec = NULL, output_from = ?, output = ? WHERE id = ?',
      run.state,
      JSON.stringify(run),
      output.from,
      output.bytes,
      run.id,
    );
  }

  get(id: string): StoredRun | undefined {
    const row = this.#statement('SELECT number, owner, priority, run FROM runs WHERE id = ?').get(id) as
      | Row
      | undefined;
    return row && fromRow(row);
  }

  spec(id: string): string | undefined {
    const row = this.#statement('SELECT spec FROM runs WHERE id = ?').get(id) as { spec: string | null } | undefined;
    return row?.spec ?? undefined;
  }

  output(id: string): StoredOutput | undefined {
    const row = this.#statement('SELECT output_from, output FROM runs WHERE id = ?').get(id) as
      | { output_from: number | null; output: Uint8Array | null }
      | undefined;
    return row?.output && row.output_from !== null ? { from: row.output_from, bytes: row.output } : undefined;
  }

  /** The owner's runs, newest first, and where the next page begins; null where there is none. */
  list(owner: string, options: ListOptions): { runs: StoredRun[]; next: string | null } {
    const states = options.states?.map((state) => `'${state}'`).join(', ');
    const { limit, before = null, mostCharacters } = options;
    const rows = this.#statement(
      `SELECT number, owner, priority, run FROM runs WHERE owner = ?1
       AND (?2 IS NULL OR number < (SELECT number FROM runs WHERE id = ?2))
       ${states === undefined ? '' : `AND state IN (${states})`}
       ORDER BY number DESC LIMIT ?3`,
    ).iterate(owner, before, limit) as unknown as Iterable<Row>;
    const runs: StoredRun[] = [];
    let characters = 0;
    for (const row of rows) {
      characters += row.run.length;
      const last = runs.at(-1);
      if (last && characters > mostCharacters) return { runs, next: last.run.id };
      runs.push(fromRow(row));
    }
    return { runs, next: runs.length === limit ? (runs.at(-1)?.run.id ?? null) : null };
  }

  /** Every run that had not ended when the daemon did, oldest first. */
  unfinished(): StoredRun[] {
    const rows = this.#statement(
      `SELECT number, owner, priority, run FROM runs WHERE state NOT IN (${END_LIST}) ORDER BY number`,
    ).all() as unknown as Row[];
    return rows.map(fromRow);
  }

  /** Forgets the oldest ended runs beyond `keep`, and writes the log back to the database. For quiet moments. */
  tidy(keep: number): void {
    this.#run(
      `DELETE FROM runs WHERE state IN (${END_LIST}) AND number <= (
         SELECT number FROM runs WHERE state IN (${END_LIST}) ORDER BY number DESC LIMIT 1 OFFSET ?)`,
      keep,
    );
    this.#guard(() => this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)'));
  }

  /** Ids of the runtimes that anybody's runs used since then. @param since ISO 8601 */
  usedRuntimes(since: string): string[] {
    const rows = this.#statement(
      `SELECT DISTINCT run ->> '$.runtime' AS runtime FROM runs WHERE run ->> '$.createdAt' >= ?`,
    ).all(since) as unknown as { runtime: string }[];
    return rows.map(({ runtime }) => runtime);
  }

  /** What is kept under that key, which counts as a use. @param now milliseconds since 1970 */
  compilation(owner: string, key: string, now: number): StoredCompilation | undefined {
    const row = this.#statement('SELECT files, printed FROM compilations WHERE owner = ? AND key = ?').get(
      owner,
      key,
    ) as { files: string; printed: Uint8Array } | undefined;
    if (!row) return undefined;
    this.#run('UPDATE compilations SET used_at = ? WHERE owner = ? AND key = ?', now, owner, key);
    return { files: JSON.parse(row.files), printed: row.printed };
  }

  /** Keeps it, and of the owner's others those used last, up to `mostBytes` in all. */
  keepCompilation(
    {
      owner,
      key,
      files,
      printed,
      sizeBytes,
      usedAt,
    }: StoredCompilation & { owner: string; key: string; sizeBytes: number; usedAt: number },
    mostBytes: number,
  ): void {
    this.#run(
      'INSERT OR REPLACE INTO compilations (owner, key, files, printed, size_bytes, used_at) VALUES (?, ?, ?, ?, ?, ?)',
      owner,
      key,
      JSON.stringify(files),
      printed,
      sizeBytes,
      usedAt,
    );
    this.#run(
      `DELETE FROM compilations WHERE owner = ?1 AND key IN (
         SELECT key FROM (
           SELECT key, sum(size_bytes) OVER (ORDER BY used_at DESC, key ROWS UNBOUNDED PRECEDING) AS total
           FROM compilations WHERE owner = ?1)
         WHERE total > ?2)`,
      owner,
      mostBytes,
    );
  }

  forgetCompilation(owner: string, key: string): void {
    this.#run('DELETE FROM compilations WHERE owner = ? AND key = ?', owner, key);
  }

  #run(sql: string, ...values: (string | number | Uint8Array | null)[]): void {
    this.#guard(() => this.#statement(sql).run(...values));
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      const primary = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
      if (primary === SQLITE_FULL || primary === SQLITE_IOERR) {
        throw new CodeRunnerError('disk_full', 'The history could not be written: the disk is full or fails.', {
          cause: error,
        });
      }
      throw error;
    }
  }
}

function fromRow(row: Row): StoredRun {
  return { owner: row.owner, priority: row.priority, run: JSON.parse(row.run) as Run };
}
