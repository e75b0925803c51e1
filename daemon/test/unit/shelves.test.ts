/** What the pool remembers of the kinds of containers that runs ask for. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { MemoryBudget } from '../../src/pool/memory.ts';
import { Recipes } from '../../src/pool/recipes.ts';
import { Shelves } from '../../src/pool/shelves.ts';
import type { Images } from '../../src/runtimes/images.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';

describe('what single runs ask for beside a language', () => {
  let python: Runtime;
  let shelves: Shelves;
  before(async () => {
    const { runtimes } = await loadRuntimes();
    python = runtimes.find(({ id }) => id === 'python') as Runtime;
  });
  const open = (env: NodeJS.ProcessEnv) => {
    const config = loadConfig(env);
    return new Shelves({
      config,
      images: { tag: ({ id }) => id } as Pick<Images, 'tag'> as Images,
      recipes: new Recipes(config, 'test'),
      memory: new MemoryBudget(),
      runtimes: [python],
      used: [],
      now: () => 0,
      onExpired: () => {},
    });
  };
  beforeEach(() => {
    shelves = open({});
  });
  afterEach(() => shelves.close());

  const sizes = () => shelves.known.map(({ memoryBytes }) => memoryBytes - python.limits.memoryBytes);

  it('is forgotten with the last of them, however many sizes of memory are asked for; a language’s own never', () => {
    for (let extra = 1; extra <= 3; extra++) {
      const shelf = shelves.of(python, python.limits.memoryBytes + extra);
      shelf.leased = 2;
      shelf.leased--;
      shelves.forget(shelf);
      assert.deepEqual(sizes(), [0, extra]);
      shelf.leased--;
      shelves.forget(shelf);
      assert.deepEqual(sizes(), [0]);
    }
    shelves.forget(shelves.of(python, python.limits.memoryBytes));
    assert.deepEqual(sizes(), [0]);
  });

  it('is kept for nobody where no container may wait', () => {
    using stack = new DisposableStack();
    const none = stack.adopt(open({ CODERUNNER_POOL_SIZE: '0' }), (opened) => opened.close());
    const mount = { volume: 'packages', target: '/packages', readOnly: true };
    const shelf = none.of(python, python.limits.memoryBytes, mount);
    none.served(shelf);
    assert.equal(shelf.expiry, undefined);
    none.forget(shelf);
    assert.ok(!none.known.includes(shelf));
  });
});
