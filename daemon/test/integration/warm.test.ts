/**
 * A program cannot tell a waiting interpreter from a cold one: each fixture runs both ways, in a fresh container through the agent, and
 * must have said the same bytes and ended the same way.
 */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import type { Sandbox } from '../../src/pool/sandbox.ts';
import { type RunEnd, type RunOptions, TestRuntime } from '../helpers/container.ts';

const FIXTURES = fileURLToPath(new URL('../fixtures/warm/', import.meta.url));

interface Case extends Omit<RunOptions, 'files' | 'warm'> {
  /** What the case shows, where its entry and arguments do not say it. */
  title?: string;
  /** Folder of fixtures that becomes the workspace. */
  folder?: string;
  /** How it ends both ways; by default it only has to be the same. */
  end?: Partial<Pick<RunEnd, 'exitCode' | 'signal'>>;
}

const each = (entry: string, ways: string[]): Case[] => ways.map((way) => ({ entry, args: [way] }));
const TERMINAL = { rows: 33, cols: 99 };

const PYTHON: Case[] = [
  { entry: 'hello.py', end: { exitCode: 0 } },
  { entry: 'state.py', args: ['--flag', 'ünï', ''], env: { GREETING: 'hello=there' } },
  { entry: 'state.py', title: 'with nothing given' },
  { entry: '/workspace/hello.py' },
  { entry: './sub/../hello.py' },
  { entry: 'sub/entry.py', args: ['x'], end: { exitCode: 1 } },
  { entry: 'package_main' },
  { entry: 'nowhere.py', end: { exitCode: 2 } },
  { entry: 'sub' },
  { entry: 'uncaught.py', end: { exitCode: 1 } },
  { entry: 'syntax_error.py' },
  { entry: 'imported_syntax_error.py' },
  { entry: 'bad_encoding.py' },
  { entry: 'exception_group.py' },
  ...each('exits.py', [
    'code',
    'message',
    'none',
    'large',
    'negative',
    'object',
    'builtin',
    'hard',
    'in-atexit',
    'signal',
    'interrupt',
  ]),
  { entry: 'exits.py', args: ['segfault'], end: { signal: 11 } },
  { entry: 'stack.py' },
  { entry: 'threads.py' },
  { entry: 'finalize.py' },
  { entry: 'recursion.py' },
  { entry: 'stdin.py', stdin: 'Ada\nsecond\nabcthird\nlast without newline' },
  { entry: 'processes.py', env: { GREETING: 'hello' } },
  { entry: 'tasks.py' },
  { entry: 'interrupted.py', react: [{ to: 'ready\n', signal: 2 }], end: { signal: 2 } },
  { entry: 'handled.py', react: [{ to: 'ready\n', signal: 15 }], end: { exitCode: 9 } },
  { entry: 'text.py', args: ['ü', '🎈'] },
  {
    entry: 'terminal.py',
    tty: TERMINAL,
    react: [
      { to: 'name? ', stdin: 'Ada\n' },
      { to: 'more? ', stdin: 'more\n' },
    ],
    end: { exitCode: 1 },
  },
  { entry: 'state.py', title: 'on a terminal', tty: TERMINAL },
  { entry: 'main.py', folder: 'python-packages', title: 'with packages of the user', end: { exitCode: 0 } },
];

const JAVASCRIPT: Case[] = [
  { entry: 'hello.js', end: { exitCode: 0 } },
  { entry: 'state.js', args: ['--flag', 'ünï', ''], env: { GREETING: 'hello=there' } },
  { entry: 'state.js', title: 'with nothing given' },
  { entry: 'state.mjs', args: ['x'] },
  { entry: '/workspace/hello.js' },
  { entry: './shop/../hello' },
  { entry: 'nowhere.js', end: { exitCode: 1 } },
  { entry: 'nowhere.mjs', end: { exitCode: 1 } },
  { entry: 'package' },
  { entry: 'package/entry.js' },
  { entry: 'uncaught.js', end: { exitCode: 1 } },
  { entry: 'uncaught.mjs', end: { exitCode: 1 } },
  { entry: 'typed.ts', args: ['x'], end: { exitCode: 1 } },
  { entry: 'typed.mts', end: { exitCode: 1 } },
  { entry: 'detected.js', end: { exitCode: 1 } },
  { entry: 'interplay.cjs', end: { exitCode: 0 } },
  { entry: 'syntax_error.js' },
  { entry: 'syntax_error.mjs' },
  { entry: 'missing_module.js' },
  { entry: 'missing_module.mjs' },
  ...each('throws.js', [
    'string',
    'null',
    'object',
    'reject',
    'reject-value',
    'timer',
    'emitter',
    'handler',
    'overflow',
  ]),
  ...each('exits.js', ['code', 'exitCode', 'in-exit', 'flush', 'signal', 'kill', 'return']),
  { entry: 'unsettled.mjs', end: { exitCode: 13 } },
  { entry: 'stack.js' },
  { entry: 'order.js' },
  { entry: 'warns.js' },
  { entry: 'workers.js' },
  { entry: 'processes.js', env: { GREETING: 'hello' } },
  { entry: 'cluster.js' },
  { entry: 'stdin.js', stdin: 'Ada\nsecond\nlast without newline' },
  { entry: 'stdin_sync.js', stdin: 'Ada\nsecond' },
  { entry: 'interrupted.js', react: [{ to: 'ready\n', signal: 2 }], end: { signal: 2 } },
  { entry: 'handled.js', react: [{ to: 'ready\n', signal: 15 }], end: { exitCode: 9 } },
  { entry: 'text.js', args: ['ü', '🎈'] },
  { entry: 'terminal.js', tty: TERMINAL, react: [{ to: 'name? ', stdin: 'Ada\n' }], end: { exitCode: 1 } },
];

