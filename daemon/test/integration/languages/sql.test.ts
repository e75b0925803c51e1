/** SQL: what a script's statements give, to people and to programs; its other files; its mistakes; and what it may not do. */
import assert from 'node:assert/strict';
import { languageOf } from '../../../src/lsp/language.ts';
import { problemsIn } from '../../../src/lsp/problems.ts';
import type { Run, StatementResult } from '../../../src/protocol/index.ts';
import { type Program, TestDaemon } from '../../helpers/daemon.ts';

/** A workspace as its files' texts. */
type Files = Record<string, string>;

const MIB = 2 ** 20;

describe('SQL', function () {
  this.timeout(120_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_800_000);
    daemon = await TestDaemon.start(['sql']);
  });
  after(() => daemon[Symbol.asyncDispose]());

  /** Runs main.sql, or a workspace that has one. */
  async function run(script: string | Files, more: Partial<Program> = {}) {
    const files = typeof script === 'string' ? { 'main.sql': script } : script;
    const { run, stdout, stderr } = await daemon.run({
      runtime: 'sql',
      entry: 'main.sql',
      files: Object.entries(files).map(([path, content]) => ({ path, content: Buffer.from(content) })),
      ...more,
    });
    assert.equal(run.error, null);
    return { run, stdout: stdout.toString(), stderr: stderr.toString() };
  }

  async function resultsOf({ results }: Run): Promise<(StatementResult & { omitted?: number })[]> {
    assert.ok(results, 'the run has results');
    const text = await new Response(await daemon.client.api.blob(results.sha256)).text();
    assert.equal(Buffer.byteLength(text), results.sizeBytes);
    return text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  }

  describe('shows', () => {
    it('tables whose columns stand below each other, whatever is in them', async () => {
      const { stdout } = await run(String.raw`
        SELECT 1 AS id, '漢字' AS name, NULL AS nothing, 1.50 AS price, x'00ff' AS bytes
        UNION ALL
        SELECT 20, 'a\tb\nc', NULL, 12, NULL;`);
      const lines = [
        '+----+---------+---------+-------+--------+',
        '| id | name    | nothing | price | bytes  |',
        '+----+---------+---------+-------+--------+',
        '|  1 | 漢字    | NULL    |  1.50 | 0x00FF |',
        '| 20 | a\\tb\\nc | NULL    | 12.00 | NULL   |',
        '+----+---------+---------+-------+--------+',
        '2 rows\n',
      ];
      assert.equal(stdout, lines.join('\n'));
    });

    it('control characters so that none reaches the terminal', async () => {
      const { stdout } = await run(
        "SELECT CONCAT('red', CHAR(27 USING utf8mb4), '[31m', CHAR(7 USING utf8mb4)) AS text;",
      );
      assert.match(stdout, /\| red\\x1b\[31m\\x07 \|/);
    });

    it('the first thousand rows of a long result, or as many as asked for, and how many there are', async () => {
      const { stdout } = await run('SELECT seq FROM seq_1_to_2500;');
      assert.match(stdout, /\| 1000 \|\n\+------\+\n2500 rows, the first 1000 of them above\n$/);
      const all = await run('SELECT seq FROM seq_1_to_2500;', { options: { rows: 'all' } });
      assert.match(all.stdout, /\| 2500 \|\n\+------\+\n2500 rows\n$/);
    });

    it('values that are too wide for a table by their beginning, and whole with \\G', async () => {
      const { stdout } = await run("SELECT REPEAT('x', 500) AS wide; SELECT REPEAT('y', 500) AS wide\\G");
      assert.match(stdout, /\| x{119}… \|/);
      assert.match(stdout, /\*\*\* row 1\nwide: y{500}\n1 row\n/);
    });

    it('a row that is wider than the terminal one line a column', async () => {
      const { stdout } = await run("SELECT REPEAT('x', 50) AS one, REPEAT('y', 50) AS other;", {
        tty: { rows: 24, cols: 60 },
      });
      assert.match(stdout, /\*\*\* row 1\r\n {2}one: x{50}\r\nother: y{50}\r\n1 row\r\n/);
    });

    it('how many rows were changed, and nothing of other statements', async () => {
      const { stdout } = await run(
        'CREATE TABLE t (a INT); INSERT INTO t VALUES (1), (2); SET @a = 1; UPDATE t SET a = 5 WHERE a = 1; DELETE FROM t WHERE a = 9; DROP TABLE t',
      );
      assert.equal(stdout, '2 rows affected\n1 row affected\n0 rows affected\n');
    });

    it('every result of a procedure, made with a delimiter of its own', async () => {
      const { stdout, run: ended } = await run(
        'DELIMITER //\nCREATE PROCEDURE p()\nBEGIN\n  SELECT 1 AS one; -- here; too\n  SELECT 2 AS two;\nEND//\nDELIMITER ;\nCALL p();\n',
      );
      assert.match(stdout, /\| one \|(?:.|\n)*\| two \|/);
      const [, ...tables] = await resultsOf(ended);
      assert.deepEqual(
        tables.map(({ line, rows }) => ({ line, rows })),
        [
          { line: 8, rows: [['1']] },
          { line: 8, rows: [['2']] },
        ],
      );
    });

    it('statements that are quoted, commented and cut in any way', async () => {
      const { stdout } = await run(
        String.raw`# a comment; with a semicolon
SELECT 'it''s; "one"' AS a, "two; \"quotes\"" AS b, ${'`c;d`'} /* ; */ FROM (SELECT 'e\'f;' AS ${'`c;d`'}) AS x; -- the end;
/*! SELECT 'run by the server' AS g */;
SELECT 1--1 AS minus\g`,
      );
      assert.match(stdout, /\| it's; "one" \| two; "quotes" \| e'f; \|/);
      assert.match(stdout, /run by the server/);
      assert.match(stdout, /\| {5}2 \|/);
    });
  });

  describe('gives programs', () => {
    it('what each statement gave: columns with their types, rows, how many, and errors', async () => {
      const { run: ended } = await run(
        "CREATE TABLE t (id INT, price DECIMAL(5,2), doc JSON, bytes BLOB);\nINSERT INTO t VALUES (1, 2.5, '{}', x'00');\nSELECT * FROM t;\nSELECT nothing;",
      );
      assert.equal(ended.exitCode, 1);
      const [create, insert, select, failed] = await resultsOf(ended);
      assert.deepEqual([create?.columns, create?.rows, create?.line], [[], [], 1]);
      assert.equal(insert?.rowsAffected, 1);
      assert.deepEqual(select?.columns, [
        { name: 'id', type: 'int' },
        { name: 'price', type: 'decimal' },
        { name: 'doc', type: 'json' },
        { name: 'bytes', type: 'blob' },
      ]);
      assert.deepEqual(select?.rows, [['1', '2.50', '{}', '0x00']]);
      assert.deepEqual([select?.rowCount, select?.truncated, select?.file], [1, false, 'main.sql']);
      assert.deepEqual([failed?.line, failed?.error?.code, failed?.error?.state], [4, 1054, '42S22']);
    });

    it('at most so much of it, and says what is missing', async () => {
      const { run: ended } = await run("SELECT seq, REPEAT('x', 900) FROM seq_1_to_20000; SELECT 1; SELECT 2;");
      const results = await resultsOf(ended);
      assert.ok((ended.results?.sizeBytes ?? 0) < 9 * MIB);
      assert.deepEqual([results[0]?.rowCount, results[0]?.truncated], [20_000, true]);
      assert.ok((results[0]?.rows.length ?? 0) > 1_000);
      assert.equal(results.at(-1)?.omitted, 2);
    });

    it('no produced file beside what was asked for', async () => {
      const { run: ended } = await run("SELECT 1 INTO OUTFILE '/workspace/one.txt';", { collect: ['**'] });
      assert.deepEqual(
        ended.files.map(({ path }) => path),
        ['one.txt'],
      );
    });
  });

  describe('has other files', () => {
    it('schema and data, which run before the entry and say nothing', async () => {
      const files = {
        'data/2.sql': "INSERT INTO log (file) VALUES ('data/2');",
        'data/1.sql': "INSERT INTO log (file) VALUES ('data/1');",
        'data.sql': "INSERT INTO log (file) VALUES ('data');",
        'schema/b.sql': "INSERT INTO log (file) VALUES ('schema/b');",
        'schema.sql': 'CREATE TABLE log (id INT AUTO_INCREMENT PRIMARY KEY, file TEXT);',
        'schema/notes.txt': 'not SQL',
        'main.sql': "SELECT GROUP_CONCAT(file ORDER BY id SEPARATOR ' ') AS files FROM log;",
      };
      const { stdout, stderr } = await run(files);
      assert.equal(stderr, '');
      assert.match(stdout, /^\+-(?:.|\n)*\| schema\/b data data\/1 data\/2 \|/);
      const { stdout: early } = await run({ ...files, 'data.sql': files['main.sql'] }, { entry: 'data.sql' });
      assert.match(early, /\| schema\/b \|/, 'only what comes before the entry');
    });

    it('but none outside of the workspace', async () => {
      const { stderr } = await run('SOURCE /etc/passwd;', {});
      assert.equal(stderr, 'main.sql:1: ERROR: SOURCE "/etc/passwd": it is not in the workspace.\n');
    });

    it('that read each other only so deep', async () => {
      const { stderr, run: ended } = await run('SOURCE main.sql;');
      assert.equal(ended.exitCode, 1);
      assert.match(stderr, /^main\.sql:1: ERROR: SOURCE "main\.sql": files read each other 32 deep\.\n/);
    });
  });

  describe('tells of a mistake', () => {
    const places: [title: string, files: Files, place: { file: string; line: number; message: RegExp }][] = [
      [
        'in its own line of a statement',
        { 'main.sql': 'SELECT 1;\n\nSELECT\n  1,\n  2\n  FORM x;\n' },
        { file: 'main.sql', line: 6, message: /^1064 \(42000\): You have an error/ },
      ],
      [
        'in the line that the statement begins in',
        { 'main.sql': 'SELECT 1;\nSELECT *\nFROM missing;\n' },
        { file: 'main.sql', line: 2, message: /^1146 \(42S02\): Table 'sandbox\.missing' doesn't exist/ },
      ],
      [
        'in another file',
        { 'main.sql': 'SOURCE queries/bad.sql;', 'queries/bad.sql': '\n\nSELECT missing;' },
        { file: 'queries/bad.sql', line: 3, message: /^1054/ },
      ],
      [
        'in a schema',
        { 'main.sql': 'SELECT 1;', 'schema.sql': 'CREATE TABEL t (a INT);' },
        { file: 'schema.sql', line: 1, message: /^1064/ },
      ],
      [
        'of a quote that is never closed',
        { 'main.sql': "SELECT 1;\nSELECT 'open;\nSELECT 2;\n" },
        { file: 'main.sql', line: 2, message: /^What is opened here with ' is never closed\.$/ },
      ],
      [
        'of a command that is not there',
        { 'main.sql': 'SELECT 1;\nSYSTEM cat /etc/passwd\n' },
        { file: 'main.sql', line: 2, message: /^system is a command of the mariadb program/ },
      ],
    ];
    for (const [title, files, { message, ...place }] of places) {
      it(title, async () => {
        const { run: ended, stderr } = await run(files);
        assert.deepEqual([ended.state, ended.exitCode], ['failed', 1]);
        const language = daemon.runtimes.find(({ id }) => id === 'sql');
        assert.ok(language);
        const [problem] = problemsIn(stderr, languageOf(language).places);
        assert.deepEqual({ file: problem?.file, line: (problem?.line ?? -1) + 1 }, place);
        assert.match(problem?.message ?? '', message);
      });
    }

    it('and stops there, or goes on where that is asked for', async () => {
      const script = 'SELECT missing;\nSELECT 7 AS seven;\n';
      assert.equal((await run(script)).stdout, '');
      const { run: ended, stdout } = await run(script, { options: { onError: 'continue' } });
      assert.match(stdout, /seven/);
      assert.equal(ended.exitCode, 1);
    });

    it('and of a body that is cut at its first semicolon what to do about it', async () => {
      const { stderr } = await run('CREATE PROCEDURE p()\nBEGIN\n  SELECT 1;\nEND;\n');
      assert.match(stderr, /Hint: .*DELIMITER/);
    });

    it('and of a value that was changed on its way, as a warning', async () => {
      const { run: ended, stderr } = await run(
        'CREATE TABLE t (a TINYINT);\nINSERT IGNORE INTO t VALUES (1000);\nSELECT 1;',
      );
      assert.equal(ended.state, 'succeeded');
      assert.match(stderr, /^main\.sql:2: WARNING 1264: Out of range value for column 'a' at row 1\n$/);
    });
  });

  describe('may not', () => {
    const refused: [title: string, script: string, says: RegExp][] = [
      ['write a file outside of the workspace', "SELECT 1 INTO OUTFILE '/tmp/x';", /ERROR 1290 .*--secure-file-priv/],
      [
        'read a file outside of the workspace',
        "CREATE TABLE t (a TEXT); LOAD DATA INFILE '/etc/passwd' INTO TABLE t;",
        /ERROR 1290 .*--secure-file-priv/,
      ],
      [
        'load code',
        "CREATE FUNCTION f RETURNS INTEGER SONAME 'libc.so.6';",
        /ERROR \d+ .*(Can't open shared library|plugin)/i,
      ],
      ['load a plugin', "INSTALL SONAME 'auth_socket';", /ERROR \d+ .*Can't open shared library/],
      ['start a program', '\\! id', /is not there in a run/],
      [
        'reach the network',
        "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST '1.1.1.1'); CREATE TABLE t (a INT) ENGINE=FEDERATED CONNECTION='s';",
        /ERROR \d+/,
      ],
    ];
    for (const [title, script, says] of refused) {
      it(title, async () => {
        const { run: ended, stderr } = await run(script);
        assert.equal(ended.exitCode, 1);
        assert.match(stderr, says);
      });
    }

    it('read what the run user may not', async () => {
      const { stdout } = await run("SELECT LOAD_FILE('/etc/shadow') AS shadow, LOAD_FILE('/proc/1/environ') AS agent;");
      assert.match(stdout, /\| NULL {3}\| NULL {2}\|/);
    });

    it('find anything of another run', async () => {
      await run(
        'CREATE DATABASE other; CREATE TABLE kept (a INT); SET GLOBAL max_connections = 20; CREATE USER somebody;',
      );
      const { stdout } = await run(
        "SELECT (SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'other') AS bases, (SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'kept') AS tables, (SELECT COUNT(*) FROM mysql.user) AS users\\G",
      );
      assert.match(stdout, /bases: 0\ntables: 0\n users: 2\n/);
    });
  });

  describe('ends', () => {
    it('a query without end at its limit', async () => {
      const { run: ended } = await run('SELECT COUNT(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b;', {
        limits: { wallMs: 1_000 },
      });
      assert.equal(ended.state, 'timed_out');
    });

    it('a query that sleeps when somebody wants it to', async () => {
      const { run: ended } = await run("SELECT 'asleep' AS state\\G DO SLEEP(600);", {
        reactions: [{ after: 'asleep\n', signal: 'SIGINT' }],
      });
      assert.deepEqual([ended.state, ended.signal], ['signaled', 'SIGINT']);
    });

    it('a result of ten million rows, of which little is kept', async () => {
      const { run: ended, stdout } = await run('SELECT seq FROM seq_1_to_10000000;', { limits: { wallMs: 60_000 } });
      assert.equal(ended.state, 'succeeded', ended.message ?? '');
      assert.match(stdout, /10000000 rows, the first 1000 of them above\n$/);
      assert.ok((ended.results?.sizeBytes ?? 0) < 9 * MIB);
    });

    it('a query that eats all memory, and says so', async () => {
      const { run: ended } = await run(
        "SET SESSION max_heap_table_size = 8 << 30;\nCREATE TABLE eaten (a CHAR(250)) ENGINE = MEMORY AS SELECT REPEAT('x', 250) AS a FROM seq_1_to_10000000;",
        { limits: { memoryBytes: 256 * MIB } },
      );
      assert.equal(ended.state, 'out_of_memory');
      assert.match(ended.message ?? '', /256 MiB/);
    });

    it('what fills the disk, with an error, after which the server goes on', async () => {
      const {
        run: ended,
        stdout,
        stderr,
      } = await run(
        "CREATE TABLE full (a LONGTEXT);\nINSERT INTO full SELECT REPEAT('x', 60000) FROM seq_1_to_100000;\nSELECT COUNT(*) AS kept FROM full\\G",
        { options: { onError: 'continue' } },
      );
      assert.equal(ended.state, 'failed');
      assert.equal(stderr, "main.sql:2: ERROR 1114 (HY000): The table 'full' is full\n");
      assert.equal(stdout, '*** row 1\nkept: 0\n1 row\n');
    });

    it('a hundred thousand tables, at a limit', async () => {
      const { run: ended } = await run(
        "DELIMITER //\nBEGIN NOT ATOMIC\n  FOR i IN 1..100000 DO\n    EXECUTE IMMEDIATE CONCAT('CREATE TABLE t', i, ' (a INT)');\n  END FOR;\nEND//\n",
        { limits: { wallMs: 60_000 } },
      );
      assert.ok(['failed', 'timed_out', 'out_of_memory'].includes(ended.state), ended.state);
    });

    it('with an error where the script stops the server', async () => {
      const { run: ended, stderr } = await run('SHUTDOWN;\nDO SLEEP(5);\nSELECT 1;', {
        options: { onError: 'continue' },
      });
      assert.equal(ended.exitCode, 1);
      assert.match(stderr, /^main\.sql:[23]: ERROR (2006|2013|1053|1927)/);
    });
  });
});
