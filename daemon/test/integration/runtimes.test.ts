/**
 * What every language promises. A language takes part by its folder in `fixtures/programs/`: one folder for each program of the table below,
 * which does the same in all languages, and `examples.json`, which says what the language's own examples print. A language whose programs
 * cannot print such lines, or cannot do such a thing at all, has a `battery.json` that says so for each test by its title.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { type Finished, type Program, TestDaemon, workspace } from '../helpers/daemon.ts';

const PROGRAMS = fileURLToPath(new URL('../fixtures/programs/', import.meta.url));
const FIRST_EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));
const MIB = 2 ** 20;

const EVERY_BYTE = Buffer.from(Array.from({ length: 64 * 256 }, (_, index) => index % 256));
const ARGUMENTS = ['one', 'two words', '', '--flag', '-c', 'ünï 🎈', '$HOME `id` "quoted"', '*', 'two\nlines'];

interface Case extends Omit<Program, 'files' | 'runtime'> {
  /** What the program shows: the title of its test. */
  shows: string;
  /** The program's folder. */
  program: string;
  /** Where the entry lies, when not at the top. */
  below?: string;
  /** How it ends; by default with exit code 0. */
  end?: Partial<Finished['run']>;
  /** Another end that is as good. */
  orEnd?: Partial<Finished['run']>;
  stdout?: string | Buffer | ((runtime: Runtime) => string);
  stderr?: string;
}

const CASES: Case[] = [
  { program: 'hello', shows: 'says hello', stdout: 'Hello, world!\n' },
  {
    program: 'arguments',
    shows: 'gets its arguments as they are',
    args: ARGUMENTS,
    stdout: ARGUMENTS.map((argument) => `[${argument}]\n`).join(''),
  },
  { program: 'input', shows: 'reads its input to the end', stdin: 'Ada\nGrace\nÜnal', stdout: '2 lines, 15 bytes\n' },
  { program: 'input', shows: 'finds its input closed where there is none', stdout: '0 lines, 0 bytes\n' },
  {
    program: 'input',
    shows: 'reads more input than any buffer holds',
    stdin: Buffer.alloc(4 * MIB, '0123456789abcde\n'),
    stdout: `${(4 * MIB) / 16} lines, ${4 * MIB} bytes\n`,
  },
  {
    program: 'echo',
    shows: 'answers what is typed before more is typed',
    reactions: [
      { after: '> ', type: 'Ada\n' },
      { after: 'echo: Ada\n> ', type: '漢字\n' },
      { after: 'echo: 漢字\n> ', close: true },
    ],
    stdout: '> echo: Ada\n> echo: 漢字\n> bye\n',
  },
  {
    program: 'streams',
    shows: 'keeps what it prints on stderr apart',
    stdout: 'to stdout\n',
    stderr: 'to stderr\n',
  },
  { program: 'exit', shows: 'ends with its own exit code', end: { state: 'failed', exitCode: 7 }, stdout: 'before\n' },
  {
    program: 'signal',
    shows: 'ends by a signal that it does not handle',
    reactions: [{ after: 'ready\n', signal: 'SIGTERM' }],
    end: { state: 'signaled', exitCode: null, signal: 'SIGTERM' },
    // The JVM makes an orderly end of it, with the exit code that shells show for the signal.
    orEnd: { state: 'failed', exitCode: 143 },
    stdout: 'ready\n',
  },
  { program: 'utf8', shows: 'prints characters of several bytes in pieces', stdout: 'ü漢🎈\n' },
  {
    program: 'binary',
    shows: 'copies bytes that are no text',
    stdin: EVERY_BYTE,
    stdout: EVERY_BYTE,
  },
  { program: 'modules', shows: 'has several files and folders of them', stdout: 'bread of flour, 40 minutes\n' },
  {
    program: 'subfolder',
    below: 'app/',
    shows: 'starts from a file in a folder, in the workspace',
    stdout: 'Greetings from next door in /workspace\n',
  },
  {
    program: 'environment',
    shows: 'sees the environment of its run and nothing of the host',
    env: { GREETING: 'hello = there', EMPTY: '' },
    stdout: ({ env }) =>
      Object.entries({
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME: '/workspace',
        USER: 'sandbox',
        LANG: 'C.UTF-8',
        ...env,
        GREETING: 'hello = there',
        EMPTY: '',
      })
        .map(([name, value]) => `${name}=${value}\n`)
        .sort()
        .join(''),
  },
];

/** One of a language's examples: how it is run, and what it has to print; exactly, or by a pattern where it cannot be the same twice. */
interface Example {
  entry: string;
  args?: string[];
  stdin?: string;
  stdout?: string;
  matches?: string;
  /** What is to be in the files that it produces. */
  files?: Record<string, string>;
}

/** Where a language differs from the others, by the titles of tests. */
interface Battery {
  /** Why its programs cannot do that. */
  leavesOut: Record<string, string>;
  /** What they print instead. */
  prints: Record<string, { stdout: string; stderr?: string }>;
}

const FLOOD = 'prints 50 MiB of which none is lost';
const UNCAUGHT = 'fails by an error as it does anywhere else';
const TITLES = [...CASES.map(({ shows }) => shows), FLOOD, UNCAUGHT];

function batteryOf(programs: string): Battery {
  const file = `${programs}battery.json`;
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { leavesOut: {}, prints: {} };
}

