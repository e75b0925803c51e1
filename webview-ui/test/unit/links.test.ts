import assert from 'node:assert/strict';
import { sourceLinks } from '../../src/links.ts';

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
