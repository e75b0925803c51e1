/** `runtime.json`: what it may say, and how a mistake in it is told. */
import assert from 'node:assert/strict';
import type { Flaw } from '../../src/runtimes/flaw.ts';
import { expandArgv, parseRuntime, type Runtime } from '../../src/runtimes/runtime.ts';

const LEAST = {
  id: 'tiny',
  name: 'Tiny',
  version: '1',
  extensions: ['.tiny'],
  entry: 'main.tiny',
  run: { argv: ['tiny', '${entry}', '${args}'] },
};
const STD = { description: 'Language standard', values: ['17', '20'], default: '20' };

/** As people write it, a field a line. */
function parse(more: object): Runtime | Flaw[] {
  return parseRuntime(JSON.stringify({ ...LEAST, ...more }, null, 2), '/runtimes/tiny');
}

function flawsOf(read: Runtime | Flaw[]): Flaw[] {
  assert.ok(Array.isArray(read), 'was taken');
  return read;
}

function taken(more: object): Runtime {
  const runtime = parse(more);
  assert.ok(!Array.isArray(runtime), `refused: ${JSON.stringify(runtime)}`);
  return runtime;
}

describe('a runtime.json', () => {
  it('needs to say little; the rest is what is usual', () => {
    const runtime = taken({ compile: { argv: ['tinyc'] } });
    assert.deepEqual(
      [runtime.options, runtime.services, runtime.results, runtime.install],
      [{}, [], undefined, undefined],
    );
    assert.deepEqual(runtime.compile, {
      argv: ['tinyc'],
      warm: false,
      outputs: undefined,
      limits: { wallMs: 60_000, cpuMs: 60_000, outputBytes: 2 ** 20, fileBytes: 2 ** 28 },
      memoryBytes: undefined,
    });
  });

  it('gives each stage limits of its own', () => {
    const { compile, limits } = taken({
      compile: { argv: ['tinyc'], memory: '1GiB', limits: { wall: '90s', file: '1MiB' } },
      limits: { memory: '64MiB', wall: '5s', pids: 8 },
    });
    assert.deepEqual([compile?.memoryBytes, limits.memoryBytes], [2 ** 30, 2 ** 26]);
    assert.deepEqual(
      [compile?.limits.wallMs, compile?.limits.cpuMs, compile?.limits.fileBytes],
      [90_000, 60_000, 2 ** 20],
    );
    assert.deepEqual([limits.wallMs, limits.pids], [5_000, 8]);
  });

  it('says what a run may choose, and where that goes', () => {
    const { run, options } = taken({
      options: { std: STD },
      run: { argv: ['tiny', '-std=c++${option.std}', '${args}'] },
    });
    assert.deepEqual(options, { std: STD });
    const values = { entry: 'a.tiny', args: ['${option.std}', '${entry}'], options: { std: '17' } };
    assert.deepEqual(
      expandArgv(run.argv, values),
      ['tiny', '-std=c++17', '${option.std}', '${entry}'],
      'arguments are nobody’s variables',
    );
  });

  it('keeps an entry from being read as an option', () => {
    for (const entry of ['-v.tiny', '@options.tiny']) {
      const values = { entry, args: [], options: {} };
      assert.deepEqual(expandArgv(['tiny', '${entry}'], values), ['tiny', `./${entry}`]);
    }
  });

  const compile = (more: object) => ({ compile: { argv: ['tinyc'], ...more } });
  const install = (more: object) => ({
    install: {
      tool: 'tiny',
      detect: [{ file: 'tiny.txt' }],
      registries: ['registries'],
      argv: ['get', '${manifest}'],
      output: 'packages',
      target: '/packages',
      ...more,
    },
  });
  const refused: [string, object, RegExp][] = [
    ['a field that nobody knows', { colour: 'red' }, /"colour"/],
    ['a field of a stage that nobody knows', compile({ cacheKey: 'x' }), /^compile has "cacheKey"/],
    ['a limit that nobody knows', compile({ limits: { memory: '1MiB' } }), /^compile\.limits has "memory"/],
    ['no way to run it', { run: undefined }, /lacks "run"/],
    [
      'a compile time of 0',
      compile({ limits: { wall: '0' } }),
      /^compile\.limits\.wall is "0", but takes a time from 1ms/,
    ],
    ['a negative compile time', compile({ limits: { cpu: '-5s' } }), /^compile\.limits\.cpu is "-5s", but takes/],
    ['a compile time of a century', compile({ limits: { wall: '36500d' } }), /^compile\.limits\.wall is "36500d"/],
    [
      'an output of nothing',
      compile({ limits: { output: '0KiB' } }),
      /^compile\.limits\.output is "0KiB", but takes a size/,
    ],
    [
      'a file beyond all numbers',
      compile({ limits: { file: `${'9'.repeat(400)}TiB` } }),
      /^compile\.limits\.file is "9/,
    ],
    ['a time that is a number', compile({ limits: { wall: 5 } }), /^compile\.limits\.wall is 5, but takes text$/],
    ['a time without sense', compile({ limits: { wall: 'soon' } }), /^compile\.limits\.wall is "soon"/],
    [
      'memory in which nothing starts',
      compile({ memory: '1MiB' }),
      /^compile\.memory is "1MiB", but takes a size from 16 MiB/,
    ],
    ['a list for memory', compile({ memory: ['1GiB'] }), /^compile\.memory is a list, but takes text$/],
    ['limits of a run that are 0', { limits: { wall: '0s' } }, /^limits\.wall is "0s"/],
    ['too little memory for a run', { limits: { memory: '15MiB' } }, /^limits\.memory is "15MiB"/],
    ['a manifest in another folder', install({ detect: [{ file: '../tiny.txt' }] }), /^install\.detect\.0\.file/],
    ['packages that come from nowhere', install({ registries: undefined }), /^install lacks "registries"/],
    ['packages left outside the workspace', install({ output: '/packages' }), /^install\.output/],
    ['a manifest’s pattern that is none', install({ detect: [{ file: 'a', when: '(' }] }), /^install\.detect\.0\.when/],
    [
      'a program’s entry where packages are installed',
      install({ argv: ['get', '${entry}'] }),
      /variables are \$\{manifest\}/,
    ],
    ['packages inside the workspace’s names', install({ target: 'packages' }), /^install\.target/],
    ['outputs outside the folder that is ours', compile({ outputs: ['build/**'] }), /^compile\.outputs\.0 /],
    ['outputs that climb out of it', compile({ outputs: ['.coderunner/../x'] }), /^compile\.outputs\.0 /],
    [
      'a warm compiler without a warm interpreter',
      compile({ warm: true }),
      /^compile\.warm is true, but there is no warm/,
    ],
    ['an option without values', { options: { std: { ...STD, values: [] } } }, /^options\.std\.values/],
    ['a default that is no value', { options: { std: { ...STD, default: '98' } } }, /^options\.std\.default is "98"/],
    ['an option with a strange name', { options: { 'a b': STD } }, /^options has "a b"/],
    ['an option that is not there', compile({ argv: ['tinyc', '-${option.std}'] }), /^compile\.argv has .*no "std"/],
    ['a variable inside an item', { run: { argv: ['tiny', 'x${entry}'] } }, /^run\.argv has "x\$\{entry\}"/],
    ['a variable that nobody knows', { run: { argv: ['tiny', '${home}'] } }, /^run\.argv has "\$\{home\}"/],
    ['a pattern that is none', { diagnostics: [{ pattern: '(', file: 1, line: 2 }] }, /^diagnostics\.0\.pattern/],
    ['a severity that is no group', { diagnostics: [{ pattern: 'x', file: 1, line: 2, severity: 0 }] }, /severity/],
  ];
  for (const [what, more, message] of refused) {
    it(`is refused with ${what}, naming the field`, () => {
      const [flaw, ...others] = flawsOf(parse(more));
      assert.deepEqual(others, []);
      assert.equal(flaw?.file, '/runtimes/tiny/runtime.json');
      assert.match(flaw.message.replace(/\.$/, ''), message);
      assert.match(flaw.message, /[.?]$/);
    });
  }
});
