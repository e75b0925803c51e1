/** Errors of a run: found in what it printed, put on their lines, and moved with them. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { editOf, moved, type Place } from '../../src/lsp/edits.ts';
import { languageOf } from '../../src/lsp/language.ts';
import { LastRuns } from '../../src/lsp/last-runs.ts';
import type { RunEnded } from '../../src/lsp/messages.ts';
import { problemsIn } from '../../src/lsp/problems.ts';
import { canonical } from '../../src/lsp/uris.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';

const { runtimes } = await loadRuntimes();
const places = (id: string) => runtimes.filter((runtime) => runtime.id === id).flatMap((one) => languageOf(one).places);

const TRACEBACK = `Traceback (most recent call last):
  File "/workspace/main.py", line 8, in <module>
    f()
    ~^^
  File "/workspace/lib/deep.py", line 5, in f
    1/0
    ~^~
ZeroDivisionError: division by zero
`;

const IN_LIBRARY = `Traceback (most recent call last):
  File "/workspace/main.py", line 2, in <module>
    json.loads("{")
  File "/usr/lib/python3.13/json/__init__.py", line 346, in loads
    return _default_decoder.decode(s)
  File "<frozen codecs>", line 1, in x
json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)
`;

const IN_NODE = `node:fs:442
    return binding.readFileUtf8(path, stringToFlags(options.flag));
                   ^

Error: ENOENT: no such file or directory, open 'x'
    at Object.readFileSync (node:fs:442:20)
    at load (/workspace/src/load.js:3:13)
    at Object.<anonymous> (/workspace/main.js:1:1)
`;

const SYNTAX = `file:///workspace/main.mjs:2
const = 1
      ^

SyntaxError: Unexpected token '='
    at compileSourceTextModule (node:internal/modules/esm/utils:346:16)
`;

const JAVAC = `app/Main.java:4: error: cannot find symbol
\t\tint x = nothing;
\t\t        ^
  symbol:   variable nothing
  location: class Main
app/Main.java:5: warning: [removal] finalize() in Object has been deprecated and marked for removal
    finalize();
    ^
./Kettle.java:2: error: reached end of file while parsing
1 error
`;

const IN_JAVA = `Exception in thread "main" java.lang.RuntimeException: tea
is over
\tat Main.main(Main.java:9)
Caused by: java.util.NoSuchElementException: No value present
\tat java.base/java.util.Optional.orElseThrow(Optional.java:377)
\tat kitchen.Kettle.boil(Kettle.java:3)
\tat Main.main(Main.java:7)
`;

describe('errors in output', () => {
  const cases: [name: string, id: string, output: string, expected: string[]][] = [
    [
      'the innermost place of a traceback',
      'python',
      TRACEBACK,
      ['/workspace/lib/deep.py 4 ZeroDivisionError: division by zero'],
    ],
    [
      'the same between CRLFs, in colours',
      'python',
      TRACEBACK.replaceAll('\n', '\r\n').replace('ZeroDivisionError', '\x1b[1;35mZeroDivisionError\x1b[0m'),
      ['/workspace/lib/deep.py 4 ZeroDivisionError: division by zero'],
    ],
    [
      'the same without an end of its last line',
      'python',
      TRACEBACK.trimEnd(),
      ['/workspace/lib/deep.py 4 ZeroDivisionError: division by zero'],
    ],
    [
      'the innermost place that is the program’s own',
      'python',
      IN_LIBRARY,
      [
        '/workspace/main.py 1 json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)',
      ],
    ],
    [
      'a syntax error',
      'python',
      '  File "/workspace/main.py", line 1\n    x = = 1\n        ^\nSyntaxError: invalid syntax\n',
      ['/workspace/main.py 0 SyntaxError: invalid syntax'],
    ],
    [
      'both of two errors',
      'python',
      `${TRACEBACK}\nDuring handling of the above exception, another exception occurred:\n\n${IN_LIBRARY}`,
      [
        '/workspace/lib/deep.py 4 ZeroDivisionError: division by zero',
        '/workspace/main.py 1 json.decoder.JSONDecodeError: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)',
      ],
    ],
    [
      'the place below Node’s own',
      'javascript',
      IN_NODE,
      ["/workspace/src/load.js 2:12 Error: ENOENT: no such file or directory, open 'x'"],
    ],
    ['a syntax error of a module', 'javascript', SYNTAX, ["/workspace/main.mjs 1 SyntaxError: Unexpected token '='"]],
    [
      'those of javac, with the columns that it points to',
      'java',
      JAVAC,
      [
        'app/Main.java 3:10 cannot find symbol',
        'app/Main.java 4:4 warning: finalize() in Object has been deprecated and marked for removal',
        './Kettle.java 1 reached end of file while parsing',
      ],
    ],
    [
      'an exception of Java, and what caused it',
      'java',
      IN_JAVA,
      [
        'Main.java 8 java.lang.RuntimeException: tea',
        'Kettle.java 2 java.util.NoSuchElementException: No value present',
      ],
    ],
    [
      'what a C compiler says, by its severity',
      'c',
      `In file included from main.c:1:
lib.h:2:10: warning: unused parameter 'x' [-Wunused-parameter]
main.c: In function 'main':
main.c:4:12: error: expected ';' before '}' token
    4 |   return 0
main.c:3:7: note: declared here
`,
      [
        "lib.h 1:9 warning: unused parameter 'x' [-Wunused-parameter]",
        "main.c 3:11 expected ';' before '}' token",
        'main.c 2:6 information: declared here',
      ],
    ],
    [
      'what Go’s compiler says, which names no severity',
      'go',
      '# main\n./main.go:4:2: declared and not used: x\n./util.go:9:5: undefined: y\n',
      ['main.go 3:1 declared and not used: x', 'util.go 8:4 undefined: y'],
    ],
    [
      'what Rust’s compiler says before it says where',
      'rust',
      'warning: unused variable: `x`\n --> src/main.rs:2:9\n\nerror[E0425]: cannot find value `y`\n  --> src/main.rs:3:5\n',
      ['src/main.rs 1:8 warning: unused variable: `x`', 'src/main.rs 2:4 cannot find value `y`'],
    ],
    [
      'what Java’s compiler says, with the line that it shows',
      'java',
      'Main.java:3: error: cannot find symbol\n    foo();\n    ^\n  symbol: method foo()\n1 error\n',
      ['Main.java 2:4 cannot find symbol'],
    ],
    [
      'the types that do not fit',
      'typescript',
      "main.ts(1,7): error TS2322: Type 'string' is not assignable to type 'number'.\n",
      ["main.ts 0:6 TS2322: Type 'string' is not assignable to type 'number'."],
    ],
    [
      'a statement that the database refuses',
      'sql',
      'main.sql:2: ERROR 1146: Table nope does not exist\n',
      ['main.sql 1 1146: Table nope does not exist'],
    ],
    ['none in a program that talks about files', 'python', 'File "x.py", line 3 is fine\n', []],
    [
      'none in impossible lines',
      'python',
      'File "/workspace/x.py", line 0\nError: a\nFile "/workspace/x.py", line 99999999999999999999\nError: b\n',
      [],
    ],
    ['none in nothing', 'python', '', []],
  ];
  for (const [name, id, output, expected] of cases)
    it(`are ${name}`, () => {
      const found = problemsIn(output, places(id)).map(
        ({ file, line, column, severity, message }) =>
          `${file} ${line}${column === undefined ? '' : `:${column}`} ${severity === 'error' ? '' : `${severity}: `}${message}`,
      );
      assert.deepEqual(found, expected);
    });

  it('are found behind a flood, and behind a line that never ends', () => {
    for (const flood of ['x\n'.repeat(2 ** 20), `${'y'.repeat(2 ** 20)}\n`])
      assert.equal(problemsIn(flood + TRACEBACK, places('python')).length, 1);
  });

  it('are no more than anybody would read, with messages no longer', () => {
    const many = Array.from(
      { length: 1_000 },
      (_, line) => `File "/workspace/a.py", line ${line + 1}\nE: ${'m'.repeat(1_500)}\n`,
    );
    const problems = problemsIn(many.join(''), places('python'));
    assert.ok(problems.length > 10 && problems.length <= 100);
    assert.ok(problems.every(({ message }) => message.length <= 1_000));
  });

  it('are as severe as a compiler says, all of them in its order', () => {
    const gcc = {
      pattern: /^([^\s:]+):(\d+):(\d+): (fatal error|error|warning|note): (.*)$/gm,
      file: 1,
      line: 2,
      column: 3,
      severity: 4,
      message: 5,
    };
    const output = `main.c:1:10: fatal error: nope.h: No such file or directory
main.c:3:5: warning: unused variable 'x'
main.c:4:1: note: declared here
other.c:9:2: error: expected ';'
`;
    assert.deepEqual(
      problemsIn(output, [gcc]).map(({ file, line, severity, compiler }) => [file, line, severity, compiler]),
      [
        ['main.c', 0, 'error', true],
        ['main.c', 2, 'warning', true],
        ['main.c', 3, 'information', true],
        ['other.c', 8, 'error', true],
      ],
    );
  });

  it('that come before text which makes a pattern run away are found all the same', () => {
    const runaway = {
      pattern: /(\w+)\.c:(\d+)|(?:x+x+)+y/g,
      file: 1,
      line: 2,
      column: undefined,
      severity: undefined,
      message: undefined,
    };
    const [problem, ...others] = problemsIn(`main.c:3\n${'x'.repeat(200)}\n`, [runaway]);
    assert.deepEqual([problem?.file, problem?.line, others], ['main', 2, []]);
  });

  it('are looked for in whatever is printed, and that ends', () => {
    const piece = fc.constantFrom(
      'File "',
      '/workspace/',
      '", line 1',
      '\n',
      '    ',
      'at ',
      'node:',
      '(',
      ':1',
      'Error',
      '^',
      '\r',
      '\x1b[',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 300 }), (pieces) => {
        for (const id of ['python', 'javascript']) problemsIn(pieces.join(''), places(id));
      }),
      { numRuns: 200 },
    );
  });
});

const change = (start: [number, number], end: [number, number], text: string) =>
  editOf({
    range: { start: { line: start[0], character: start[1] }, end: { line: end[0], character: end[1] } },
    text,
  }) as NonNullable<ReturnType<typeof editOf>>;

describe('a place', () => {
  const line5: Place = { line: 5, character: undefined };
  const cases: [name: string, place: Place, edit: Parameters<typeof change>, after: Place | undefined][] = [
    ['stays where the edit is below it', line5, [[6, 0], [6, 0], '\n\n'], line5],
    ['stays where its line is typed in', line5, [[5, 3], [5, 4], 'abc'], line5],
    ['stays where its line is continued on a next', line5, [[5, 9], [5, 9], '\r\n'], line5],
    ['moves down with lines that are put above it', line5, [[2, 4], [2, 4], '\n\n'], { line: 7, character: undefined }],
    [
      'moves down with a line that is put before its own',
      line5,
      [[5, 0], [5, 0], '\r\n'],
      { line: 6, character: undefined },
    ],
    ['moves up with lines that are removed above it', line5, [[1, 0], [3, 0], ''], { line: 3, character: undefined }],
    ['moves up to the line that its own is joined to', line5, [[4, 7], [5, 0], ''], { line: 4, character: undefined }],
    ['goes with its line', line5, [[4, 0], [6, 0], ''], undefined],
    ['stays before an edit of its line', { line: 5, character: 4 }, [[5, 8], [5, 8], 'x'], { line: 5, character: 4 }],
    [
      'moves right behind what is typed before it',
      { line: 5, character: 4 },
      [[5, 0], [5, 2], 'xyz'],
      { line: 5, character: 5 },
    ],
    [
      'moves to a line that begins before it',
      { line: 5, character: 4 },
      [[5, 2], [5, 2], '\n  '],
      { line: 6, character: 4 },
    ],
    [
      'stays at the beginning of what replaces it',
      { line: 5, character: 4 },
      [[5, 2], [5, 8], 'x'],
      { line: 5, character: 2 },
    ],
  ];
  for (const [name, place, edit, after] of cases)
    it(name, () => assert.deepEqual(moved(place, change(...edit)), after));

  it('stays at its text whatever is edited elsewhere', () => {
    const text = fc.stringMatching(/^[ab\n]{0,30}$/);
    fc.assert(
      fc.property(text, text, text, fc.nat(), fc.nat(), (before, after, inserted, one, two) => {
        const document = TextDocument.create('x:y', '', 1, `${before}MARK${after}`);
        const [from = 0, to = 0] = [one % (before.length + 1), two % (before.length + 1)].sort((a, b) => a - b);
        const edit = { range: { start: document.positionAt(from), end: document.positionAt(to) }, text: inserted };
        const place = document.positionAt(document.getText().indexOf('MARK'));
        TextDocument.update(document, [edit], 2);
        const known = editOf(edit);
        assert.ok(known);
        const now = moved(place, known);
        assert.deepEqual(now, document.positionAt(document.getText().indexOf('MARK')));
      }),
    );
  });
});

describe('the last runs', () => {
  const MAIN = 'file:///home/me/my%20project/main.py';
  const DEEP = 'file:///home/me/my%20project/lib/deep.py';
  const run = (output: string, more: Partial<RunEnded> = {}): RunEnded => ({
    uri: MAIN,
    root: 'file:///home/me/my%20project',
    entry: 'main.py',
    output,
    verdict: 'Exit code 1',
    wallMs: 1,
    cpuMs: 1,
    peakMemoryBytes: 1,
    ...more,
  });
  const linesOf = (runs: LastRuns, uri: string) => runs.problemsOf(uri).map(({ line }) => line);
  const at = (file: string) => `File "${file}", line 3\nE: x\n`;

  it('leave their errors until the next begins', () => {
    const runs = new LastRuns(() => true);
    runs.started(MAIN);
    assert.ok(runs.isRunning(MAIN));
    assert.deepEqual([...runs.ended(run(TRACEBACK), places('python'))], [DEEP]);
    assert.deepEqual(linesOf(runs, DEEP), [4]);
    assert.equal(runs.of(MAIN)?.verdict, 'Exit code 1');
    assert.deepEqual([...runs.started(MAIN)], [DEEP]);
    assert.deepEqual(linesOf(runs, DEEP), []);
    assert.equal(runs.of(MAIN), undefined);
  });

  it('tell where to look first: at the first mistake for the compiler, else at what the program died of', () => {
    const gcc = { ...places('python')[0], pattern: /^(\S+):(\d+): (error|warning): (.*)$/gm, column: undefined };
    const compiler = { ...gcc, file: 1, line: 2, severity: 3, message: 4 };
    const compiled = new LastRuns(() => true);
    compiled.ended(run('main.py:2: warning: a\nmain.py:5: error: b\nmain.py:7: error: c\n'), [compiler]);
    assert.equal(compiled.mainProblem(MAIN)?.line, 4);
    compiled.edited(MAIN, change([0, 0], [0, 0], '\n\n'));
    assert.equal(compiled.mainProblem(MAIN)?.line, 6, 'it moves');
    compiled.started(MAIN);
    assert.equal(compiled.mainProblem(MAIN), undefined, 'it goes with the next run');

    const died = new LastRuns(() => true);
    died.ended(run(`main.py:2: error: warned of\n${TRACEBACK}\n${IN_LIBRARY}`), [compiler, ...places('python')]);
    assert.deepEqual([died.mainProblem(MAIN)?.uri, died.mainProblem(MAIN)?.line], [MAIN, 1]);

    const warned = new LastRuns(() => true);
    warned.ended(run('main.py:2: warning: a\n'), [compiler]);
    assert.equal(warned.mainProblem(MAIN), undefined, 'a warning ends nothing');
    assert.equal(warned.problemsOf(MAIN)[0]?.severity, 'warning');
  });

  it('put errors where the text is by now that was run', () => {
    const runs = new LastRuns(() => true);
    runs.started(MAIN);
    runs.edited(DEEP, change([0, 0], [0, 0], '\n'));
    runs.ended(run(TRACEBACK), places('python'));
    runs.edited(DEEP, change([0, 0], [0, 0], '\n'));
    runs.edited(MAIN, change([0, 0], [0, 0], '\n\n\n'));
    assert.deepEqual(linesOf(runs, DEEP), [6]);
  });

  it('name files of their own folder only', () => {
    for (const file of ['/etc/passwd', '../../secret.py', '/workspace/../../secret.py', 'a/../../b.py', 'nul\0.py']) {
      const runs = new LastRuns(() => true);
      assert.deepEqual([...runs.ended(run(at(file)), places('python'))], [], file);
    }
    const alone = new LastRuns(() => true);
    assert.deepEqual([...alone.ended(run(at('/workspace/other.py'), { root: null }), places('python'))], []);
    assert.deepEqual([...alone.ended(run(at('./main.py'), { root: null }), places('python'))], [MAIN]);
  });

  it('name only files that there are', () => {
    const runs = new LastRuns((uri) => uri === MAIN);
    runs.ended(run(at('/workspace/gone.py') + at('/workspace/main.py')), places('python'));
    assert.deepEqual([...runs.started(MAIN)], [MAIN]);
  });

  it('know a document by every spelling of its URI', () => {
    for (const uri of [MAIN, 'file:///home/me/my%20project/%6Dain.py']) assert.equal(canonical(uri), MAIN);
    for (const uri of ['untitled:Untitled-1', 'file://else/where.py', 'file:///a%00', 'file:///%'])
      assert.equal(canonical(uri), uri);
  });
});