const FIRST_PROGRAMS: Example[] = [
  { entry: 'hello.py', matches: 'Hello! This is Python 3[.\\d]+, running in a sandbox of its own.\n' },
  { entry: 'hello.js', matches: 'Hello! This is Node v[.\\d]+, running in a sandbox of its own.\n' },
  { entry: 'greet.py', stdin: 'Ada\n', stdout: 'What is your name? Nice to meet you, Ada!\n' },
  { entry: 'greet.mjs', stdin: 'Ada\n', stdout: 'What is your name? Nice to meet you, Ada!\n' },
];

const { runtimes } = await loadRuntimes();

describe('languages', function () {
  this.timeout(120_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_800_000);
    daemon = await TestDaemon.start();
  });

  after(() => daemon[Symbol.asyncDispose]());

  for (const runtime of runtimes) {
    const programs = `${PROGRAMS}${runtime.id}/`;
    const examples = `${runtime.folder}/examples`;
    const { leavesOut, prints } = batteryOf(programs);
    const does = ({ shows }: { shows: string }) => !(shows in leavesOut);

    const run = async (program: string, more: Partial<Program> = {}) =>
      daemon.run({
        runtime: runtime.id,
        entry: runtime.entry,
        files: await workspace(`${programs}${program}`),
        ...more,
      });

    describe(`a ${runtime.name} program`, () => {
      it('differs from those of other languages only where this test knows such a thing, and says why', () => {
        for (const title of [...Object.keys(leavesOut), ...Object.keys(prints)])
          assert.ok(TITLES.includes(title), title);
        for (const [title, reason] of Object.entries(leavesOut)) assert.match(reason, /\.$/, title);
      });

      for (const { shows, program, below = '', end, orEnd, ...expected } of CASES.filter(does)) {
        const { stdout = '', stderr = '', ...request } = { ...expected, ...prints[shows] };
        it(shows, async () => {
          const finished = await run(program, { ...request, entry: `${below}${runtime.entry}` });
          assert.equal(finished.run.error, null);
          assert.equal(finished.stderr.toString(), stderr);
          if (Buffer.isBuffer(stdout)) assert.ok(finished.stdout.equals(stdout));
          else assert.equal(finished.stdout.toString(), typeof stdout === 'function' ? stdout(runtime) : stdout);
          const { state, exitCode, signal } = finished.run;
          const usual = { state: 'succeeded', exitCode: 0, signal: null, ...(orEnd?.state === state ? orEnd : end) };
          assert.deepEqual({ state, exitCode, signal }, usual);
          // One that only compiles has nothing to do where that was done before.
          const needed = runtime.run.warm || !finished.run.compileCached;
          assert.equal(finished.run.warm.interpreter, runtime.warm !== undefined && needed);
        });
      }

      if (does({ shows: FLOOD })) {
        it(FLOOD, async () => {
          const { run: ended, stdout } = await run('flood');
          assert.equal(ended.state, 'succeeded', ended.message ?? '');
          assert.equal(stdout.length, 50 * MIB);
          const expected = createHash('sha256');
          for (let block = 0; block < 50; block++)
            expected.update(`${String.fromCharCode(97 + (block % 26)).repeat(MIB - 1)}\n`);
          assert.equal(createHash('sha256').update(stdout).digest('hex'), expected.digest('hex'));
        });
      }

      it(UNCAUGHT, async () => {
        const usual = await run('uncaught');
        const cold = await run('uncaught', { cold: true });
        assert.equal(cold.run.warm.interpreter, false);
        assert.equal(usual.stderr.toString(), cold.stderr.toString());
        assert.equal(usual.run.exitCode, cold.run.exitCode);
        assert.equal(usual.run.state, 'failed');
        assert.equal(usual.stdout.toString(), prints[UNCAUGHT]?.stdout ?? 'making tea\n');
        assert.match(usual.stderr.toString(), /the kettle is empty/);
        assert.ok(usual.stderr.includes(runtime.entry), 'its stack names the entry');
      });
    });

    describe(`an example in ${runtime.name}`, () => {
      const known: Example[] = JSON.parse(readFileSync(`${programs}examples.json`, 'utf8'));

      it('is known to this test, whichever it is', () => {
        // A folder is a project, known by the entry below it.
        const names = new Set(known.map(({ entry }) => entry.split('/')[0]));
        assert.deepEqual([...names].sort(), readdirSync(examples).sort());
      });

      for (const example of known) {
        it([example.entry, ...(example.args ?? [])].join(' '), () => runExample(daemon, runtime, examples, example));
      }
    });
  }

  describe('a first program', () => {
    for (const example of FIRST_PROGRAMS) {
      it(example.entry, () => runExample(daemon, undefined, FIRST_EXAMPLES, example));
    }
  });
});

async function runExample(daemon: TestDaemon, runtime: Runtime | undefined, folder: string, example: Example) {
  const { entry, args = [], stdin = '', stdout, matches, files = {} } = example;
  const { run, ...printed } = await daemon.run({
    ...(runtime ? { runtime: runtime.id } : {}),
    files: await workspace(folder),
    entry,
    args,
    stdin,
    collect: Object.keys(files),
  });
  assert.equal(run.error, null);
  assert.equal(printed.stderr.toString(), '');
  if (matches !== undefined) assert.match(printed.stdout.toString(), new RegExp(`^${matches}$`));
  else assert.equal(printed.stdout.toString(), stdout);
  assert.equal(run.state, 'succeeded', run.message ?? '');
  for (const [path, content] of Object.entries(files))
    assert.equal((await daemon.produced(run, path)).toString(), content);
}
