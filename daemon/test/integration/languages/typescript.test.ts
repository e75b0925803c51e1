/** What TypeScript promises beyond what all languages do: all of the language, as its tsconfig.json says, and types that are checked. */
import assert from 'node:assert/strict';
import { languageOf } from '../../../src/lsp/language.ts';
import { problemsIn } from '../../../src/lsp/problems.ts';
import { type Finished, type Program, TestDaemon } from '../../helpers/daemon.ts';

/** A workspace as its files' texts. */
type Files = Record<string, string>;

interface Case extends Omit<Program, 'files'> {
  title: string;
  files: Files;
  stdout: string;
  /** By default nothing. */
  stderr?: RegExp;
  exitCode?: number;
}

const config = (compilerOptions: object) => JSON.stringify({ compilerOptions });
const KETTLE =
  'export interface Kettle { water: number }\nexport function boil({ water }: Kettle): string {\n  return `${water} l`;\n}\n';

const CASES: Case[] = [
  {
    title: 'enums, namespaces and parameter properties',
    files: {
      'main.ts': `enum Tea { Green = 1, Black }
const enum Size { Cup = 'cup' }
namespace Shop { export const open = true; }
class Pot { constructor(public readonly size: Size, private tea = Tea.Black) {} show() { return \`\${this.size} of \${Tea[this.tea]}\`; } }
console.log(new Pot(Size.Cup).show(), Shop.open, Tea.Green satisfies number);
`,
    },
    stdout: 'cup of Black true 1\n',
  },
  {
    title: 'imports with and without endings, of types and by the paths of tsconfig.json, which may have comments',
    files: {
      'tsconfig.json': `{ "extends": "./base.json", // ours
  "compilerOptions": { "paths": { "~/*": ["./src/*"], "kettle": ["./src/kettle"], }, } }`,
      'base.json': config({ module: 'preserve', strict: true }),
      'src/kettle.ts': KETTLE,
      'src/index.ts': "export { boil } from './kettle.js';\n",
      'main.ts': `import { boil } from 'kettle';
import { boil as same, Kettle } from '~/kettle';
import { boil as third } from './src';
const kettle: Kettle = { water: 2 };
console.log(boil(kettle), same === boil, third === boil);
`,
    },
    stdout: '2 l true true\n',
  },
  {
    title: 'the decorators of old, with metadata, where tsconfig.json asks for them',
    files: {
      'tsconfig.json': config({ experimentalDecorators: true, emitDecoratorMetadata: true, target: 'es2020' }),
      'main.ts': `(Reflect as any).metadata = (key: string, value: any) => () => console.log(key, value.name ?? value.map((one: any) => one.name));
function log(target: object, name: string, descriptor: PropertyDescriptor) { console.log('decorated', name, typeof descriptor.value); }
class Pot { @log pour(cups: number): string { return 'poured ' + cups; } }
console.log(new Pot().pour(2));
`,
    },
    stdout:
      "design:returntype String\ndesign:paramtypes [ 'Number' ]\ndesign:type Function\ndecorated pour function\npoured 2\n",
  },
  {
    title: 'the decorators of today',
    files: {
      'main.ts': `function twice<T extends (...args: any[]) => number>(method: T, { name }: ClassMethodDecoratorContext): T {
  return function (this: unknown, ...args: any[]) { console.log(String(name)); return 2 * method.apply(this, args); } as T;
}
class Sum { @twice add(a: number, b: number): number { return a + b; } }
console.log(new Sum().add(1, 2));
`,
    },
    stdout: 'add\n6\n',
  },
  {
    title: 'JSX by a function of its own',
    entry: 'main.tsx',
    files: {
      'tsconfig.json': config({ jsx: 'react', jsxFactory: 'h', strict: true }),
      'main.tsx': `declare global { namespace JSX { interface IntrinsicElements { p: { title: string } } } }
const h = (name: string, props: object, ...children: string[]) => \`<\${name} \${JSON.stringify(props)}>\${children.join('')}\`;
console.log(<p title="x">text</p>);
export {};
`,
    },
    stdout: '<p {"title":"x"}>text\n',
  },
  {
    title: 'CommonJS where tsconfig.json asks for it',
    files: {
      'tsconfig.json': config({ module: 'commonjs', esModuleInterop: true }),
      'main.ts': `import fs from 'fs';
import { boil } from './kettle';
console.log(typeof fs.readFileSync, boil({ water: 1 }), __filename, require.main === module);
`,
      'kettle.ts': KETTLE,
    },
    stdout: 'function 1 l /workspace/main.ts true\n',
  },
  {
    title: 'modules that wait, and know their place',
    files: {
      'main.ts': `await Promise.resolve();
const { boil } = await import('./kettle');
console.log(boil({ water: 3 }), import.meta.filename);
`,
      'kettle.ts': KETTLE,
    },
    stdout: '3 l /workspace/main.ts\n',
  },
  {
    title: 'worker threads',
    files: {
      'main.ts': `import { isMainThread, parentPort, Worker } from 'node:worker_threads';
enum From { Worker = 'worker' }
if (isMainThread) new Worker(new URL(import.meta.url)).on('message', (text: From) => console.log(text));
else parentPort?.postMessage(From.Worker);
`,
    },
    stdout: 'worker\n',
  },
  {
    title: 'an error, told at its place in the source',
    files: {
      'main.ts': `interface Nothing {
  a: 1;
}

enum Tea { Green }
function fail(tea: Tea): never {
  throw new Error(Tea[tea]);
}
fail(Tea.Green);
`,
    },
    stdout: '',
    stderr:
      /^\/workspace\/main\.ts:7\n {2}throw new Error\(Tea\[tea\]\);\n {2}\^\n\nError: Green\n {4}at fail \(\/workspace\/main\.ts:7:9\)\n/,
    exitCode: 1,
  },
  {
    title: 'recursion without an end, to its end',
    files: {
      'main.ts':
        'function deep(n: number): number {\n  return 1 + deep(n + 1);\n}\ntry {\n  deep(0);\n} catch (error) {\n  console.log((error as Error).message);\n}\n',
    },
    stdout: 'Maximum call stack size exceeded\n',
  },
  {
    title: 'a program whose types take no end',
    files: {
      'main.ts': `type Grow<T extends unknown[]> = T['length'] extends 100000 ? T : Grow<[...T, ...T, unknown]>;
const grown: Grow<[unknown]> | undefined = undefined;
console.log(grown);
`,
    },
    stdout: 'undefined\n',
    stderr: /^main\.ts\(2,14\): error TS2\d+: Type /,
  },
  {
    title: 'a program under a tsconfig.json of former times',
    files: {
      'tsconfig.json': config({
        target: 'es5',
        module: 'commonjs',
        moduleResolution: 'node',
        baseUrl: 'src',
        outDir: 'out',
        downlevelIteration: true,
        strict: true,
      }),
      'main.ts': "import { boil } from 'kettle';\nconst no: string = boil({ water: 1 }).length;\nconsole.log(no);\n",
      'src/kettle.ts': KETTLE,
    },
    stdout: '3\n',
    stderr: /^main\.ts\(2,7\): error TS2322: [^\n]*\n$/,
  },
];

