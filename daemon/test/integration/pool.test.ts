/** Containers that wait: on the real engine, also when it goes away, and when the daemon is killed. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Config } from '../../src/config.ts';
import { findEngine } from '../../src/engine/discovery.ts';
import { instanceFile } from '../../src/http/daemon.ts';
import { CodeRunnerError, type PoolStatus } from '../../src/protocol/index.ts';
import { EngineProxy } from '../support/engine-proxy.ts';
import { DaemonClient, dataFolder } from '../support/live-daemon.ts';
import { OwnEngine } from '../support/own-engine.ts';
import { containersOf, pythonRuntime, TestPool, until } from '../support/test-pool.ts';

const ROOMY = { poolSize: 3, createConcurrency: 2 };

/** Has a container of the pool removed by an engine that does not say when it has. @returns `disposed` resolves when the pool knows */
async function beginRemoval(test: TestPool, proxy: EngineProxy): Promise<{ disposed: Promise<void> }> {
  const lease = await test.lease();
  proxy.isAlwaysRemoving = true;
  const disposed = lease.dispose();
  await until(() => proxy.leftWaiting > 0);
  return { disposed };
}

describe('the pool', () => {
  before(async function () {
    this.timeout(600_000);
    await using _ = await TestPool.open(); // builds the image where it is not there
  });

  it('keeps three of a runtime waiting where nothing else is set', async () => {
    await using test = await TestPool.full();
    assert.equal(test.status.idle, 3);
    assert.equal((await test.containers()).length, 3);
  });

  it('lets a language that nobody used lately wait from its first use on, or from the start where that is set', async () => {
    await using unused = await TestPool.open({ poolSize: 1 }, []);
    await unused.pool.start();
    assert.equal(unused.status.target, 0);
    await using lease = await unused.lease();
    assert.equal(lease.hit, false);
    await until(() => unused.status.idle === 1);
    for (const poolPrewarm of [['python'], ['all']]) {
      await using prewarmed = await TestPool.open({ poolSize: 1, poolPrewarm }, []);
      assert.equal(prewarmed.status.target, 1);
    }
  });

  describe('with packages', () => {
    const volume = `coderunner-test-${process.pid}`;
    const mount = { volume, target: '/packages', readOnly: true };
    const open = async (settings: Partial<Config>) => {
      const test = await TestPool.open({ poolSize: 1, ...settings });
      await test.link.engine.createVolume(volume, {});
      await test.pool.start();
      return test;
    };
    /** Containers that have the packages. */
    const having = async ({ docker }: TestPool) =>
      (await docker.listContainers({ all: true, filters: { volume: [volume] } })).map(({ Id }) => Id);

    it('keeps one more waiting after their first use, which no other run gets', async () => {
      await using test = await open({});
      const first = await test.lease({ mount });
      assert.equal(first.hit, false);
      await first.dispose();
      await until(() => test.pool.status().withPackages === 1);
      await test.whenFull();
      await using other = await test.lease();
      assert.ok(!(await having(test)).includes(other.sandbox.id));
      assert.equal(await test.pool.retire(volume), true);
      assert.deepEqual(await having(test), []);
      assert.equal(await test.link.engine.removeVolume(volume), true);
    });

    it('hands the one that waits to the next run, and lets them not be removed meanwhile', async () => {
      await using test = await open({});
      const first = await test.lease({ mount });
      await first.dispose();
      await until(() => test.pool.status().withPackages === 1);
      const second = await test.lease({ mount });
      assert.equal(second.hit, true);
      assert.equal(await test.pool.retire(volume), false);
      await second.dispose();
      assert.equal(await test.pool.retire(volume), true);
      assert.equal(await test.link.engine.removeVolume(volume), true);
    });

    it('lets it wait no longer than it should', async () => {
      await using test = await open({ poolKeep: 6_000 });
      const lease = await test.lease({ mount });
      await lease.dispose();
      await until(() => test.pool.status().withPackages === 1);
      await until(async () => (await having(test)).length === 0);
      assert.equal(await test.link.engine.removeVolume(volume), true);
    });
  });

  it('hands out one that waits, and puts another in its place', async () => {
    await using test = await TestPool.full(ROOMY);
    const waiting = await test.containers();
    await using lease = await test.lease();
    assert.equal(lease.hit, true);
    assert.ok(waiting.includes(lease.sandbox.id));
    await test.whenFull();
    assert.equal((await test.containers()).length, 4);
    assert.deepEqual([test.status.hits, test.status.misses, test.status.leased], [1, 0, 1]);
  });

  describe('with many runs at once', () => {
    /** A pool of one, on a clock that goes only when the test says so. */
    const open = async (settings: Partial<Config> = {}) => {
      let now = 0;
      const timing = { now: () => now, replanMs: 20 };
      const test = await TestPool.open({ poolSize: 1, ...settings }, undefined, timing);
      await test.pool.start();
      await test.whenFull();
      const pass = (ms: number) => {
        now += ms;
      };
      return { test, pass, [Symbol.asyncDispose]: () => test[Symbol.asyncDispose]() };
    };
    const rush = (test: TestPool, count: number) =>
      Promise.all(
        Array.from({ length: count }, async () => {
          await using _ = await test.lease();
        }),
      );

    it('lets as many wait for the next ones, and no longer when nothing comes', async () => {
      await using opened = await open();
      const { test, pass } = opened;
      const done = rush(test, 4);
      assert.deepEqual([test.status.least, test.status.wanted, test.status.target], [1, 4, 4]);
      await done;
      await test.whenFull();
      assert.equal(test.status.idle, 4);
      const hits = test.status.hits;
      await rush(test, 4);
      assert.equal(test.status.hits - hits, 4);
      pass(24 * 3_600_000);
      await until(() => test.status.target === 1);
      await test.whenFull();
      await until(async () => (await test.containers()).length === 1);
    });

    it('lets no more wait than there is memory for', async () => {
      const { limits } = await pythonRuntime();
      await using opened = await open({ memoryBudget: 2 * limits.memoryBytes });
      const { test } = opened;
      await rush(test, 4);
      await until(() => test.status.target === 2);
      await test.whenFull();
      assert.deepEqual([test.status.wanted, test.status.idle], [4, 2]);
    });

    it('gives room to what is no run, and takes it back', async () => {
      const { limits } = await pythonRuntime();
      await using test = await TestPool.full({ poolSize: 2, memoryBudget: 2 * limits.memoryBytes });
      const { signal } = new AbortController();
      const room = await test.pool.reserve(limits.memoryBytes, signal);
      await until(async () => (await test.containers()).length === 1);
      const stop = new AbortController();
      await using _ = await test.lease();
      const more = test.pool.reserve(Number.POSITIVE_INFINITY, stop.signal);
      stop.abort(new Error('cancelled'));
      await assert.rejects(more, /cancelled/, 'a run has the rest');
      room[Symbol.dispose]();
      await until(() => test.status.idle === 1);
    });

    it('serves a run of one kind between many of another', async () => {
      await using test = await TestPool.open({ poolSize: 0, createConcurrency: 1 });
      await test.pool.start();
      const order: string[] = [];
      const run = async (name: string, memoryBytes: number) => {
        await using _ = await test.lease({ memoryBytes });
        order.push(name);
      };
      const usual = test.python.limits.memoryBytes;
      const many = Array.from({ length: 4 }, () => run('many', usual));
      await Promise.all([...many, run('single', usual / 2)]);
      assert.deepEqual(order, ['many', 'single', 'many', 'many', 'many']);
      assert.notEqual(test.status.creationMs, null);
    });

    it('lets no run wait for the turn of those that are made for later', async () => {
      await using test = await TestPool.open({ poolSize: 2, createConcurrency: 1 });
      await test.pool.start(); // begins one of two
      const order: string[] = [];
      const run = async (name: string, memoryBytes: number) => {
        await using _ = await test.lease({ memoryBytes });
        order.push(name);
      };
      const usual = test.python.limits.memoryBytes;
      const others = Array.from({ length: 3 }, () => run('other', usual / 2));
      await Promise.all([...others, run('usual', usual), run('usual', usual)]);
      assert.deepEqual(order, ['usual', 'other', 'usual', 'other', 'other']);
    });

    it('gives memory that is short to whoever has less of it', async () => {
      const usual = (await pythonRuntime()).limits.memoryBytes;
      await using test = await TestPool.open({ poolSize: 0, memoryBudget: 2 * usual });
      await test.pool.start();
      const held = await Promise.all([test.lease(), test.lease()]);
      const order: string[] = [];
      const run = async (owner: string, memoryBytes: number) => {
        await using _ = await test.lease({ owner, memoryBytes });
        order.push(owner);
      };
      const flood = Array.from({ length: 3 }, () => run('ann', usual));
      const quiet = run('bob', usual / 2);
      await until(() => test.status.creating === 3);
      await held[0]?.dispose();
      await Promise.all([...flood, quiet]);
      assert.deepEqual(order, ['bob', 'ann', 'ann', 'ann']);
      await held[1]?.dispose();
    });

    it('keeps no memory for who has given up', async () => {
      const usual = (await pythonRuntime()).limits.memoryBytes;
      await using test = await TestPool.open({ poolSize: 0, memoryBudget: 2 * usual });
      await test.pool.start();
      await using _ = await test.lease();
      const stop = new AbortController();
      const large = test.lease({ memoryBytes: 2 * usual, signal: stop.signal });
      stop.abort(new Error('cancelled'));
      await assert.rejects(large, /cancelled/);
      await using other = await test.lease({ owner: 'bob' });
      assert.equal(other.hit, false);
    });

    it('gives a used container’s memory to who took the place of one who gave up', async () => {
      const usual = (await pythonRuntime()).limits.memoryBytes;
      await using test = await TestPool.open({ memoryBudget: 2 * usual });
      await test.pool.start();
      const used = await test.lease({ reuse: 'kind' });
      await using _ = await test.lease();
      const stop = new AbortController();
      const gaveUp = test.lease({ owner: 'bob', signal: stop.signal });
      stop.abort(new Error('cancelled'));
      await assert.rejects(gaveUp, /cancelled/);
      await used.giveBack();
      assert.equal(test.pool.status().used, 1);
      await using other = await test.lease({ owner: 'carl' });
      assert.notEqual(other.sandbox.id, used.sandbox.id);
    });

    it('tells a run that its container could not be made, and makes no other for it', async () => {
      const usual = (await pythonRuntime()).limits.memoryBytes;
      await using test = await TestPool.open({ memoryBudget: 2 * usual });
      const { engine } = test.link;
      const create = engine.createContainer.bind(engine);
      let asked = 0;
      engine.createContainer = async (spec, signal) => {
        if (spec.memoryBytes === usual) return create(spec, signal);
        asked++;
        throw new Error('refused by the test');
      };
      await test.pool.start();
      await using _ = await test.lease();
      await assert.rejects(test.lease({ memoryBytes: usual / 2 }), /refused by the test/);
      assert.equal(asked, 1);
    });

    it('serves whoever has none before whoever has some already', async () => {
      await using test = await TestPool.open({ poolSize: 0, createConcurrency: 1 });
      await test.pool.start();
      await using held = new AsyncDisposableStack();
      const order: string[] = [];
      const run = async (owner: string) => {
        held.use(await test.lease({ owner }));
        order.push(owner);
      };
      await Promise.all([...Array.from({ length: 4 }, () => run('flooder')), run('quiet'), run('quiet')]);
      assert.deepEqual(order, ['flooder', 'quiet', 'flooder', 'quiet', 'flooder', 'flooder']);
    });
  });

  it('makes one on demand when none waits', async () => {
    await using test = await TestPool.open({ poolSize: 0 });
    await test.pool.start();
    await using lease = await test.lease();
    assert.equal(lease.hit, false);
    assert.equal(lease.sandbox.warm, true);
    assert.deepEqual([test.status.hits, test.status.misses], [0, 1]);
  });

  it('serves more at once than wait, each with a container of its own', async () => {
    await using test = await TestPool.full(ROOMY);
    const leases = await Promise.all(Array.from({ length: 6 }, () => test.lease()));
    assert.equal(new Set(leases.map(({ sandbox }) => sandbox.id)).size, 6);
    assert.equal(leases.filter(({ hit }) => hit).length, 3);
    await Promise.all(leases.map((lease) => lease.dispose()));
  });

  it('never hands a container out again', async () => {
    await using test = await TestPool.full({ poolSize: 1 });
    const first = await test.lease();
    await first.dispose();
    assert.equal((await test.containers()).includes(first.sandbox.id), false);
    await using second = await test.lease();
    assert.notEqual(second.sandbox.id, first.sandbox.id);
  });

  it('makes containers with another limit of memory for the runs that ask for it, and keeps none of them', async () => {
    await using test = await TestPool.full({ poolSize: 1 });
    const memoryBytes = 2 * test.python.limits.memoryBytes;
    const lease = await test.lease({ memoryBytes });
    const { HostConfig } = await test.docker.getContainer(lease.sandbox.id).inspect();
    assert.equal(HostConfig.Memory, memoryBytes);
    await lease.dispose();
    assert.equal((await test.containers()).length, 1);
  });

  it('keeps nothing that was made for somebody who gave up', async () => {
    await using test = await TestPool.open({ poolSize: 0 });
    await test.pool.start();
    const stop = new AbortController();
    const lease = test.lease({ signal: stop.signal });
    await until(() => test.status.creating === 1);
    stop.abort(new Error('cancelled'));
    await assert.rejects(lease, /cancelled/);
    await until(async () => test.status.creating === 0 && (await test.containers()).length === 0);
    assert.equal(test.status.idle, 0);
  });

  it('makes another where a container ended while it was made', async () => {
    await using test = await TestPool.open({ poolSize: 0 });
    const { engine } = test.link;
    const create = engine.createContainer.bind(engine);
    let made = 0;
    engine.createContainer = (spec, signal) => {
      made++;
      // Its agent ends instead of speaking.
      return create(made === 1 ? { ...spec, command: ['--unheard-of'] } : spec, signal);
    };
    await test.pool.start();
    await using lease = await test.lease();
    assert.equal(made, 2);
    assert.deepEqual(await test.containers(), [lease.sandbox.id]);
  });

  it('makes another where somebody removed it before it was started', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.open({ poolSize: 0, engine: proxy.address });
    await test.pool.start();
    proxy.beforeStart = (id) => {
      proxy.beforeStart = undefined;
      return test.docker.getContainer(id).remove();
    };
    await using lease = await test.lease();
    assert.deepEqual(await test.containers(), [lease.sandbox.id]);
  });

  it('serves who waits by another creation where one for later fails', async () => {
    await using test = await TestPool.open({ poolSize: 1, createConcurrency: 2 });
    const { engine } = test.link;
    const create = engine.createContainer.bind(engine);
    const failing = Promise.withResolvers<never>();
    let asked = 0;
    engine.createContainer = async (spec, signal) => {
      asked++;
      if (asked === 1) return failing.promise;
      const container = await create(spec, signal);
      failing.reject(new Error('failed by the test'));
      await until(() => test.logged.length > 0);
      return container;
    };
    await test.pool.start();
    await using _ = await test.lease();
    assert.equal(asked, 2);
  });

  it('makes no more containers at the same time than it may', async () => {
    await using test = await TestPool.open({ poolSize: 0, createConcurrency: 2 });
    const { engine } = test.link;
    const create = engine.createContainer.bind(engine);
    let atOnce = 0;
    let most = 0;
    engine.createContainer = async (spec, signal) => {
      most = Math.max(most, ++atOnce);
      try {
        return await create(spec, signal);
      } finally {
        atOnce--;
      }
    };
    await test.pool.start();
    const leases = await Promise.all(Array.from({ length: 7 }, () => test.lease()));
    await Promise.all(leases.map((lease) => lease.dispose()));
    assert.equal(most, 2);
  });

  it('tries again later and later while creations fail, those that fail together being one failure', async () => {
    await using test = await TestPool.open({ poolSize: 3, createConcurrency: 3 });
    const { engine } = test.link;
    const create = engine.createContainer;
    const refuse: typeof create = async () => {
      throw new Error('refused by the test');
    };
    const pauses = () => test.logged.flatMap(({ retryMs }) => retryMs ?? []);
    engine.createContainer = refuse;
    await test.pool.start();
    await until(() => pauses().length === 6);
    assert.deepEqual(pauses(), [1_000, 1_000, 1_000, 2_000, 2_000, 2_000]);
    engine.createContainer = create;
    await test.whenFull();
    assert.equal(test.status.problem, null);
    engine.createContainer = refuse;
    await using _ = await test.lease();
    await until(() => pauses().length > 6);
    assert.equal(pauses()[6], 1_000, 'a success ends it');
    engine.createContainer = create;
  });

  it('replaces a waiting container that somebody killed', async () => {
    await using test = await TestPool.full(ROOMY);
    const [victim = ''] = await test.containers();
    await test.docker.getContainer(victim).kill();
    await until(() => test.status.idle === 2);
    await test.whenFull();
    assert.equal((await test.containers()).includes(victim), false);
  });

  it('removes what an earlier daemon on its data folder left, and nothing else', async () => {
    await using test = await TestPool.open({ poolSize: 1 });
    await using other = await TestPool.full({ poolSize: 1 });
    const left = await test.docker.createContainer({
      Image: test.images.tag(test.python),
      Labels: { 'coderunner.instance': test.instance, 'coderunner.runtime': 'python' },
    });
    const running = await test.docker.createContainer({
      Image: test.images.tag(test.python),
      Entrypoint: ['sleep', 'infinity'],
      Labels: { 'coderunner.instance': test.instance, 'coderunner.runtime': 'python' },
      HostConfig: { NetworkMode: 'none' },
    });
    await running.start();
    await test.pool.start();
    await test.whenFull();
    const now = await test.containers();
    assert.equal(now.length, 1);
    assert.ok(!now.includes(left.id) && !now.includes(running.id));
    assert.equal((await other.containers()).length, 1);
    assert.equal(other.status.idle, 1);
  });

  it('takes nothing for left that is made for a run that had waited for memory', async () => {
    const usual = (await pythonRuntime()).limits.memoryBytes;
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.open({ poolSize: 0, memoryBudget: usual, engine: proxy.address });
    await test.pool.start();
    // An engine that went away while it made one is looked through once more a while after it is back.
    const lost = test.lease();
    await until(() => test.status.creating === 1);
    await proxy.cut();
    await assert.rejects(lost);
    await proxy.restore();
    await test.link.whenUp();
    const { engine } = test.link;
    const [create, list] = [engine.createContainer.bind(engine), engine.listOurs.bind(engine)];
    await using held = await test.lease();
    const [created, listed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let made = 0;
    engine.createContainer = async (spec, signal) => {
      made++;
      const container = await create(spec, signal);
      created.resolve();
      await listed.promise;
      await delay(500); // by then it would be gone
      return container;
    };
    engine.listOurs = async (ours) => {
      void held.dispose();
      await created.promise;
      return list(ours).finally(listed.resolve);
    };
    await using _ = await test.lease();
    assert.equal(made, 1);
  });

  it('makes containers while it looks for what an engine may have made late', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.open({ poolSize: 0, engine: proxy.address });
    await test.pool.start();
    proxy.cutsCreationsOff = true;
    await assert.rejects(test.lease());
    proxy.cutsCreationsOff = false;
    const { engine } = test.link;
    const list = engine.listOurs.bind(engine);
    const [looked, made] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    engine.listOurs = async (ours) => {
      looked.resolve();
      await made.promise;
      return list(ours);
    };
    await looked.promise;
    await using lease = await test.lease();
    made.resolve();
    await delay(500); // what is taken for left is gone by then
    assert.deepEqual(await test.containers(), [lease.sandbox.id]);
  });

  it('serves who waits for a language that is changed while it looks for what was left', async () => {
    await using test = await TestPool.open({ poolSize: 0 });
    const { engine } = test.link;
    const list = engine.listOurs.bind(engine);
    const { promise: told, resolve: tell } = Promise.withResolvers<void>();
    engine.listOurs = async (options) => {
      await told;
      return list(options);
    };
    const started = test.pool.start();
    const lease = test.lease();
    await test.pool.update([{ ...test.python, version: 'changed' }]);
    tell();
    await using _ = await lease;
    await started;
  });

  it('leaves nothing behind when it stops, also while it fills', async () => {
    const { docker } = await findEngine('');
    let instance: string;
    {
      // So many that it still fills when the first one is there.
      await using test = await TestPool.open({ ...ROOMY, poolSize: 6 });
      instance = test.instance;
      await test.pool.start();
      await until(() => test.status.idle > 0);
      assert.ok(test.status.creating > 0);
    }
    assert.deepEqual(await containersOf(docker, instance), []);
  });

  it('tells those who wait for a container that it stops', async () => {
    const test = await TestPool.open({ poolSize: 0 });
    await test.pool.start();
    const lease = test.lease();
    await Promise.all([assert.rejects(lease, hasCode('shutting_down')), test[Symbol.asyncDispose]()]);
  });

  it('tells that the image is not there, and fills when it is', async () => {
    await using built = await TestPool.open();
    const folder = await mkdtemp(join(tmpdir(), 'coderunner-runtimes-'));
    await using undo = new AsyncDisposableStack();
    undo.defer(() => rm(folder, { recursive: true }));
    const python = await pythonRuntime();
    await mkdir(join(folder, 'python'));
    await writeFile(join(folder, 'python', 'Dockerfile'), `# ${folder}\n`);
    const other = { ...python, folder: join(folder, 'python') };
    const test = undo.use(await TestPool.withoutImage({ poolSize: 1 }, other));
    await test.pool.start();
    await assert.rejects(test.lease(), hasCode('runtime_not_built'));
    assert.match(test.status.problem ?? '', /Python has not been built/);
    const [repo = '', tag = ''] = test.images.tag(other).split(':');
    await test.docker.getImage(built.images.tag(python)).tag({ repo, tag });
    undo.defer(async () => {
      const names = (await built.docker.listImages()).flatMap(({ RepoTags }) => RepoTags ?? []);
      for (const name of names) if (name.startsWith(`${repo}:${tag}`)) await built.docker.getImage(name).remove();
    });
    await test.whenFull();
    assert.equal(test.status.problem, null);
  });
});

