import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Config, loadConfig, SETTINGS } from '../../src/config.ts';
import { CodeRunnerError } from '../../src/protocol/index.ts';
import { cleanUpAfterEach, temporaryFolder } from '../support/daemon.ts';

cleanUpAfterEach();

type Name = keyof Config;
const NAMES = Object.keys(SETTINGS) as Name[];
/** Values that a kind of setting must refuse, by what it takes. */
const BAD: [RegExp, string[]][] = [
  [/^a whole number/, ['-1', '1.5', '1e3', 'NaN', 'many', '0x10', '99999999999999999999']],
  [/^from .* to .*B$/, ['-1', '64 parsecs', 'NaN', '1e308', '-1MiB', '99999999999 GiB', '10s']],
  [/^from /, ['-1', 'soon', 'NaN', '-1s', '9999999999 d', '10MiB']],
  [/^one of /, ['loud', 'INFO', 'info,debug']],
];
/** Values that a configuration file must not have for any setting. */
const BAD_IN_FILE = [null, true, {}, [1], -1.5];

async function file(contents: string): Promise<{ CODERUNNER_CONFIG: string }> {
  const path = join(await temporaryFolder(), 'config.json');
  await writeFile(path, contents);
  return { CODERUNNER_CONFIG: path };
}

function problem(env: NodeJS.ProcessEnv): CodeRunnerError {
  try {
    loadConfig(env);
  } catch (error) {
    assert.ok(error instanceof CodeRunnerError, String(error));
    assert.equal(error.code, 'bad_setting');
    return error;
  }
  assert.fail('was taken');
}

describe('settings', () => {
  let empty: { CODERUNNER_CONFIG: string };
  beforeEach(async () => {
    empty = await file('{}');
  });

  for (const name of NAMES) {
    const setting = SETTINGS[name];
    describe(setting.env, () => {
      it('has a default that it would take', () => {
        const { default: value } = setting;
        // An empty text stands for what is found out at the start.
        if (value !== '') assert.deepEqual(setting.parse(value), value);
        assert.deepEqual(loadConfig(empty)[name], value);
      });

      for (const value of BAD.find(([takes]) => takes.test(setting.takes))?.[1] ?? []) {
        it(`refuses ${value} by name`, () => {
          const { message } = problem({ ...empty, [setting.env]: value });
          assert.equal(message, `${setting.env} is ${JSON.stringify(value)}, but takes ${setting.takes}.`);
        });
      }

      it('refuses what is no such value in the file, by name', async () => {
        for (const value of BAD_IN_FILE) {
          const { message } = problem(await file(JSON.stringify({ [name]: value })));
          assert.ok(message.startsWith(`${name} in the configuration file is ${JSON.stringify(value)}`), message);
        }
      });
    });
  }

  it('have names, variables and descriptions of their own', () => {
    const settings = NAMES.map((name) => SETTINGS[name]);
    assert.equal(new Set(settings.map(({ env }) => env)).size, settings.length);
    for (const { env, description } of settings) {
      assert.match(env, /^CODERUNNER_[A-Z_]+$/);
      assert.match(description, /\.$/);
    }
  });

  it('keep to their range, with both ends', () => {
    const port = (value: string) => loadConfig({ ...empty, CODERUNNER_PORT: value }).port;
    assert.deepEqual([port('0'), port('65535'), port(' 80 ')], [0, 65_535, 80]);
    problem({ ...empty, CODERUNNER_PORT: '65536' });
    const wall = (value: string) => loadConfig({ ...empty, CODERUNNER_MAX_WALL: value }).maxWall;
    assert.deepEqual([wall('1s'), wall('1000'), wall('2 min'), wall('30d')], [1_000, 1_000, 120_000, 2_592_000_000]);
    problem({ ...empty, CODERUNNER_MAX_WALL: '999ms' });
    problem({ ...empty, CODERUNNER_MAX_WALL: '0' });
    const memory = (value: string) => loadConfig({ ...empty, CODERUNNER_MAX_MEMORY: value }).maxMemory;
    assert.deepEqual([memory('64MiB'), memory('1.5 GB'), memory('512m')], [2 ** 26, 1.5e9, 2 ** 29]);
  });

  it('take lists as people write them', () => {
    const hosts = (value: string) => loadConfig({ ...empty, CODERUNNER_ALLOWED_HOSTS: value }).allowedHosts;
    assert.deepEqual(hosts(' a.example , b.example:80,, '), ['a.example', 'b.example:80']);
  });

  it('come from the environment before the file, and from the command line before both', async () => {
    const env = await file('{"port": 1000, "host": "::1", "allowedHosts": ["x"], "maxWall": "5 min"}');
    const config = loadConfig({ ...env, CODERUNNER_PORT: '2000' }, { poolSize: 7 });
    assert.deepEqual(
      [config.port, config.host, config.allowedHosts, config.maxWall, config.poolSize],
      [2_000, '::1', ['x'], 300_000, 7],
    );
    assert.equal(loadConfig({ ...env, CODERUNNER_PORT: '2000' }, { port: 3_000 }).port, 3_000);
    assert.equal(loadConfig({ ...env, CODERUNNER_PORT: '' }).port, 1_000, 'an empty variable is none');
  });

  it('make folders absolute, so that it does not matter where the daemon was started', () => {
    assert.equal(loadConfig({ ...empty, CODERUNNER_DATA_DIR: 'data' }).dataDir, join(process.cwd(), 'data'));
  });

  it('that nobody knows are refused by name, so that a slip of the pen is seen', async () => {
    assert.match(problem(await file('{"prot": 1}')).message, /sets "prot", which is no setting/);
  });

  it('in a file that is broken, no object or not there: the file is named', async () => {
    for (const contents of ['', '{', '[1]', '"x"', 'null']) {
      const env = await file(contents);
      assert.ok(problem(env).message.includes(env.CODERUNNER_CONFIG), contents);
    }
    const gone = join(await temporaryFolder(), 'gone.json');
    assert.match(problem({ CODERUNNER_CONFIG: gone }).message, /gone\.json cannot be read/);
  });
});
