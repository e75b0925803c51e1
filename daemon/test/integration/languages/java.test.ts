/** What Java promises beyond what all languages do: how its `main` is found, its limits, and that a waiting JVM is like any other. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { languageOf } from '../../../src/lsp/language.ts';
import { problemsIn } from '../../../src/lsp/problems.ts';
import { type Finished, type Program, TestDaemon, workspace } from '../../helpers/daemon.ts';

const FIXTURES = fileURLToPath(new URL('../../fixtures/warm/java/', import.meta.url));
const MIB = 2 ** 20;

/** A workspace as its files' texts. */
type Files = Record<string, string>;

const say = (text: string) => `System.out.println("${text}");`;
const main = (body: string) =>
  `public class Main {\n  public static void main(String[] args) throws Exception {\n${body}\n  }\n}\n`;

interface Found {
  title: string;
  files: Files;
  entry: string;
  stdout: string;
}

const MAINS: Found[] = [
  {
    title: 'a public class in a file of another name',
    files: { 'tea time.java': `public class Kettle { public static void main(String[] args) { ${say('boils')} } }` },
    entry: 'tea time.java',
    stdout: 'boils\n',
  },
  {
    title: 'the first class that has a main',
    files: {
      'Main.java': `class Helper { void main(int x) {} }\nrecord Tea() { void main() { ${say('tea')} } }\nclass Main { void main() {} }`,
    },
    entry: 'Main.java',
    stdout: 'tea\n',
  },
  {
    title: 'a main without a class, on an instance',
    files: { 'Main.java': 'String name = "Ada";\nvoid main(String[] args) {\n  IO.println(name);\n}\n' },
    entry: 'Main.java',
    stdout: 'Ada\n',
  },
  {
    title: 'a main that is inherited from another file',
    files: {
      'Main.java': 'public class Main extends Base {}',
      'Base.java': `class Base { public static void main(String[] args) { ${say('inherited')} } }`,
    },
    entry: 'Main.java',
    stdout: 'inherited\n',
  },
  {
    title: 'a class of a package where its folders lie, with resources beside them',
    files: {
      'shop/src/main/java/com/example/App.java': `package com.example;\npublic class App {\n  public static void main(String[] args) throws Exception {\n    try (var in = App.class.getResourceAsStream("/text.txt")) { System.out.print(new String(in.readAllBytes()) + Part.NAME + "\\n"); }\n  }\n}`,
      'shop/src/main/java/com/example/Part.java':
        'package com.example;\nclass Part { static final String NAME = "part"; }',
      'shop/src/main/resources/text.txt': 'resource and ',
    },
    entry: 'shop/src/main/java/com/example/App.java',
    stdout: 'resource and part\n',
  },
  {
    title: 'a file whose folder is not that of its package',
    files: { 'App.java': `package com.example;\nclass App { void main() { ${say('anywhere')} } }` },
    entry: 'App.java',
    stdout: 'anywhere\n',
  },
  {
    title: 'a program beside files that are broken',
    files: { 'Main.java': main(say('whole')), 'Broken.java': 'class {' },
    entry: 'Main.java',
    stdout: 'whole\n',
  },
];

/** Ways that fixtures run warm and cold. */
interface Both extends Omit<Program, 'files'> {
  entry: string;
  exitCode?: number;
}

const BOTH: Both[] = [
  { entry: 'State.java', args: ['--flag', 'ünï 🎈', ''], env: { GREETING: 'hello=there' }, exitCode: 0 },
  { entry: 'State.java', tty: { rows: 33, cols: 99 } },
  ...['code', 'halt', 'thread', 'late', 'daemon', 'pool', 'handler', 'uncaught', 'error', 'overflow', 'static'].map(
    (way) => ({ entry: 'Exits.java', args: [way] }),
  ),
  { entry: 'NoMain.java', exitCode: 1 },
  { entry: 'Handled.java', reactions: [{ after: 'ready\n', signal: 'SIGTERM' }], exitCode: 143 },
  { entry: 'Handled.java', reactions: [{ after: 'ready\n', signal: 'SIGINT' }], exitCode: 130 },
  {
    entry: 'Terminal.java',
    tty: { rows: 33, cols: 99 },
    reactions: [{ after: 'name? ', type: 'Ada\n' }],
    exitCode: 1,
  },
  { entry: 'Processes.java', env: { GREETING: 'hello' }, exitCode: 0 },
];

