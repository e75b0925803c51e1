/** Sources that are made to confuse compilers, or to have more of them than a program. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { RunRequest } from '../../src/protocol/index.ts';
import { buildImages } from '../helpers/images.ts';
import { TestDaemon } from '../support/live-daemon.ts';

const HELLO: Record<string, [string, string]> = {
  c: ['.c', '#include <stdio.h>\nint main(void) { puts("hello"); }\n'],
  cpp: ['.cpp', '#include <cstdio>\nint main() { std::puts("hello"); }\n'],
  rust: ['.rs', 'fn main() { println!("hello"); }\n'],
  go: ['.go', 'package main\n\nfunc main() { print("hello\\n") }\n'],
  java: ['.java', 'class Main { public static void main(String[] args) { System.out.println("hello"); } }\n'],
  typescript: ['.ts', 'const text: string = "hello"; console.log(text);\n'],
  bash: ['.sh', 'echo hello\n'],
  sql: ['.sql', "SELECT 'hello';\n"],
};
/** What an option, a file of options, a shell, a pattern, a list of paths or a format would make something else of. */
const NAMES = [
  '-o',
  '@x',
  '-',
  'a b',
  `q'"q`,
  '$(id)',
  '`id`;',
  'a,b',
  'a:b',
  '*',
  'a\\b',
  '%s',
  '[a]',
  'sub dir/--help',
  '日本',
];

describe('a hostile source', function () {
  this.timeout(600_000); // fifteen compilations each
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_200_000);
    await using engine = await Engine.connect(loadConfig());
    await buildImages(loadConfig(), engine, Object.keys(HELLO));
    daemon = await TestDaemon.start();
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const run = (request: RunRequest) => daemon.runToEnd({ stdin: null, ...request });

  for (const [runtime, [ending, content]] of Object.entries(HELLO)) {
    it(`is compiled and run by its name, whatever that is: ${runtime}`, async () => {
      for (const name of NAMES) {
        const path = `${name}${ending}`;
        const { run: ended, stdout, stderr } = await run({ runtime, files: [{ path, content }] });
        assert.equal(ended.state, 'succeeded', `${path}: ${stderr}`);
        assert.match(stdout + stderr, /hello/, path);
      }
    });
  }

  it('runs nothing of itself in the compiler: Java', async () => {
    const { run: ended, stdout } = await run({
      runtime: 'java',
      entry: 'Main.java',
      files: [
        { path: 'Main.java', content: HELLO.java?.[1] as string },
        { path: 'META-INF/services/com.sun.source.util.Plugin', content: 'Evil\n' },
        { path: 'META-INF/services/javax.annotation.processing.Processor', content: 'Evil\n' },
      ],
    });
    assert.equal(ended.state, 'succeeded');
    assert.equal(stdout, 'hello\n');
  });

  it('that is too deep for the compiler is told as one that is: Java', async () => {
    const content = `class Main { int x = ${'('.repeat(20_000)}1${')'.repeat(20_000)}; }`;
    const { run: ended, stderr } = await run({ runtime: 'java', files: [{ path: 'Main.java', content }] });
    assert.equal(ended.state, 'compile_failed');
    assert.equal(ended.exitCode, 3);
    assert.match(stderr, /The system is out of resources/);
  });

  const includes: [string, string, RegExp][] = [
    [
      'a device without end',
      '#include "/dev/zero"\nint main(void) {}\n',
      /^(?:compile_failed|out_of_memory|timed_out)$/,
    ],
    ['a file of the system', '#include "/etc/shadow"\nint main(void) {}\n', /^compile_failed$/],
    ['itself', '#include "main.c"\nint main(void) {}\n', /^compile_failed$/],
  ];
  for (const [what, content, state] of includes) {
    it(`that includes ${what} ends in the compiler's limits: C`, async () => {
      const { run: ended, stderr } = await run({ runtime: 'c', files: [{ path: 'main.c', content }] });
      assert.match(ended.state, state, stderr);
      assert.deepEqual(
        ended.stages.map(({ stage }) => stage),
        ['compile'],
      );
    });
  }

  it('that makes a program of a gigabyte ends in the compiler’s limits: C', async () => {
    const content = 'char large[1ull << 30] = {1};\nint main(void) { return large[5]; }\n';
    const { run: ended } = await run({ runtime: 'c', files: [{ path: 'main.c', content }] });
    assert.match(ended.state, /^(?:compile_failed|out_of_memory)$/);
  });

  it('that makes the compiler eat memory ends in the compiler’s limits: C++', async () => {
    const content = 'template <int N> struct A { A<N * 2 + 1> a; A<N * 2> b; };\nint main() { A<1> a; }\n';
    const { run: ended } = await run({ runtime: 'cpp', files: [{ path: 'main.cpp', content }] });
    assert.match(ended.state, /^(?:compile_failed|out_of_memory|output_limit|timed_out)$/);
    assert.ok(!ended.stages.some(({ stage }) => stage === 'run'));
  });
});