describe('TypeScript', function () {
  this.timeout(300_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_800_000);
    daemon = await TestDaemon.start(['typescript']);
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const run = (files: Files, more: Partial<Program> = {}): Promise<Finished> =>
    daemon.run({
      runtime: 'typescript',
      entry: 'main.ts',
      files: Object.entries(files).map(([path, content]) => ({ path, content: Buffer.from(content) })),
      ...more,
    });

  const problems = (finished: Finished) => {
    const [typescript] = daemon.runtimes.map((runtime) => languageOf(runtime));
    assert.ok(typescript);
    return problemsIn(finished.stderr.toString(), typescript.places).map(
      ({ file, line, column, severity, message }) => `${file}:${line + 1}:${(column ?? -1) + 1} ${severity} ${message}`,
    );
  };

  for (const { title, files, stdout, stderr = /^$/, exitCode = 0, ...more } of CASES)
    it(`runs ${title}, waiting or not`, async () => {
      const warm = await run(files, more);
      assert.match(warm.stderr.toString(), stderr);
      assert.equal(warm.stdout.toString(), stdout);
      assert.equal(warm.run.exitCode, exitCode);
      assert.equal(warm.run.warm.interpreter, true);
      // One more file makes it another program, which is checked anew.
      const cold = await run({ ...files, cold: '' }, { ...more, cold: true });
      assert.equal(cold.run.warm.interpreter, false);
      assert.equal(cold.stderr.toString(), warm.stderr.toString());
      assert.equal(cold.stdout.toString(), warm.stdout.toString());
      assert.equal(cold.run.exitCode, exitCode);
    });

  describe('a wrong type', () => {
    const files = {
      'main.ts': "const cups: number = 'two';\nconsole.log(cups);\n",
      'other.ts': 'const x: number = true;\n',
    };

    it('is told at its place, and keeps nothing from running', async () => {
      const finished = await run(files);
      assert.equal(finished.stdout.toString(), 'two\n');
      assert.equal(finished.run.state, 'succeeded');
      assert.deepEqual(problems(finished), [
        "main.ts:1:7 error TS2322: Type 'string' is not assignable to type 'number'.",
      ]);
      assert.deepEqual(
        finished.run.stages.map(({ stage }) => stage),
        ['compile', 'run'],
      );
    });

    it('is told again where nothing changed, without another check', async () => {
      const finished = await run(files);
      assert.deepEqual(problems(finished), [
        "main.ts:1:7 error TS2322: Type 'string' is not assignable to type 'number'.",
      ]);
      assert.equal(finished.run.compileCached, true);
    });

    it('is nobody’s business where checks are off', async () => {
      const finished = await run(files, { options: { check: 'off' } });
      assert.equal(finished.stderr.toString(), '');
      assert.equal(finished.stdout.toString(), 'two\n');
    });
  });

  describe('what cannot be read', () => {
    const files = {
      'main.ts': "console.log('never');\nimport './part';\n",
      'part.ts': 'export const a = 1;\nfunction ( {\n',
    };

    it('is told before anything runs', async () => {
      const finished = await run(files);
      assert.equal(finished.run.state, 'compile_failed');
      assert.equal(finished.stdout.toString(), '');
      assert.equal(problems(finished)[0], 'part.ts:2:10 error TS1003: Identifier expected.');
    });

    it('is told when it is reached where checks are off', async () => {
      const finished = await run(files, { options: { check: 'off' } });
      assert.equal(finished.run.state, 'failed');
      assert.match(problems(finished).join('\n'), /^\/workspace\/part\.ts:2:\d+ error SyntaxError: /);
    });

    it('is a tsconfig.json as well, which is named', async () => {
      const finished = await run({
        'main.ts': 'console.log(1);\n',
        'tsconfig.json': '{ "extends": "./missing.json" }',
      });
      assert.equal(finished.run.state, 'compile_failed');
      assert.match(finished.stderr.toString(), /^error: tsconfig\.json cannot be read: [^\n]*missing\.json[^\n]*\n$/);
    });
  });

  for (const cold of [false, true])
    it(`that fills its memory is told so (${cold ? 'cold' : 'warm'})`, async () => {
      const { run: ended, stderr } = await run(
        { 'main.ts': 'const all: number[][] = [];\nfor (;;) all.push(new Array<number>(1e5).fill(1.5));\n' },
        { cold },
      );
      assert.equal(ended.state, 'out_of_memory', stderr.toString());
    });
});