describe('Java', function () {
  this.timeout(300_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_800_000);
    daemon = await TestDaemon.start(['java']);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const run = (files: Files, more: Partial<Program> = {}): Promise<Finished> =>
    daemon.run({
      runtime: 'java',
      entry: 'Main.java',
      files: Object.entries(files).map(([path, content]) => ({ path, content: Buffer.from(content) })),
      ...more,
    });

  const runMain = (body: string, more: Partial<Program> = {}) => run({ 'Main.java': main(body) }, more);

  for (const { title, files, entry, stdout } of MAINS)
    it(`runs ${title}`, async () => {
      const finished = await run(files, { entry });
      assert.equal(finished.stderr.toString(), '');
      assert.equal(finished.stdout.toString(), stdout);
    });

  describe('mistakes', () => {
    const places = (finished: Finished) => {
      const [java] = daemon.runtimes.map((runtime) => languageOf(runtime));
      assert.ok(java);
      return problemsIn(finished.stderr.toString(), java.places);
    };

    it('are told as javac tells them, each at its place, before anything runs', async () => {
      const files = {
        'Main.java': main('    Kettle.boil();\n    int x = missing;'),
        'Kettle.java': 'class Kettle {\n  static void boil() {\n\treturn 1;\n  }\n}\n',
      };
      for (const cold of [false, true]) {
        const finished = await run(files, { cold });
        assert.equal(finished.run.state, 'compile_failed');
        assert.equal(finished.run.exitCode, 1);
        assert.match(finished.stderr.toString(), /^Main\.java:4: error: cannot find symbol\n[\s\S]*\n2 errors\n$/);
        assert.deepEqual(
          places(finished).map(({ file, line, column, message }) => [
            file.replace(/^\.\//, ''),
            line + 1,
            (column ?? -1) + 1,
            message,
          ]),
          [
            ['Main.java', 4, 13, 'cannot find symbol'],
            ['Kettle.java', 3, 9, 'incompatible types: unexpected return value'],
          ],
        );
      }
    });

    it('are told of a file that has no class', async () => {
      const finished = await run({ 'Main.java': '// nothing yet\n' });
      assert.equal(finished.run.state, 'compile_failed');
      assert.equal(finished.stderr.toString(), 'error: no class declared in source file\n');
    });

    it('are judged by the version that the program is written for', async () => {
      const body = '    var tea = "green";\n    System.out.println(tea);';
      for (const [release, state] of [
        ['8', 'compile_failed'],
        ['11', 'succeeded'],
      ] as const) {
        const finished = await runMain(body, { options: { release } });
        assert.equal(finished.run.state, state, finished.stderr.toString());
      }
    });

    it('that are only doubtful keep nothing from running, and all of them are told where that is asked for', async () => {
      const body = '    java.util.List raw = new java.util.ArrayList();\n    System.out.println(raw);';
      const finished = await runMain(body, { options: { warnings: 'all' } });
      assert.equal(finished.run.state, 'succeeded');
      assert.deepEqual(
        places(finished).map(({ line, severity }) => [line + 1, severity]),
        [
          [3, 'warning'],
          [3, 'warning'],
        ],
      );
    });
  });

  describe('at its limits', () => {
    const FILL = 'var all = new java.util.ArrayList<byte[]>();\n while (true) all.add(new byte[1 << 20]);';

    for (const cold of [false, true]) {
      it(`says that its memory was not enough (${cold ? 'cold' : 'warm'})`, async () => {
        const { run: ended, stderr } = await runMain(FILL, { cold });
        assert.equal(ended.state, 'out_of_memory', stderr.toString());
        assert.match(
          stderr.toString(),
          /^Exception in thread "main" java\.lang\.OutOfMemoryError: Java heap space\n\tat Main\.main\(Main\.java:4\)\n$/,
        );
      });
    }

    it('goes on where the program expects that', async () => {
      const { run: ended, stdout } = await runMain(
        `try { ${FILL} } catch (OutOfMemoryError error) { ${say('caught')} }`,
      );
      assert.equal(ended.state, 'succeeded');
      assert.equal(stdout.toString(), 'caught\n');
    });

    it('has room for a hundred threads', async () => {
      const body = `var latch = new java.util.concurrent.CountDownLatch(100);
        for (int i = 0; i < 100; i++) new Thread(() -> { latch.countDown(); try { latch.await(); } catch (InterruptedException e) {} }).start();
        latch.await(); ${say('all there')}`;
      const { run: ended, stdout } = await runMain(body);
      assert.equal(stdout.toString(), 'all there\n');
      assert.equal(ended.state, 'succeeded');
    });

    it('prints no more than is allowed while it is compiled', async () => {
      const long = 'x'.repeat(MIB / 4);
      const { run: ended } = await runMain(Array.from({ length: 20 }, () => `int ${long} = ${long}y;`).join('\n'));
      assert.equal(ended.state, 'output_limit');
      assert.match(ended.message ?? '', /while it was compiled/);
    });

    it('is stopped where the compiler needs more memory than there is', async () => {
      const doubled = Array.from(
        { length: 30 },
        (_, index) => `static final String S${index + 1} = S${index} + S${index};`,
      );
      const { run: ended, stderr } = await run({
        'Main.java': `class Main {\nstatic final String S0 = "0123456789abcdef";\n${doubled.join('\n')}\nvoid main() { System.out.println(S30); }\n}`,
      });
      assert.equal(ended.state, 'out_of_memory', stderr.toString());
    });

    it('runs no annotation processor that lies on the class path', async () => {
      const made = await runMain(
        `java.nio.file.Files.createDirectories(java.nio.file.Path.of("lib"));
        var source = java.nio.file.Path.of("Evil.java");
        java.nio.file.Files.writeString(source, """
          public class Evil extends javax.annotation.processing.AbstractProcessor {
            static { System.out.println("processed"); }
            public boolean process(java.util.Set<? extends javax.lang.model.element.TypeElement> all, javax.annotation.processing.RoundEnvironment round) { return false; }
          }
          """);
        javax.tools.ToolProvider.getSystemJavaCompiler().run(null, null, null, "-d", ".", source.toString());
        try (var jar = new java.util.jar.JarOutputStream(new java.io.FileOutputStream("lib/evil.jar"))) {
          jar.putNextEntry(new java.util.jar.JarEntry("Evil.class"));
          jar.write(java.nio.file.Files.readAllBytes(java.nio.file.Path.of("Evil.class")));
          jar.putNextEntry(new java.util.jar.JarEntry("META-INF/services/javax.annotation.processing.Processor"));
          jar.write("Evil".getBytes());
        }`,
        { collect: ['lib/*.jar'] },
      );
      assert.equal(made.run.state, 'succeeded', made.stderr.toString());
      const jar = await daemon.produced(made.run, 'lib/evil.jar');
      const source = main('@Deprecated class Local {}\nSystem.out.println(Class.forName("Evil").getName());');
      const { stdout, stderr } = await run(
        {},
        {
          files: [
            { path: 'Main.java', content: Buffer.from(source) },
            { path: 'lib/evil.jar', content: jar },
          ],
        },
      );
      assert.equal(stderr.toString(), '');
      assert.equal(stdout.toString(), 'processed\nEvil\n');
    });
  });

  describe('a waiting JVM', () => {
    for (const { entry, exitCode, ...more } of BOTH)
      it(`runs ${[entry, ...(more.args ?? []), more.tty ? '(terminal)' : ''].join(' ').trim()} as a cold one does`, async () => {
        const files = await workspace(FIXTURES);
        const warm = await daemon.run({ runtime: 'java', entry, files, ...more });
        // One more file makes it another program, so that it is compiled anew.
        const cold = await daemon.run({
          runtime: 'java',
          entry,
          files: [...files, { path: 'cold', content: Buffer.alloc(0) }],
          ...more,
          cold: true,
        });
        assert.equal(warm.run.warm.interpreter, true);
        assert.equal(cold.run.warm.interpreter, false);
        assert.equal(warm.stderr.toString(), cold.stderr.toString());
        assert.equal(warm.stdout.toString(), cold.stdout.toString());
        assert.deepEqual([warm.run.state, warm.run.exitCode], [cold.run.state, cold.run.exitCode]);
        if (exitCode !== undefined) assert.equal(warm.run.exitCode, exitCode, warm.stderr.toString());
      });
  });
});
