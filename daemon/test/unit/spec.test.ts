import assert from 'node:assert/strict';
import fc from 'fast-check';
import { loadConfig } from '../../src/config.ts';
import { CodeRunnerError, type ErrorCode, type RunFile, type RunRequest } from '../../src/protocol/index.ts';
import { admit } from '../../src/runs/spec.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import { parseRuntime, type Runtime } from '../../src/runtimes/runtime.ts';

const config = loadConfig({ CODERUNNER_DATA_DIR: '/nowhere' });
const MAIN: RunFile = { path: 'main.py', content: 'print(1)' };

let runtimes: Runtime[];

before(async () => {
  ({ runtimes } = await loadRuntimes());
});

function take(request: Partial<RunRequest>) {
  return admit({ files: [MAIN], ...request }, runtimes, config);
}

/** The refusal: its code, that it is one sentence that names the offender, and that there is a way out. */
function refused(request: Partial<RunRequest>, code: ErrorCode, names: string | RegExp): CodeRunnerError {
  let error: unknown;
  try {
    take(request);
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof CodeRunnerError, `was taken, or failed otherwise: ${error}`);
  assert.equal(error.code, code);
  if (typeof names === 'string') assert.ok(error.message.includes(names), error.message);
  else assert.match(error.message, names);
  assert.match(error.message, /\.$/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  assert.doesNotMatch(error.message, /[\x00-\x1f\x7f]/, 'a sentence on one line');
  assert.ok(error.message.length < 600, 'however long the offender is');
  assert.notEqual(error.hint, '');
  return error;
}

const withPath = (path: string): Partial<RunRequest> => ({ files: [MAIN, { path, content: '' }], entry: 'main.py' });

describe('a run that is admitted', () => {
  it('needs no more than one file: the rest comes from the language', () => {
    const spec = take({});
    assert.equal(spec.runtime, 'python');
    assert.equal(spec.entry, 'main.py');
    assert.deepEqual(spec.limits, runtimes.find(({ id }) => id === 'python')?.limits);
    assert.deepEqual([spec.args, spec.env, spec.stdin, spec.tty, spec.priority], [[], {}, undefined, null, 0]);
  });

  it('finds the language by id, by alias in any case, and by the entry’s ending', () => {
    assert.equal(take({ runtime: 'python' }).runtime, 'python');
    assert.equal(take({ runtime: 'PY' }).runtime, 'python');
    assert.equal(take({ files: [{ path: 'src/App.MJS', content: '' }] }).runtime, 'javascript');
  });

  it('finds the entry: the named one, the only file, or the language’s usual name', () => {
    const files = [MAIN, { path: 'lib/other.py', content: '' }];
    assert.equal(take({ files, runtime: 'python' }).entry, 'main.py');
    assert.equal(take({ files, entry: 'lib/other.py' }).entry, 'lib/other.py');
    assert.equal(take({ files: [{ path: 'x.txt', content: '' }], runtime: 'python' }).entry, 'x.txt');
  });

  it('may ask for limits from the least to the most', () => {
    const most = {
      wallMs: config.maxWall,
      cpuMs: config.maxCpu,
      memoryBytes: config.maxMemory,
      outputBytes: config.maxOutput,
      fileBytes: config.workspaceBytes,
    };
    const least = { wallMs: 1, cpuMs: 1, memoryBytes: 16 * 2 ** 20, outputBytes: 1, fileBytes: 1 };
    const { pids } = take({}).limits;
    assert.deepEqual(take({ limits: most }).limits, { ...most, pids });
    assert.deepEqual(take({ limits: least }).limits, { ...least, pids });
  });

  it('gets a language’s limits cut to what the daemon allows', () => {
    const strict = { ...config, maxWall: 1_000 };
    assert.equal(admit({ files: [MAIN] }, runtimes, strict).limits.wallMs, 1_000);
  });

  it('takes names of any script, spaces and quotes, and contents of any bytes', () => {
    for (const path of ['höhe/ß.py', '日本語.py', '🎉 party.py', "it's $(me) `x`;.py", '-rf.py', '...', 'a\\b', '.env'])
      assert.equal(take(withPath(path)).files[1]?.path, path);
    take({ files: [{ path: 'main.py', content: 'AP8=', encoding: 'base64' }] });
  });
});

describe('what a language lets a run choose', () => {
  const std = { description: 'Standard', values: ['17', '20'], default: '20' };
  const colour = { description: 'Colour', values: ['red', 'blue'], default: 'red' };
  const file = {
    id: 'tiny',
    name: 'Tiny',
    version: '1',
    extensions: ['.tiny'],
    entry: 'main.tiny',
    run: { argv: ['t'] },
  };
  const tiny = parseRuntime(JSON.stringify({ ...file, options: { std, colour } }), '/tiny') as Runtime;
  const choose = (options?: Record<string, string>) =>
    admit({ files: [{ path: 'main.tiny', content: '' }], ...(options ? { options } : {}) }, [tiny], config).options;

  it('is what is usual where the run chooses nothing', () => {
    assert.deepEqual(choose(), { std: '20', colour: 'red' });
    assert.deepEqual(choose({ std: '17' }), { std: '17', colour: 'red' });
    assert.deepEqual(take({}).options, {});
  });

  const bad: [string, () => unknown, RegExp][] = [
    ['an unknown name, telling the known ones', () => choose({ standard: '17' }), /"standard".*std, colour\.$/],
    [
      'an unknown value, telling the known ones',
      () => choose({ std: '17; rm -rf /' }),
      /std is "17; rm -rf \/".*17, 20\.$/,
    ],
    ['a name that every object has', () => choose(JSON.parse('{"__proto__": "17"}')), /"__proto__"/],
    [
      'any name, where there is nothing to choose',
      () => take({ options: { std: '17' } }),
      /Python has no option "std"/,
    ],
  ];
  for (const [what, submit, message] of bad) {
    it(`is refused with ${what}`, () => {
      assert.throws(submit, (error: CodeRunnerError) => error.code === 'bad_request' && message.test(error.message));
    });
  }
});

describe('a run that is refused', () => {
  describe('because of its language or entry', () => {
    it('names the unknown runtime and those there are', () => {
      const { message } = refused({ runtime: 'cobol' }, 'unknown_runtime', '"cobol"');
      assert.match(message, /javascript, python/);
    });
    it('says that there are none where no runtime could be loaded', () => {
      assert.throws(() => admit({ files: [MAIN] }, [], config), /There are: none\.$/m);
    });
    it('names the file that no language is for', () => {
      refused({ files: [{ path: 'a.xyz', content: '' }] }, 'unknown_runtime', '"a.xyz"');
    });
    it('names the entry that is not among the files', () => {
      refused({ entry: 'gone.py' }, 'entry_missing', '"gone.py"');
      refused({ entry: './main.py' }, 'entry_missing', '"./main.py"');
      refused({ entry: '../main.py' }, 'entry_missing', '"../main.py"');
    });
    it('says so when it brings no files, or neither runtime nor entry', () => {
      refused({ files: [], runtime: 'python' }, 'entry_missing', 'no files');
      refused({ files: [MAIN, { path: 'b.py', content: '' }] }, 'entry_missing', 'neither a runtime nor an entry');
    });
    it('shows an offender of any length and kind on one line', () => {
      refused({ runtime: `${'x'.repeat(5_000)}\n` }, 'unknown_runtime', 'xxx…');
      refused({ runtime: 'a\nb\0' }, 'unknown_runtime', 'a\u{fffd}b');
    });
  });

  describe('because of a path', () => {
    const cases: [string, string, RegExp][] = [
      ['that goes up', '../escape.py', /"\.\.\/escape\.py" goes out of the workspace/],
      ['that goes up in the middle', 'a/../../b.py', /goes out of the workspace/],
      ['that goes up and comes back', 'a/../b.py', /goes out of the workspace/],
      ['that is absolute', '/etc/passwd', /"\/etc\/passwd" is absolute/],
      ['that is absolute on Windows', 'C:\\x.py', /is absolute/],
      ['with a newline', 'a\nb.py', /control character/],
      ['with a NUL', 'a\0b.py', /control character/],
      ['with a DEL', 'a\x7f.py', /control character/],
      ['of 5,000 characters', `${'d/'.repeat(2_500)}x`, /longer than 4,095 bytes/],
      ['with a name of 5,000 characters', 'x'.repeat(5_000), /longer than 4,095 bytes/],
      ['with a name of 256 bytes', `${'é'.repeat(128)}`, /more than 255 bytes/],
      ['that is empty', '', /is empty/],
      ['with an empty part', 'a//b', /empty part/],
      ['that ends in a slash', 'a/', /empty part/],
      ['with a dot for a folder', './b', /empty part/],
      ['with half a character', 'a\ud800.py', /not valid Unicode/],
    ];
    for (const [what, path, names] of cases) {
      it(`names one ${what}`, () => {
        const error = refused(withPath(path), 'bad_path', names);
        assert.deepEqual(error.details, { path: path.slice(0, 4_095) });
      });
    }

    it('names what is there twice, also where only the case or the way of writing accents differs', () => {
      refused(withPath('main.py'), 'duplicate_path', '"main.py" is there twice');
      refused(withPath('MAIN.py'), 'duplicate_path', '"MAIN.py" and "main.py" differ only in case');
      const accents = [
        { path: '\u00e9.py', content: '' },
        { path: 'e\u0301.py', content: '' },
      ];
      refused({ files: accents, runtime: 'python' }, 'duplicate_path', 'differ only in case');
    });

    it('names the file that is a folder as well, whichever comes first', () => {
      const [file, inside] = [
        { path: 'lib', content: '' },
        { path: 'lib/a.py', content: '' },
      ];
      refused({ files: [file, inside], runtime: 'python' }, 'bad_path', '"lib" is a file and a folder at once');
      refused({ files: [inside, file], runtime: 'python' }, 'bad_path', '"lib" is a file and a folder at once');
      refused(
        { files: [file, { path: 'LIB/deep/a.py', content: '' }], runtime: 'python' },
        'bad_path',
        '"lib" is a file and a folder at once',
      );
    });

    it('never lets one through that leaves the workspace', () => {
      const part = fc.oneof(
        fc.constantFrom('..', '.', '', 'a', 'b', 'C:', '\\', '~', 'x'.repeat(300)),
        fc.string({ unit: 'binary', maxLength: 6 }),
      );
      fc.assert(
        fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), (parts) => {
          const path = parts.join('/');
          try {
            admit({ files: [{ path, content: '' }], runtime: 'python' }, runtimes, config);
          } catch (error) {
            assert.ok(error instanceof CodeRunnerError);
            assert.equal(error.code, 'bad_path');
            return;
          }
          assert.ok(!path.startsWith('/') && Buffer.byteLength(path) <= 4_095 && path.isWellFormed());
          for (const name of path.split('/'))
            assert.ok(name !== '' && name !== '.' && name !== '..' && Buffer.byteLength(name) <= 255);
        }),
        { numRuns: 2_000 },
      );
    }).timeout(60_000);

    it('takes every ordinary one as it is', () => {
      const name = fc.stringMatching(/^[A-Za-z0-9_ äöü日本.-]{1,40}$/).filter((text) => !/^\.+$/.test(text));
      fc.assert(
        fc.property(fc.array(name, { minLength: 1, maxLength: 10 }), (parts) => {
          const path = parts.join('/');
          assert.equal(admit({ files: [{ path, content: '' }], runtime: 'python' }, runtimes, config).entry, path);
        }),
      );
    });
  });

  describe('because it is too much', () => {
    it('says how many files there are and how many are taken', () => {
      const files = Array.from({ length: 100_000 }, (_, index) => ({ path: `f${index}`, content: '' }));
      refused({ files, runtime: 'python' }, 'too_many_files', '100,000 files; at most 10,000');
    });
    it('names a file of 200 MB, its size and the setting', () => {
      const content = 'x'.repeat(200_000_000);
      const error = refused({ files: [{ path: 'big.py', content }] }, 'too_large', '"big.py" has 191 MiB');
      assert.match(error.message, /at most 32 MiB are taken \(CODERUNNER_MAX_FILE_BYTES\)/);
      assert.deepEqual(error.details, { sizeBytes: 200_000_000, mostBytes: config.maxFileBytes });
    });
    it('measures bytes, not characters, and base64 by what it stands for', () => {
      const small = { ...config, maxFileBytes: 10 };
      const check = (file: RunFile) => admit({ files: [file], runtime: 'python' }, runtimes, small);
      check({ path: 'a', content: 'x'.repeat(10) });
      check({ path: 'a', content: Buffer.alloc(10).toString('base64'), encoding: 'base64' });
      assert.throws(() => check({ path: 'a', content: 'é'.repeat(6) }), { code: 'too_large' });
      assert.throws(() => check({ path: 'a', content: Buffer.alloc(11).toString('base64'), encoding: 'base64' }), {
        code: 'too_large',
      });
    });
    it('names the sum of all files', () => {
      const content = 'x'.repeat(25 * 2 ** 20);
      const files = ['a', 'b', 'c', 'd'].map((path) => ({ path, content }));
      refused({ files, runtime: 'python' }, 'too_large', 'The files of the run');
    });
  });

  describe('because of a limit', () => {
    const bad: [string, unknown, string][] = [
      ['0', 0, 'is 0,'],
      ['−1', -1, 'is -1,'],
      ['1e308', 1e308, 'is 1e+308,'],
      ['NaN', Number.NaN, 'is NaN,'],
      ['infinity', Number.POSITIVE_INFINITY, 'is Infinity,'],
      ['text', '5', 'is "5",'],
      ['null', null, 'is null,'],
      ['true', true, 'is true,'],
      ['a fraction', 1.5, 'is 1.5,'],
      ['a list', [5], 'is [5],'],
      ['more than can be counted exactly', 2 ** 53, 'is 9007199254740992,'],
      ['more than the daemon allows', 2 ** 50, 'is 1125899906842624,'],
    ];
    for (const name of ['wallMs', 'cpuMs', 'memoryBytes', 'outputBytes', 'fileBytes'] as const) {
      for (const [what, value, shown] of bad) {
        it(`names ${name} of ${what}, and what it takes`, () => {
          const error = refused({ limits: { [name]: value } }, 'bad_limit', `limits.${name} ${shown}`);
          assert.match(error.message, /takes a whole number from \d+ \(.+\) to \d+ \(.+\)\.$/);
          assert.deepEqual(error.details, { limit: name });
        });
      }
    }
    it('names memory that no program fits in', () => {
      refused({ limits: { memoryBytes: 1_000 } }, 'bad_limit', '16777216 (16 MiB)');
    });
  });

  describe('because of text that no program can be given', () => {
    for (const [what, bad] of [
      ['a NUL', 'a\0b'],
      ['half a character', 'x\udfff'],
    ] as const) {
      it(`finds ${what} in an argument, a variable and a glob`, () => {
        refused({ args: ['fine', bad] }, 'bad_request', 'An argument has');
        refused({ env: { FINE: 'x', BAD: bad } }, 'bad_request', 'An environment variable has');
        refused({ collect: [bad] }, 'bad_request', 'A glob of produced files has');
      });
    }
    it('finds half a character in contents and input, which would be changed silently', () => {
      refused({ files: [{ path: 'main.py', content: '\ud800' }] }, 'bad_request', '"main.py" are not valid Unicode');
      refused({ stdin: '\ud800' }, 'bad_request', 'stdin');
    });
    it('finds names that no variable can have', () => {
      for (const name of ['A=B', '', '1A', 'A B', 'A\0', 'é'])
        refused({ env: { [name]: 'x' } }, 'bad_request', 'is no name for an environment variable');
    });
    it('finds contents that are not base64, whole or in part', () => {
      for (const content of ['%%%', 'A', 'AAAAA', 'AA==AA==', 'AA=', '====', 'AAAA\n', '__-_'])
        refused(
          { files: [{ path: 'main.py', content, encoding: 'base64' }] },
          'bad_request',
          '"main.py" are not base64',
        );
    });
  });
});
