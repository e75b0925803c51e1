/** What languages with a compiler promise beyond what all languages do: one file or many, their messages, their limits. */
import assert from 'node:assert/strict';
import { languageOf } from '../../../src/lsp/language.ts';
import { problemsIn, type Severity } from '../../../src/lsp/problems.ts';
import { type Finished, type Program, TestDaemon } from '../../helpers/daemon.ts';

const GUESSED_LINES = 40_000;

/** A workspace as its files' texts. */
type Files = Record<string, string>;

interface Mistake {
  runtime: string;
  files: Files;
  entry: string;
  options?: Record<string, string>;
  /** How it ends; by default not, as it does not compile. */
  state?: string;
  /** As an editor shows it: line and column from 1 on. */
  place: { file: string; line: number; column?: number; severity?: Severity; message: RegExp };
}

const MISTAKES: Mistake[] = [
  {
    runtime: 'c',
    files: { 'main.c': '#include <stdio.h>\n\nint main(void) {\n  return missing;\n}\n' },
    entry: 'main.c',
    place: { file: 'main.c', line: 4, column: 10, message: /^‘missing’ undeclared/ },
  },
  {
    runtime: 'c',
    files: { 'app/main.c': '#include "absent.h"\nint main(void) {}\n' },
    entry: 'app/main.c',
    place: { file: 'app/main.c', line: 1, column: 10, message: /^absent\.h: No such file/ },
  },
  {
    runtime: 'c',
    files: { 'main.c': 'int absent(void);\nint main(void) {\n  return absent();\n}\n' },
    entry: 'main.c',
    place: { file: 'main.c', line: 3, message: /^undefined reference to `absent'/ },
  },
  {
    runtime: 'c',
    files: {
      'app/main.c': 'int absent(void);\nint present(void);\nint main(void) {\n  return absent() + present();\n}\n',
      'app/present.c': 'int present(void) { return 1; }\n',
    },
    entry: 'app/main.c',
    place: { file: 'app/main.c', line: 4, message: /^undefined reference to `absent'/ },
  },
  {
    runtime: 'c',
    files: { 'main.c': 'int main(void) {\n  int unused;\n}\n' },
    entry: 'main.c',
    options: { warnings: 'all' },
    state: 'succeeded',
    place: { file: 'main.c', line: 2, column: 7, severity: 'warning', message: /^unused variable/ },
  },
  {
    runtime: 'c',
    files: { 'main.c': '#include <assert.h>\nint main(void) {\n  assert(1 > 2);\n}\n' },
    entry: 'main.c',
    state: 'signaled',
    place: { file: 'main.c', line: 3, message: /^Assertion .1 > 2. failed/ },
  },
  {
    runtime: 'cpp',
    files: { 'main.cpp': '#include <string>\n\nint main() {\n  std::string text = 5;\n}\n' },
    entry: 'main.cpp',
    place: { file: 'main.cpp', line: 4, column: 22, message: /^conversion from ‘int’/ },
  },
  {
    runtime: 'cpp',
    files: {
      'main.cpp': '#include "part.hpp"\nint main() { return part(); }\n',
      'part.hpp': 'int part();\n',
      'lib/part.cpp': 'int part() {\n  return "text";\n}\n',
    },
    entry: 'main.cpp',
    place: { file: 'lib/part.cpp', line: 2, column: 10, message: /^invalid conversion/ },
  },
  {
    runtime: 'rust',
    files: { 'main.rs': 'fn main() {\n    let number: i32 = "text";\n}\n' },
    entry: 'main.rs',
    place: { file: 'main.rs', line: 2, column: 23, message: /^mismatched types/ },
  },
  {
    runtime: 'rust',
    files: { 'main.rs': 'fn main() {\n    let unused = 1;\n}\n' },
    entry: 'main.rs',
    state: 'succeeded',
    place: { file: 'main.rs', line: 2, column: 9, severity: 'warning', message: /^unused variable/ },
  },
  {
    runtime: 'rust',
    files: { 'main.rs': 'fn main() {\n    panic!("too hot");\n}\n' },
    entry: 'main.rs',
    state: 'failed',
    place: { file: 'main.rs', line: 2, column: 5, message: /^too hot$/ },
  },
  {
    runtime: 'rust',
    files: {
      'tool/Cargo.toml': '[package]\nname = "tool"\nversion = "0.1.0"\nedition = "2021"\n',
      'tool/src/main.rs': 'mod part;\nfn main() {}\n',
      'tool/src/part.rs': 'pub fn part() {\n    missing();\n}\n',
    },
    entry: 'tool/src/main.rs',
    place: { file: 'tool/src/part.rs', line: 2, column: 5, message: /^cannot find function `missing`/ },
  },
  {
    runtime: 'go',
    files: { 'main.go': 'package main\n\nfunc main() {\n\tmissing()\n}\n' },
    entry: 'main.go',
    place: { file: 'main.go', line: 4, column: 2, message: /^undefined: missing$/ },
  },
  {
    runtime: 'go',
    files: {
      'tool/go.mod': 'module tool\n\ngo 1.24\n',
      'tool/main.go': 'package main\n\nimport "tool/part"\n\nfunc main() { part.Part() }\n',
      'tool/part/part.go': 'package part\n\nfunc Part() {\n\tmissing()\n}\n',
    },
    entry: 'tool/main.go',
    place: { file: 'tool/part/part.go', line: 4, column: 2, message: /^undefined: missing$/ },
  },
  {
    runtime: 'go',
    files: { 'main.go': 'package main\n\nfunc main() {\n\tvar numbers []int\n\tnumbers[3] = 1\n}\n' },
    entry: 'main.go',
    state: 'failed',
    place: { file: 'main.go', line: 5, message: /^panic: runtime error: index out of range/ },
  },
  {
    runtime: 'go',
    files: { 'part.go': 'package part\n' },
    entry: 'part.go',
    place: { file: 'part.go', line: 1, column: 1, message: /^package part is no program/ },
  },
  {
    runtime: 'bash',
    files: { 'main.sh': 'echo before\nmissing argument\n' },
    entry: 'main.sh',
    state: 'failed',
    place: { file: 'main.sh', line: 2, message: /^missing: command not found$/ },
  },
];

interface Works extends Omit<Program, 'files'> {
  /** What the title says of it. */
  shows: string;
  runtime: string;
  files: Files;
  stdout: string;
}

const NAMED_BY = (name: string): Files => ({
  [`${name}/main.c`]: '#include <stdio.h>\nconst char *name(void);\nint main(void) { puts(name()); }\n',
  [`${name}/name.c`]: `const char *name(void) { return "${name}"; }\n`,
});
const PRINTS = (language: string, text: string) =>
  ({
    c: `#include <stdio.h>\nint main(void) { puts("${text}"); }\n`,
    go: `package main\n\nimport "fmt"\n\nfunc main() { fmt.Println(word, "${text}") }\n`,
    rust: `fn main() { println!("${text}"); }\n`,
  })[language] as string;
const PACKAGE = '[package]\nname = "tool"\nversion = "0.1.0"\nedition = "2021"\n';

const WORKING: Works[] = [
  {
    shows: 'C: programs side by side, each with its own main',
    runtime: 'c',
    files: { 'one.c': PRINTS('c', 'one'), 'two.c': PRINTS('c', 'two'), 'three.c': PRINTS('c', 'three') },
    entry: 'two.c',
    stdout: 'two\n',
  },
  {
    shows: 'C: projects side by side that define the same',
    runtime: 'c',
    files: { ...NAMED_BY('ada'), ...NAMED_BY('grace') },
    entry: 'grace/main.c',
    stdout: 'grace\n',
  },
  {
    shows: 'C: a neighbour that does not compile and is not needed',
    runtime: 'c',
    files: {
      'main.c': 'int puts(const char *);\nconst char *word(void);\nint main(void) { puts(word()); }\n',
      'word.c': 'const char *word(void) { return "word"; }\n',
      'broken.c': 'this is not C\n',
    },
    entry: 'main.c',
    stdout: 'word\n',
  },
  {
    shows: 'C: headers in folders of their own, under both ways to include them',
    runtime: 'c',
    files: {
      'src/main.c':
        '#include <stdio.h>\n#include <shapes/circle.h>\n#include "square.h"\nint main(void) { puts(CIRCLE SQUARE); }\n',
      'include/shapes/circle.h': '#define CIRCLE "circle "\n',
      'include/square.h': '#define SQUARE "square"\n',
      'include/stdio.h': '#error the system has this header\n',
    },
    entry: 'src/main.c',
    stdout: 'circle square\n',
  },
  {
    shows: 'C: files whose names a shell would read',
    runtime: 'c',
    files: {
      '-o $(id) "quoted".c': 'int puts(const char *);\nconst char *word(void);\nint main(void) { puts(word()); }\n',
      '-E; `id` part.c': 'const char *part(void);\nconst char *word(void) { return part(); }\n',
      '@part.c': 'const char *part(void) { return "quoted"; }\n',
    },
    entry: '-o $(id) "quoted".c',
    stdout: 'quoted\n',
  },
  {
    shows: 'C: threads and mathematics without any flag',
    runtime: 'c',
    files: {
      'main.c': [
        '#include <math.h>',
        '#include <pthread.h>',
        '#include <stdio.h>',
        'static void *root(void *value) { *(double *)value = sqrt(*(double *)value); return NULL; }',
        'int main(void) {',
        '  pthread_t threads[8];',
        '  double values[8], sum = 0;',
        '  for (int i = 0; i < 8; i++) { values[i] = i * i; pthread_create(&threads[i], NULL, root, &values[i]); }',
        '  for (int i = 0; i < 8; i++) { pthread_join(threads[i], NULL); sum += values[i]; }',
        '  printf("%g\\n", sum);',
        '}',
      ].join('\n'),
    },
    entry: 'main.c',
    stdout: '28\n',
  },
  {
    shows: 'C++: threads',
    runtime: 'cpp',
    files: {
      'main.cpp': [
        '#include <atomic>',
        '#include <iostream>',
        '#include <thread>',
        '#include <vector>',
        'int main() {',
        '  std::atomic<int> sum = 0;',
        '  std::vector<std::thread> threads;',
        '  for (int i = 0; i < 8; i++) threads.emplace_back([&sum, i] { sum += i; });',
        '  for (auto& thread : threads) thread.join();',
        '  std::cout << sum << "\\n";',
        '}',
      ].join('\n'),
    },
    entry: 'main.cpp',
    stdout: '28\n',
  },
  {
    shows: 'Rust: threads',
    runtime: 'rust',
    files: {
      'main.rs':
        'fn main() {\n    let threads: Vec<_> = (0..8).map(|i| std::thread::spawn(move || i)).collect();\n    println!("{}", threads.into_iter().map(|thread| thread.join().unwrap()).sum::<i32>());\n}\n',
    },
    entry: 'main.rs',
    stdout: '28\n',
  },
  {
    shows: 'Rust: a program of a package that has several',
    runtime: 'rust',
    files: {
      'tool/Cargo.toml': PACKAGE,
      'tool/src/main.rs': PRINTS('rust', 'main'),
      'tool/src/bin/other.rs': PRINTS('rust', 'other'),
      'tool/examples/shown.rs': PRINTS('rust', 'shown'),
    },
    entry: 'tool/src/bin/other.rs',
    stdout: 'other\n',
  },
  {
    shows: 'Rust: an example of a package',
    runtime: 'rust',
    files: {
      'Cargo.toml': PACKAGE,
      'src/lib.rs': 'pub const WORD: &str = "from the library";\n',
      'examples/shown.rs': 'fn main() { println!("{}", tool::WORD); }\n',
    },
    entry: 'examples/shown.rs',
    stdout: 'from the library\n',
  },
  {
    shows: 'Rust: a module of a package, whose program is run',
    runtime: 'rust',
    files: {
      'Cargo.toml': PACKAGE,
      'src/main.rs': 'mod part;\nfn main() { println!("{}", part::WORD); }\n',
      'src/part.rs': 'pub const WORD: &str = "part";\n',
    },
    entry: 'src/part.rs',
    stdout: 'part\n',
  },
  {
    shows: 'Go: programs side by side that share a file',
    runtime: 'go',
    files: {
      'one.go': PRINTS('go', 'one'),
      'two.go': PRINTS('go', 'two'),
      'shared.go': 'package main\n\nconst word = "program"\n',
      'two_test.go': 'package main\n\nconst word = "test"\n',
    },
    entry: 'two.go',
    stdout: 'program two\n',
  },
  {
    shows: 'Go: goroutines on threads',
    runtime: 'go',
    files: {
      'main.go':
        'package main\n\nimport (\n\t"fmt"\n\t"runtime"\n\t"sync"\n)\n\nfunc main() {\n\tvar group sync.WaitGroup\n\tsums := make(chan int, 8)\n\tfor i := range 8 {\n\t\tgroup.Add(1)\n\t\tgo func() {\n\t\t\tdefer group.Done()\n\t\t\truntime.LockOSThread()\n\t\t\tsums <- i\n\t\t}()\n\t}\n\tgroup.Wait()\n\tclose(sums)\n\tsum := 0\n\tfor number := range sums {\n\t\tsum += number\n\t}\n\tfmt.Println(sum)\n}\n',
    },
    entry: 'main.go',
    stdout: '28\n',
  },
  {
    shows: 'Go: all of the standard library without a download',
    runtime: 'go',
    files: {
      'main.go':
        'package main\n\nimport (\n\t"fmt"\n\t"net/http"\n\t"text/template"\n)\n\nfunc main() {\n\tfmt.Println(http.StatusText(418), template.HTMLEscapeString("<"))\n}\n',
    },
    entry: 'main.go',
    stdout: "I'm a teapot &lt;\n",
  },
  ...(['c11', 'c17', 'c23'] as const).map((std, index) => ({
    shows: `C: the standard ${std}`,
    runtime: 'c',
    files: { 'main.c': '#include <stdio.h>\nint main(void) { printf("%ld\\n", __STDC_VERSION__); }\n' },
    entry: 'main.c',
    options: { std },
    stdout: `${[201112, 201710, 202000][index]}\n`,
  })),
  ...(['c++17', 'c++20', 'c++23', 'c++26'] as const).map((std, index) => ({
    shows: `C++: the standard ${std}`,
    runtime: 'cpp',
    files: { 'main.cpp': '#include <cstdio>\nint main() { std::printf("%ld\\n", __cplusplus); }\n' },
    entry: 'main.cpp',
    options: { std },
    stdout: `${[201703, 202002, 202302, 202400][index]}\n`,
  })),
  ...(['2018', '2021', '2024'] as const).map((edition, index) => ({
    shows: `Rust: the edition ${edition}`,
    runtime: 'rust',
    // What each edition made a part of the prelude, or of the language, was a name like any other before.
    files: {
      'main.rs': [
        'trait TryFrom { fn edition() -> u32 { 2018 } }\nimpl TryFrom for u8 {}\nfn main() { println!("{}", <u8 as TryFrom>::edition()); }\n',
        'fn main() { let gen = 2021; println!("{gen}"); }\n',
        'fn main() { let r#gen = 2024; println!("{}", r#gen); }\n',
      ][index] as string,
    },
    entry: 'main.rs',
    options: { edition },
    stdout: `${edition}\n`,
  })),
  {
    shows: 'Rust: a release',
    runtime: 'rust',
    files: { 'main.rs': 'fn main() { println!("{}", cfg!(debug_assertions)); }\n' },
    entry: 'main.rs',
    options: { profile: 'release' },
    stdout: 'false\n',
  },
];

/** Takes more and more memory, and uses it. */
const EATERS: Record<string, Files> = {
  c: {
    'main.c':
      '#include <stdlib.h>\n#include <string.h>\nint main(void) { for (;;) memset(malloc(1 << 20), 1, 1 << 20); }\n',
  },
  cpp: { 'main.cpp': '#include <vector>\nint main() { for (std::vector<int> all;;) all.push_back(1); }\n' },
  rust: {
    'main.rs':
      'fn main() {\n    let mut all = Vec::new();\n    loop {\n        all.push(vec![1u8; 1 << 20]);\n    }\n}\n',
  },
  go: {
    'main.go':
      'package main\n\nvar all [][]byte\n\nfunc main() {\n\tfor {\n\t\tblock := make([]byte, 1<<20)\n\t\tfor i := range block {\n\t\t\tblock[i] = 1\n\t\t}\n\t\tall = append(all, block)\n\t}\n}\n',
  },
  bash: { 'main.sh': 'all=x\nwhile :; do all+=$all; done\n' },
};

/** Asks at once for more than any machine has. */
const GREEDY: Record<string, Files> = {
  cpp: { 'main.cpp': '#include <vector>\nint main() { return std::vector<char>(1ull << 45, 1).back(); }\n' },
  rust: { 'main.rs': 'fn main() {\n    println!("{}", vec![1u8; 1 << 45].len());\n}\n' },
  go: { 'main.go': 'package main\n\nfunc main() {\n\tall := make([]byte, 1<<45)\n\tprintln(len(all))\n}\n' },
};

interface Deep {
  files: Files;
  end: { state: string; signal: string | null };
  stderr: RegExp;
}

const DEEP: Record<string, Deep> = {
  c: {
    files: {
      'main.c':
        '#include <stdio.h>\nstatic int deeper(volatile int *above) { volatile int here = *above + 1; return deeper(&here) + here; }\nint main(void) { volatile int start = 0; printf("%d\\n", deeper(&start)); }\n',
    },
    end: { state: 'signaled', signal: 'SIGSEGV' },
    stderr: /infinite-recursion|^$/,
  },
  cpp: {
    files: {
      'main.cpp':
        '#include <iostream>\nstatic int deeper(volatile int& above) { volatile int here = above + 1; return deeper(here) + here; }\nint main() { volatile int start = 0; std::cout << deeper(start); }\n',
    },
    end: { state: 'signaled', signal: 'SIGSEGV' },
    stderr: /infinite-recursion|^$/,
  },
  rust: {
    files: {
      'main.rs':
        'fn deeper(above: &u64) -> u64 {\n    let here = *above + 1;\n    if here == 0 { 0 } else { deeper(&here) + here }\n}\n\nfn main() {\n    println!("{}", deeper(&0));\n}\n',
    },
    end: { state: 'signaled', signal: 'SIGABRT' },
    stderr: /thread 'main' has overflowed its stack/,
  },
  go: {
    files: {
      'main.go':
        'package main\n\nfunc deeper(n int) int { return deeper(n+1) + n }\n\nfunc main() { println(deeper(0)) }\n',
    },
    end: { state: 'failed', signal: null },
    stderr: /stack exceeds 1000000000-byte limit[\s\S]*fatal error: stack overflow/,
  },
};

interface Hostile {
  shows: string;
  runtime: string;
  files: Files;
  state: string;
  /** What a person is told. */
  message: RegExp;
  stderr?: RegExp;
}

const HOSTILE: Hostile[] = [
  {
    shows: 'C++ templates that eat memory',
    runtime: 'cpp',
    files: {
      'main.cpp':
        '#include <utility>\ntemplate <class> struct Eats;\nEats<std::make_index_sequence<268435452>> eats;\nint main() {}\n',
    },
    state: 'out_of_memory',
    message: /^Stopped: used more than 512 MiB of memory while it was compiled\.$/,
  },
  {
    shows: 'a header that never ends',
    runtime: 'c',
    files: { 'main.c': '#include "/dev/zero"\nint main(void) {}\n' },
    state: 'out_of_memory',
    message: /^Stopped: used more than 512 MiB of memory while it was compiled\.$/,
  },
  {
    shows: 'a file of the system that is included',
    runtime: 'c',
    files: { 'main.c': '#include "/etc/shadow"\nint main(void) {}\n' },
    state: 'compile_failed',
    message: /^It does not compile\.$/,
    stderr: /\/etc\/shadow: Permission denied/,
  },
  {
    shows: 'a constant whose value takes for ever',
    runtime: 'cpp',
    files: {
      'main.cpp':
        'constexpr int forever() { int n = 0; while (true) n = 1 - n; return n; }\nconstexpr int never = forever();\nint main() {}\n',
    },
    state: 'compile_failed',
    message: /^It does not compile\.$/,
    stderr: /constexpr.* loop iteration count exceeds limit/,
  },
  {
    shows: 'a program of a gigabyte',
    runtime: 'c',
    files: { 'main.c': 'char huge[1 << 30] = {1};\nint main(void) { return huge[0]; }\n' },
    state: 'compile_failed',
    message: /^It does not compile\.$/,
    stderr: /No space left on device|File size limit exceeded/,
  },
  {
    shows: 'a compiler that is made to print without end',
    runtime: 'c',
    files: { 'main.c': `${`#warning ${'talking '.repeat(8)}\n`.repeat(GUESSED_LINES)}int main(void) {}\n` },
    state: 'output_limit',
    message: /^Stopped: printed more than 1 MiB while it was compiled\.$/,
  },
  {
    shows: 'a Rust constant that takes for ever',
    runtime: 'rust',
    files: { 'main.rs': 'const NEVER: u32 = loop {};\nfn main() {\n    println!("{NEVER}");\n}\n' },
    state: 'compile_failed',
    message: /^It does not compile\.$/,
    stderr: /constant evaluation is taking a long time/,
  },
  {
    shows: 'a Rust program that holds a file without end',
    runtime: 'rust',
    files: {
      'main.rs': 'static ALL: &[u8] = include_bytes!("/dev/zero");\nfn main() {\n    println!("{}", ALL.len());\n}\n',
    },
    state: 'out_of_memory',
    message: /^Stopped: used more than 1 GiB of memory while it was compiled\.$/,
  },
  {
    shows: 'a Go program that is larger than any memory',
    runtime: 'go',
    files: { 'main.go': 'package main\n\nvar huge [1 << 50]byte\n\nfunc main() { println(len(huge)) }\n' },
    state: 'compile_failed',
    message: /^It does not compile\.$/,
    stderr: /larger than address space/,
  },
];

describe('languages with a compiler', function () {
  this.timeout(120_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_800_000);
    daemon = await TestDaemon.start();
  });

  after(() => daemon?.[Symbol.asyncDispose]());

  const run = ({ files, ...program }: Omit<Program, 'files'> & { files: Files }): Promise<Finished> =>
    daemon.run({
      ...program,
      files: Object.entries(files).map(([path, text]) => ({ path, content: Buffer.from(text) })),
    });

  const mainOf = (runtime: string) => daemon.runtimes.find(({ id }) => id === runtime)?.entry as string;

  describe('say where a mistake is', () => {
    for (const { runtime, files, entry, options = {}, state = 'compile_failed', place } of MISTAKES) {
      it(`${runtime}: ${place.message.source}`, async () => {
        const { run: ended, stderr } = await run({ runtime, files, entry, options });
        assert.equal(ended.state, state, stderr.toString());
        const language = daemon.runtimes.find(({ id }) => id === runtime);
        assert.ok(language);
        const problems = problemsIn(stderr.toString(), languageOf(language).places);
        const found = problems.find(({ message }) => place.message.test(message));
        assert.ok(found, `${stderr}\n${JSON.stringify(problems)}`);
        assert.equal(found.file, place.file);
        assert.equal(found.line, place.line - 1);
        assert.equal(found.column, place.column === undefined ? undefined : place.column - 1);
        assert.equal(found.severity, place.severity ?? 'error');
      });
    }
  });

  describe('find the files of a program', () => {
    for (const { shows, stdout, ...program } of WORKING) {
      it(shows, async () => {
        const finished = await run(program);
        assert.equal(finished.stderr.toString(), '');
        assert.equal(finished.stdout.toString(), stdout);
        assert.equal(finished.run.state, 'succeeded', finished.run.message ?? '');
      });
    }

    it('an option that a language does not have, or a value of it, is refused with what there is', async () => {
      const files = { 'main.c': PRINTS('c', 'never') };
      const request = { runtime: 'c', entry: 'main.c', files };
      await assert.rejects(run({ ...request, options: { std: 'c99; id' } }), /c11.*c17.*c23/);
      await assert.rejects(run({ ...request, options: { flags: '-fplugin=x' } }), /std/);
    });

    for (const std of ['c++17', 'c++20', 'c++23']) {
      it(`C++: all of the standard library in ${std}, read from what was compiled before`, async () => {
        const files = {
          'main.cpp': `#include <bits/stdc++.h>\nint main() { std::system("g++ -std=${std.replace('c', 'gnu')} -O2 -H -fsyntax-only main.cpp 2>&1 | grep ^!"); }\n`,
        };
        const finished = await run({ runtime: 'cpp', entry: 'main.cpp', files, options: { std } });
        assert.match(finished.stdout.toString(), /^! .*stdc\+\+\.h\.gch\/.*\.gch\n$/);
      });
    }
  });

  describe('tell how a program ended', () => {
    for (const [runtime, files] of Object.entries(EATERS)) {
      it(`${runtime}: out of memory`, async () => {
        const { run: ended } = await run({
          runtime,
          entry: mainOf(runtime),
          files,
          limits: { memoryBytes: 128 * 2 ** 20 },
        });
        assert.equal(ended.state, 'out_of_memory', ended.message ?? '');
        assert.equal(ended.message, 'Stopped: used more than 128 MiB of memory.');
      });
    }

    for (const [runtime, files] of Object.entries(GREEDY)) {
      it(`${runtime}: more memory than there is, refused at once`, async () => {
        const { run: ended } = await run({ runtime, entry: mainOf(runtime), files });
        assert.equal(ended.state, 'out_of_memory', ended.message ?? '');
      });
    }

    for (const [runtime, { files, end, stderr }] of Object.entries(DEEP)) {
      it(`${runtime}: out of stack`, async () => {
        // Go’s stack takes a gigabyte first, for which a busy machine needs its time.
        const limits = { wallMs: 100_000, cpuMs: 100_000 };
        const finished = await run({ runtime, entry: mainOf(runtime), files, limits });
        const { state, signal } = finished.run;
        assert.deepEqual({ state, signal }, end);
        assert.match(finished.stderr.toString().slice(0, 4096), stderr);
      });
    }
  });

  describe('compile by a compiler that waits as by one that is started', () => {
    const main = (body: string) => `fn main() { ${body} }\n`;
    const programs: [shows: string, files: Files, input?: string][] = [
      ['a program', { 'main.rs': main('println!("hello"); std::process::exit(3)') }],
      ['a mistake', { 'main.rs': main('let number: i32 = "text";') }],
      ['a warning', { 'main.rs': main('let unused = 1;') }],
      ['a name that no crate may have', { '2 words.rs': main('println!("{}", module_path!())') }],
      ['what is typed', { 'main.rs': main('println!("{:?}", std::io::stdin().lines().count())') }, 'one\ntwo\n'],
      ['a package', { 'Cargo.toml': '[package]\nname = "package"\n', 'src/main.rs': main('println!("packed")') }],
    ];
    for (const [shows, files, stdin = ''] of programs) {
      it(`Rust: ${shows}`, async () => {
        const entry = Object.keys(files).find((path) => path.endsWith('.rs')) as string;
        const [waited, started] = [
          await run({ runtime: 'rust', entry, files, stdin }),
          await run({ runtime: 'rust', entry, files, stdin, cold: true }),
        ];
        assert.deepEqual([waited.run.warm.interpreter, started.run.warm.interpreter], [true, false]);
        assert.equal(waited.stdout.toString(), started.stdout.toString());
        assert.equal(waited.stderr.toString(), started.stderr.toString());
        assert.deepEqual([waited.run.state, waited.run.exitCode], [started.run.state, started.run.exitCode]);
        // The program is a process of its own, whose memory is what it uses itself.
        const program = waited.run.stages.find(({ stage }) => stage === 'run');
        assert.ok((program?.peakMemoryBytes ?? 0) < 16 * 2 ** 20);
      });
    }
  });

  describe('end by a limit, and say which', () => {
    for (const { shows, runtime, files, state, message, stderr } of HOSTILE) {
      it(shows, async () => {
        const finished = await run({ runtime, entry: mainOf(runtime), files });
        const told = finished.stderr.toString().slice(-2_000);
        assert.equal(finished.run.state, state, `${finished.run.message}\n${told}`);
        assert.match(finished.run.message ?? '', message);
        if (stderr) assert.match(told, stderr);
        const after = await run({ runtime: 'c', entry: 'main.c', files: { 'main.c': PRINTS('c', 'unharmed') } });
        assert.equal(after.stdout.toString(), 'unharmed\n');
      });
    }
  });
});