/** The same in every run of a program, warm or cold, would be an accident: process ids, addresses, temporary names. */
function withoutAccidents(output: Buffer): string {
  return output
    .toString('latin1')
    .replace(/\(node:\d+\)/g, '(node:PID)')
    .replace(/\/mp-\w{8}/g, '/mp-NAME')
    .replace(/0x[0-9a-f]{6,16}/g, '0xADDRESS');
}

function observable(end: RunEnd) {
  return {
    exitCode: end.exitCode,
    signal: end.signal,
    stdout: withoutAccidents(end.stdout),
    stderr: withoutAccidents(end.stderr),
  };
}

/** A container that another run had before: there each interpreter is forked. */
class UsedSandbox {
  readonly #runtime: TestRuntime;
  readonly #sandbox: Sandbox;
  #user = 0;

  private constructor(runtime: TestRuntime, sandbox: Sandbox) {
    this.#runtime = runtime;
    this.#sandbox = sandbox;
  }

  static async create(runtime: TestRuntime): Promise<UsedSandbox> {
    const used = new UsedSandbox(runtime, await runtime.sandbox());
    await runtime.runIn(used.#sandbox, { files: `${FIXTURES}python`, entry: 'hello.py', warm: false });
    return used;
  }

  /** The next run, and what can be observed of it: which user it was is an accident. */
  async run(options: RunOptions): Promise<[RunEnd, ReturnType<typeof observable>]> {
    await this.#sandbox.reset(++this.#user);
    const end = await this.#runtime.runIn(this.#sandbox, options);
    const seen = observable(end);
    const user = `${10_001 + this.#user}`;
    return [
      end,
      { ...seen, stdout: seen.stdout.replaceAll(user, 'USER'), stderr: seen.stderr.replaceAll(user, 'USER') },
    ];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#sandbox.dispose();
  }
}

for (const [id, cases, forks] of [
  ['python', PYTHON, true],
  ['javascript', JAVASCRIPT, false],
] as const) {
  describe(`a waiting ${id} interpreter`, function () {
    this.timeout(120_000);
    let runtime: TestRuntime;
    let used: UsedSandbox | undefined;

    before(async function () {
      this.timeout(900_000);
      runtime = await TestRuntime.open(id);
    });

    after(async () => {
      await used?.[Symbol.asyncDispose]();
      await runtime[Symbol.asyncDispose]();
    });

    for (const { title, folder = id, end: expected, ...options } of cases) {
      const given = [...(options.args ?? []), ...(options.tty ? ['(terminal)'] : [])].map((arg) => JSON.stringify(arg));
      const what = [options.entry, ...given, title ?? ''].join(' ').trim();
      it(`runs ${what} as a cold one does`, async () => {
        const files = `${FIXTURES}${folder}`;
        const cold = await runtime.run({ ...options, files, warm: false });
        const warm = await runtime.run({ ...options, files, warm: true });
        assert.equal(cold.warm, false);
        assert.equal(warm.warm, true);
        assert.deepEqual(observable(warm), observable(cold));
        for (const [key, value] of Object.entries(expected ?? {})) assert.equal(warm[key as keyof RunEnd], value, key);
      });

      if (!forks) continue;
      it(`runs ${what} as a cold one does when it was forked for it`, async () => {
        used ??= await UsedSandbox.create(runtime);
        const files = `${FIXTURES}${folder}`;
        const [cold, expectedOutput] = await used.run({ ...options, files, warm: false });
        const [forked, output] = await used.run({ ...options, files, warm: true });
        assert.deepEqual([cold.warm, forked.warm], [false, true]);
        assert.deepEqual(output, expectedOutput);
        for (const [key, value] of Object.entries(expected ?? {}))
          assert.equal(forked[key as keyof RunEnd], value, key);
      });
    }
  });
}

describe('chance', function () {
  this.timeout(900_000);

  for (const [id, entry] of [
    ['python', 'random_state.py'],
    ['javascript', 'random_state.js'],
  ] as const) {
    it(`is another in each run of a ${id} program, though all interpreters waited alike`, async () => {
      await using runtime = await TestRuntime.open(id);
      const values: string[][] = [];
      for (let run = 0; run < 2; run++) {
        const { exitCode, stdout } = await runtime.run({ entry, files: `${FIXTURES}${id}`, warm: true });
        assert.equal(exitCode, 0);
        values.push(stdout.toString().trim().split(' '));
      }
      const [one = [], other = []] = values;
      assert.ok(one.length >= 4);
      assert.deepEqual(
        one.filter((value, index) => value === other[index]),
        [],
      );
    });
  }
});

describe('a JavaScript program that fills its heap', function () {
  this.timeout(900_000);

  for (const warm of [false, true]) {
    it(`is stopped by V8, which says so, before the kernel does (${warm ? 'warm' : 'cold'})`, async () => {
      await using runtime = await TestRuntime.open('javascript');
      const end = await runtime.run({ entry: 'out_of_heap.js', files: `${FIXTURES}javascript`, warm });
      assert.equal(end.signal, 6, end.stderr.toString());
      assert.match(end.stderr.toString(), /JavaScript heap out of memory/);
    });
  }
});
