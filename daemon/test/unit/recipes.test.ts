/** What containers are started with. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { type Kind, Recipes } from '../../src/pool/recipes.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';

describe('a container’s agent', () => {
  let python: Runtime;
  let javascript: Runtime;
  before(async () => {
    const { runtimes } = await loadRuntimes();
    const named = (id: string) => runtimes.find((runtime) => runtime.id === id) as Runtime;
    [python, javascript] = [named('python'), named('javascript')];
  });

  const forks = (runtime: Runtime, mount?: Kind['mount']): boolean => {
    const recipes = new Recipes(loadConfig({}), 'test');
    const { command } = recipes.next({ runtime, image: 'image', memoryBytes: 2 ** 28, mount });
    return command.slice(0, command.indexOf('--')).includes('--warm-forks');
  };

  it('may have interpreters forked where the language’s can', () => {
    assert.deepEqual([forks(python), forks(javascript)], [true, false]);
  });

  it('has none forked where packages are, which would be root’s to load', () => {
    assert.equal(forks(python, { volume: 'packages', target: '/packages', readOnly: true }), false);
  });
});