describe('the pool, when the engine goes away', () => {
  it('says so, and fills again when the engine is back', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.full({ ...ROOMY, engine: proxy.address });
    const before = await test.containers();
    await proxy.cut();
    await until(() => test.link.problem !== undefined);
    await assert.rejects(test.lease(), hasCode('engine_unavailable'));
    assert.equal(test.pool.status().engine.state, 'down');
    assert.equal(test.status.idle, 0);
    await proxy.restore();
    await test.whenFull();
    const now = await test.containers();
    assert.equal(now.length, 3);
    assert.deepEqual(
      now.filter((id) => before.includes(id)),
      [],
    );
    await using lease = await test.lease();
    assert.equal(lease.hit, true);
  });

  it('ends a lease whose container it was', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.full({ poolSize: 1, engine: proxy.address });
    const lease = await test.lease();
    await proxy.cut();
    await lease.sandbox.agent.closed;
    await lease.dispose();
    await proxy.restore();
    await test.whenFull();
    assert.equal((await test.containers()).length, 1);
  });

  it('fails those who wait for a container that is being made', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.open({ poolSize: 0, engine: proxy.address });
    await test.pool.start();
    const leases = [test.lease(), test.lease(), test.lease()];
    await until(() => test.status.creating === 3);
    await Promise.all([...leases.map((lease) => assert.rejects(lease, hasCode('engine_unavailable'))), proxy.cut()]);
    await proxy.restore();
    await until(async () => test.link.problem === undefined && (await test.containers()).length === 0);
  });

  it('starts without an engine, and fills when one comes', async () => {
    await using proxy = await EngineProxy.start();
    await proxy.cut();
    await using test = await TestPool.open({ poolSize: 1, engine: proxy.address });
    await test.pool.start();
    await assert.rejects(test.lease(), hasCode('engine_unavailable'));
    await proxy.restore();
    await test.whenFull();
    await using lease = await test.lease();
    assert.equal(lease.hit, true);
  });

  it('gives up on one that hangs', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.full({ poolSize: 1, engine: proxy.address });
    proxy.hold();
    test.link.suspect();
    const waiting = test.lease({ memoryBytes: 2 * test.python.limits.memoryBytes });
    await assert.rejects(waiting, hasCode('engine_unavailable'));
    await proxy.restore();
    await test.whenFull();
    // The engine takes its time to remove what ended while it hung.
    await until(async () => (await test.containers()).length === 1);
  });

  it('asks again where the engine forgets to say that it has removed a container', async () => {
    await using proxy = await EngineProxy.start();
    const { limits } = await pythonRuntime();
    // There is room for the next one only when the last one is gone.
    await using test = await TestPool.full({ poolSize: 1, memoryBudget: limits.memoryBytes, engine: proxy.address });
    const { disposed } = await beginRemoval(test, proxy);
    proxy.isAlwaysRemoving = false;
    await disposed;
    await until(() => test.status.idle === 1);
    assert.deepEqual(test.logged, []);
  });

  it('has the room of a container back whose engine ended while it removed it', async () => {
    await using proxy = await EngineProxy.start();
    const { limits } = await pythonRuntime();
    await using test = await TestPool.full({ poolSize: 1, memoryBudget: limits.memoryBytes, engine: proxy.address });
    const { disposed } = await beginRemoval(test, proxy);
    await proxy.cut();
    await until(() => test.link.problem !== undefined);
    proxy.isAlwaysRemoving = false;
    await proxy.restore();
    await disposed;
    await until(() => test.status.idle === 1);
  });

  it('makes containers while the engine still removes what an earlier daemon left', async () => {
    await using proxy = await EngineProxy.start();
    await using test = await TestPool.open({ poolSize: 1, engine: proxy.address });
    await test.docker.createContainer({
      Image: test.images.tag(test.python),
      Labels: { 'coderunner.instance': test.instance, 'coderunner.runtime': 'python' },
    });
    const goOn = proxy.holdRemovals();
    const started = test.pool.start();
    await until(() => test.status.idle === 1);
    assert.equal((await test.containers()).length, 2);
    assert.deepEqual(test.logged, []);
    goOn();
    await started;
    assert.equal((await test.containers()).length, 1);
  });

  it('stops although the engine is gone', async () => {
    await using proxy = await EngineProxy.start();
    const test = await TestPool.full({ poolSize: 1, engine: proxy.address });
    const { instance } = test;
    await proxy.cut();
    await test[Symbol.asyncDispose]();
    // The agent ends with its stream, and the engine removes what has ended.
    const { docker } = await findEngine('');
    await until(async () => (await containersOf(docker, instance)).length === 0);
  });

  it('stops although the engine hangs', async () => {
    await using proxy = await EngineProxy.start();
    const test = await TestPool.full({ poolSize: 1, engine: proxy.address });
    const { instance } = test;
    proxy.hold();
    await test[Symbol.asyncDispose]();
    await proxy.cut();
    const { docker } = await findEngine('');
    await until(async () => (await containersOf(docker, instance)).length === 0);
  });

  // Another Docker beside the machine's takes root and Linux; the tests above need neither.
  if (OwnEngine.isPossible) {
    it('fills again after Docker was stopped and started', async () => {
      await using built = await TestPool.open();
      await using engine = await OwnEngine.start();
      await engine.load(built.images.tag(built.python));
      await using test = await TestPool.full({ ...ROOMY, engine: engine.address });
      const lease = await test.lease();
      await engine.stop();
      await lease.sandbox.agent.closed;
      await until(() => test.link.problem !== undefined);
      await lease.dispose();
      await engine.restart();
      await test.whenFull();
      assert.equal((await test.containers()).length, 3);
    });
  }
});

