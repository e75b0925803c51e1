import assert from 'node:assert/strict';
import { problemIn, sourceLinks } from '../../src/links.ts';

describe('Links to places in source files', () => {
  const cases: [printed: string, links: string[]][] = [
    ['  File "/workspace/src/main.py", line 12, in <module>', ['/workspace/src/main.py:12']],
    ['  File "my notes.py", line 3', ['my notes.py:3']],
    ['  File "<string>", line 1, in <module>', []],
    ['main.c:3:5: error: expected ‘;’', ['main.c:3:5']],
    ["./src/main.rs:14:9: thread 'main' panicked", ['./src/main.rs:14:9']],
    ['  --> src/lib.rs:2:1', ['src/lib.rs:2:1']],
    ['\t/workspace/main.go:7 +0x1d', ['/workspace/main.go:7']],
    ['    at f (file:///workspace/main.mjs:3:9)', ['/workspace/main.mjs:3:9']],
    ['    at Object.<anonymous> (/workspace/a b.js:1:7)', ['b.js:1:7']],
    ['\tat Main.main(Main.java:5)', ['Main.java:5']],
    ['src/app.ts(3,14): error TS2322', ['src/app.ts:3:14']],
    ['run.sh: line 4: nope: command not found', ['run.sh:4']],
    ['In file included from a.h:1,\n                 from main.cpp:2:', ['a.h:1', 'main.cpp:2']],
    ['it is 12:30:45 at localhost:8080, example.com:80 and 10.0.0.1:22', []],
    ['https://example.com/main.js:3 v1.2.3:4', []],
    ['main.py:0 is no line', []],
    ['nothing', []],
  ];
  for (const [printed, expected] of cases)
    it(`finds ${expected.join(' and ') || 'none'} in ${JSON.stringify(printed)}`, () => {
      const links = sourceLinks(printed);
      assert.deepEqual(
        links.map(({ path, line, column }) => [path, line, ...(column ? [column] : [])].join(':')),
        expected,
      );
      for (const { path, start, end } of links) assert.ok(printed.slice(start, end).includes(path));
    });

  it('reads only the beginning of a line that is as long as no message is', () => {
    const padding = 'x '.repeat(1_000);
    assert.equal(sourceLinks(`main.py:3 ${padding}`).length, 1);
    assert.equal(sourceLinks(`${padding} main.py:3`).length, 0);
  });
});

describe('The problem of a failed run', () => {
  const problem = (printed: string) => {
    const found = problemIn(printed.split('\n'));
    return found && `${found.path}:${found.line}`;
  };

  it('is the last frame of a traceback that is the person’s own', () => {
    assert.equal(
      problem(`warning at data.py:99
Traceback (most recent call last):
  File "/workspace/main.py", line 3, in <module>
    json.loads(text)
  File "/usr/lib/python3.13/json/decoder.py", line 345, in decode
    obj, end = self.raw_decode(s)
json.decoder.JSONDecodeError: Expecting value`),
      '/workspace/main.py:3',
    );
  });

  it('is the last of several tracebacks', () => {
    assert.equal(
      problem(`Traceback (most recent call last):
  File "a.py", line 1, in <module>
ValueError

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 9, in <module>
KeyError`),
      'a.py:9',
    );
  });

  it('is the first frame of a Java stack that is not the runtime’s', () => {
    assert.equal(
      problem(`Exception in thread "main" java.lang.IndexOutOfBoundsException
\tat java.base/java.util.ArrayList.get(ArrayList.java:427)
\tat Main.pick(Main.java:12)
\tat Main.main(Main.java:5)`),
      'Main.java:12',
    );
  });

  it('is the first error of a compiler, not a warning before it', () => {
    assert.equal(
      problem('main.c:1:9: warning: unused\nmain.c:8:3: error: expected\nmain.c:9:1: error: again'),
      'main.c:8',
    );
  });

  it('is the panic’s own place in Go and Rust', () => {
    assert.equal(
      problem("thread 'main' panicked at src/main.rs:3:5:\nnote: run with `RUST_BACKTRACE=1`"),
      'src/main.rs:3',
    );
    assert.equal(
      problem(
        'panic: boom\n\ngoroutine 1 [running]:\nruntime.x()\n\t/usr/lib/go-1.24/src/runtime/panic.go:3\nmain.main()\n\t/workspace/main.go:7 +0x1d',
      ),
      '/workspace/main.go:7',
    );
  });

  it('is nothing where no place was printed', () => {
    assert.equal(problem('Segmentation fault'), undefined);
  });
});
