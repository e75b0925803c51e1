/** Services beside a program: what a language and a run may ask for, and what that makes of the language. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import type { CodeRunnerError, RunRequest } from '../../src/protocol/index.ts';
import { admit } from '../../src/runs/spec.ts';
import { parseRuntime, type Runtime, withServices } from '../../src/runtimes/runtime.ts';
import { imageName, loadServices, type Service } from '../../src/runtimes/service.ts';

const FILE = {
  id: 'tiny',
  name: 'Tiny',
  version: '1',
  extensions: ['.tiny'],
  entry: 'main.tiny',
  run: { argv: ['t'] },
};

function service(id: string): Service {
  return {
    id,
    name: id,
    version: '1',
    executable: `/opt/${id}`,
    env: { [id]: '/socket' },
    memoryBytes: 1,
    diskBytes: 1,
    pids: 1,
  };
}
const OFFERS = [service('one'), service('two'), service('three')];

function tiny(more: object = {}): Runtime {
  const runtime = parseRuntime(JSON.stringify({ ...FILE, ...more }), '/runtimes/tiny', OFFERS);
  assert.ok(!Array.isArray(runtime), JSON.stringify(runtime));
  return runtime;
}
const ids = (services: readonly Service[]) => services.map(({ id }) => id);

describe('services', () => {
  it('that come with CodeRunner are all well formed, and there is a database among them', async () => {
    const [mariadb] = await loadServices();
    assert.equal(mariadb?.id, 'mariadb');
    assert.equal(mariadb?.executable, '/opt/coderunner/start-mariadb');
    assert.ok(mariadb.memoryBytes > 2 ** 26);
  });

  it('of a language are told to its programs, which a language may have say something else', () => {
    const runtime = tiny({ services: ['two', 'one'], env: { one: 'other' } });
    assert.deepEqual(ids(runtime.services), ['one', 'two']);
    assert.deepEqual(runtime.env, { one: 'other', two: '/socket' });
  });

  it('that nobody knows make a language broken', () => {
    const read = parseRuntime(JSON.stringify({ ...FILE, services: ['four'] }, null, 2), '/runtimes/tiny', OFFERS);
    assert.match(JSON.stringify(read), /four.*one, two, three/);
  });

  it('of a run come to those of its language, in one order whatever the order was', () => {
    const runtime = tiny({ services: ['two'] });
    for (const asked of [
      ['three', 'one'],
      ['one', 'three'],
      ['one', 'two', 'three'],
    ])
      assert.deepEqual(ids(withServices(runtime, asked).services), ['one', 'two', 'three']);
    assert.equal(withServices(runtime, []), runtime);
    assert.deepEqual(withServices(runtime, ['one']).env, { one: '/socket', two: '/socket' });
  });

  it('have a part in the name of the image', () => {
    assert.equal(imageName(tiny()), 'tiny');
    assert.equal(imageName(withServices(tiny(), ['two', 'one'])), 'tiny+one+two');
  });

  describe('that a run asks for', () => {
    const config = loadConfig({});
    const ask = (services: RunRequest['services'], more: object = {}) =>
      admit({ files: [{ path: 'main.tiny', content: '' }], ...(services ? { services } : {}) }, [tiny(more)], config)
        .services;

    it('are kept by name, each once, without those that the language has anyway', () => {
      assert.deepEqual(ask(undefined), []);
      assert.deepEqual(ask(['two', 'one', 'two']), ['one', 'two']);
      assert.deepEqual(ask(['two', 'one'], { services: ['one'] }), ['two']);
    });

    it('are refused by name where there is no such one', () => {
      assert.throws(
        () => ask(['one', 'four\n']),
        (error: CodeRunnerError) =>
          error.code === 'bad_request' &&
          /no service "four.*" here\. There are: one, two, three\.$/.test(error.message),
      );
    });
  });
});