describe('a daemon that was killed', () => {
  it('leaves nothing behind, and the next one on its data folder fills the pool again', async () => {
    const { docker } = await findEngine('');
    await using undo = new AsyncDisposableStack();
    const dataDir = await dataFolder();
    undo.defer(() => rm(dataDir, { recursive: true }));
    const first = undo.use(await DaemonProcess.start(dataDir));
    const instance = await readFile(instanceFile(dataDir), 'utf8');
    await first.whenFull();
    const waiting = await containersOf(docker, instance);
    assert.ok(waiting.length > 0);
    await first.end('SIGKILL');
    await until(async () => (await containersOf(docker, instance)).length === 0);

    const second = undo.use(await DaemonProcess.start(dataDir));
    await second.whenFull();
    const now = await containersOf(docker, instance);
    assert.equal(now.length, waiting.length);
    assert.deepEqual(
      now.filter((id) => waiting.includes(id)),
      [],
    );
    await second.end('SIGKILL');
    await until(async () => (await containersOf(docker, instance)).length === 0);
  });
});

const DAEMON = fileURLToPath(new URL('../fixtures/pool/daemon.ts', import.meta.url));

/** A daemon that can be killed. */
class DaemonProcess implements AsyncDisposable {
  readonly client: DaemonClient;
  readonly exited: Promise<unknown>;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, exited: Promise<unknown>, client: DaemonClient) {
    this.#process = process;
    this.exited = exited;
    this.client = client;
  }

  static async start(dataDir: string): Promise<DaemonProcess> {
    const daemon = spawn(process.execPath, [DAEMON], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        CODERUNNER_DATA_DIR: dataDir,
        CODERUNNER_POOL_SIZE: '1',
        CODERUNNER_POOL_PREWARM: 'python',
      },
    });
    const exited = once(daemon, 'exit');
    for await (const line of createInterface({ input: daemon.stdout })) {
      const { url, token } = JSON.parse(line) as { url: string; token: string };
      return new DaemonProcess(daemon, exited, new DaemonClient(url, token));
    }
    throw new Error('The daemon ended before it served.');
  }

  /** Resolves when as many wait as should, of every runtime whose image is there. */
  whenFull(): Promise<void> {
    return until(async () => {
      const { runtimes } = await this.client.json<PoolStatus>('GET', '/v1/pool');
      return runtimes.every(({ idle, target, problem }) => problem !== null || idle === target);
    });
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#process.kill(signal);
    await this.exited;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.end('SIGKILL');
  }
}

function hasCode(code: CodeRunnerError['code']): (error: unknown) => boolean {
  return (error) => error instanceof CodeRunnerError && error.code === code;
}
