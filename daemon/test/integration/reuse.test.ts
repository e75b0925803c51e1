/** Which run may have a container that another run had, and which has a new one. What is left in it is reset.test.ts's. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { Lease } from '../../src/pool/pool.ts';
import type { BatchResult, RunRequest } from '../../src/protocol/index.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { TestPool, until } from '../support/test-pool.ts';

const MiB = 2 ** 20;

describe('a container in the pool that its owner gives back', () => {
  const open = async (settings: Parameters<typeof TestPool.open>[0] = {}): Promise<TestPool> => {
    const test = await TestPool.open({ poolSize: 0, ...settings });
    await test.pool.start();
    return test;
  };
  const used = async (test: TestPool, more: Parameters<TestPool['lease']>[0] = { reuse: 'kind' }): Promise<string> =>
    work(await test.lease(more));
  const work = async (lease: Lease): Promise<string> => {
    await lease.sandbox.agent.sendFiles(emptyArchive());
    lease.sandbox.agent.credit(1);
    await lease.sandbox.agent.runStage({
      stage: 'run',
      argv: ['/bin/true'],
      env: {},
      cwd: '/workspace',
      tty: null,
      warm: null,
      limits: { wallMs: 60_000, cpuMs: 60_000, outputBytes: 1, fileBytes: 1, openFiles: 64 },
    });
    await lease.giveBack();
    return lease.sandbox.id;
  };

  before(async function () {
    this.timeout(600_000);
    await using _ = await TestPool.open(); // builds the image where it is not there
  });

  it('is its next run’s, also while it is still being emptied', async () => {
    await using test = await open();
    const id = await used(test);
    assert.equal(test.pool.status().used, 1);
    const lease = await test.lease({ reuse: 'kind' });
    assert.deepEqual([lease.sandbox.id, lease.sandbox.runs, lease.hit], [id, 2, true]);
    assert.equal(test.pool.status().used, 0);
    await lease.dispose();
    assert.deepEqual(await test.containers(), []);
  });

  it('is that of its owner’s run that waits for a new one already, which is not made where nobody began to', async () => {
    await using test = await open({ createConcurrency: 1 });
    const first = await test.lease({ reuse: 'kind' });
    const { engine } = test.link;
    const create = engine.createContainer.bind(engine);
    const gate = Promise.withResolvers<void>();
    let begun = 0;
    engine.createContainer = async (spec, signal) => {
      begun++;
      await gate.promise;
      return create(spec, signal);
    };
    const runs = [test.lease({ reuse: 'kind' }), test.lease({ reuse: 'kind' })];
    const other = test.lease({ owner: 'bob', reuse: 'kind' });
    await until(() => begun === 1);
    await work(first);
    for (const run of runs) {
      const lease = await run;
      assert.deepEqual([lease.sandbox.id, lease.hit], [first.sandbox.id, false]);
      await work(lease);
    }
    gate.resolve();
    await using lease = await other;
    assert.notEqual(lease.sandbox.id, first.sandbox.id);
    await until(() => test.status.creating === 0);
    assert.equal(begun, 1);
  });

  it('is no other owner’s, nor a run’s of another kind or size, nor that of one that asks for a new one', async () => {
    await using test = await open();
    const id = await used(test);
    const others: Parameters<TestPool['lease']>[0][] = [
      { owner: 'bob', reuse: 'kind' },
      { reuse: 'another kind' },
      { reuse: 'kind', memoryBytes: 128 * MiB },
      {},
    ];
    for (const other of others) {
      await using lease = await test.lease(other);
      assert.notEqual(lease.sandbox.id, id, JSON.stringify(other));
      assert.equal(lease.sandbox.runs, 1);
    }
    await using own = await test.lease({ reuse: 'kind' });
    assert.equal(own.sandbox.id, id);
  });

  it('is destroyed where its run did not ask to leave it', async () => {
    await using test = await open();
    await used(test, {});
    assert.deepEqual(await test.containers(), []);
  });

  it('is destroyed after as many runs as are set', async () => {
    await using test = await open({ reuseRuns: 3 });
    const ids = [await used(test), await used(test), await used(test), await used(test)];
    assert.equal(new Set(ids.slice(0, 3)).size, 1);
    assert.notEqual(ids[3], ids[0]);
    assert.equal((await test.containers()).includes(ids[0] as string), false);
  });

  it('waits no longer than is set', async () => {
    await using test = await open({ reuseKeep: 1 });
    await used(test);
    await until(async () => (await test.containers()).length === 0);
  });

  it('is destroyed when it dies while it waits, and its owner gets another', async () => {
    await using test = await open();
    const id = await used(test);
    await test.docker.getContainer(id).kill();
    await until(async () => (await test.containers()).length === 0);
    assert.notEqual(await used(test), id);
  });

  it('gives way where there is no memory for a run that waits', async () => {
    await using test = await open({ memoryBudget: 300 * MiB });
    const id = await used(test);
    await using lease = await test.lease({ owner: 'bob' });
    assert.notEqual(lease.sandbox.id, id);
    assert.deepEqual(await test.containers(), [lease.sandbox.id]);
  });

  it('gives way as soon as it comes back where somebody waits for its memory', async () => {
    await using test = await open({ memoryBudget: 300 * MiB });
    const lease = await test.lease({ reuse: 'kind' });
    const waiting = test.lease({ owner: 'bob' });
    await lease.giveBack();
    await using got = await waiting;
    assert.notEqual(got.sandbox.id, lease.sandbox.id);
  });

  it('that was never used is not, since it cannot be told what was done in it', async () => {
    await using test = await open();
    const lease = await test.lease({ reuse: 'kind' });
    await lease.giveBack();
    await using next = await test.lease({ reuse: 'kind' });
    assert.notEqual(next.sandbox.id, lease.sandbox.id);
    await until(async () => !(await test.containers()).includes(lease.sandbox.id));
  });

  it('is gone with the pool', async () => {
    const test = await open();
    const { docker } = test;
    await used(test);
    await test[Symbol.asyncDispose]();
    assert.deepEqual(await test.containers(docker), []);
  });
});

describe('a run that may have a used container', () => {
  let daemon: TestDaemon;
  let hostile: string;
  before(async () => {
    hostile = await readFile(new URL('../fixtures/reset/hostile.py', import.meta.url), 'utf8');
    daemon = await TestDaemon.start();
  });
  after(() => daemon[Symbol.asyncDispose]());

  const again = (source: string, more: Partial<RunRequest> = {}) =>
    daemon.runToEnd(python(source, { reuse: 'owner', ...more }));

  it('has one where it asks for it, and only then', async () => {
    const reused = [];
    for (const more of [{}, {}, { reuse: 'never' as const }, {}]) {
      const { run } = await again('print(1)', more);
      reused.push(run.warm.reused);
    }
    assert.deepEqual(reused, [false, true, false, true]);
    const plain = await daemon.runToEnd(python('print(1)'));
    assert.equal(plain.run.warm.reused, false);
  });

  it('has none after a program that had to be stopped, or left what cannot be removed', async () => {
    const cases: [what: string, more: Partial<RunRequest>, state: string][] = [
      ['stopped', { limits: { outputBytes: 50_000 }, args: ['flood'] }, 'output_limit'],
      ['of a connection', { args: ['connection'] }, 'succeeded'],
    ];
    for (const [what, more, state] of cases) {
      const first = await again(hostile, { ...more, files: [{ path: 'hostile.py', content: hostile }] });
      assert.equal(first.run.state, state, what);
      const next = await again(hostile, {
        ...more,
        args: ['look'],
        files: [{ path: 'hostile.py', content: hostile }],
      });
      assert.equal(next.run.warm.reused, false, what);
      assert.deepEqual(JSON.parse(next.stdout).found, [], next.stderr);
    }
  });

  it('has none that another run with other limits had, nor one in a terminal', async () => {
    assert.equal((await again('print(1)', { limits: { wallMs: 7_000 } })).run.warm.reused, false);
    assert.equal((await again('print(1)', { limits: { wallMs: 7_001 } })).run.warm.reused, false);
    assert.equal((await again('print(1)', { tty: { rows: 24, cols: 80 } })).run.warm.reused, false);
    assert.equal((await again('print(1)', { limits: { wallMs: 7_000 } })).run.warm.reused, true);
  });

  it('has one after a program that failed or was ended by a signal of its own', async () => {
    const limits = { wallMs: 6_000 };
    await again('raise SystemExit(3)', { limits });
    const failed = await again('import os; os.abort()', { limits });
    assert.deepEqual([failed.run.state, failed.run.warm.reused], ['signaled', true]);
    assert.equal((await again('print(1)', { limits })).run.warm.reused, true);
  });
});

describe('a batch', () => {
  const SOURCE = `import os, pathlib, sys
n = int(input())
print(n * 2, sorted(os.listdir('/workspace')), os.listdir('/tmp'), os.listdir('/dev/shm'), len(os.listdir('/proc/self/fd')))
for place in ('/workspace', '/tmp', '/dev/shm'): pathlib.Path(place, 'left').mkdir()
print(os.getuid(), file=sys.stderr)
sys.exit(n % 3)
`;
  const INPUTS = Array.from({ length: 5 }, (_, n) => ({ name: `${n}`, stdin: `${n}\n`, expected: '' }));

  async function results(daemon: TestDaemon, more: object = {}): Promise<BatchResult[]> {
    const request = { runtime: 'python', files: python(SOURCE).files, inputs: INPUTS, ...more };
    const response = await daemon.fetch('POST', '/v1/runs:batch', request);
    const lines = (await response.text()).trim().split('\n');
    assert.equal(response.status, 200, lines.join());
    return lines.slice(0, -1).map((line) => JSON.parse(line));
  }
  const told = (list: BatchResult[]) =>
    list.map(({ name, stdout, passed, difference, run: { state, exitCode, stages } }) => {
      return { name, stdout, passed, difference, state, exitCode, stages: stages.map(({ stage }) => stage) };
    });

  it('has the same results in one container after the other as in one container, each run as another user', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 2 });
    const inOne = await results(daemon);
    const inMany = await results(daemon, { reuse: 'never' });
    assert.deepEqual(told(inOne), told(inMany));
    assert.deepEqual(
      inOne.map(({ run }) => run.warm.reused),
      INPUTS.map((_, index) => index > 0),
    );
    assert.ok(inMany.every(({ run }) => run.warm.reused === false));
    assert.equal(new Set(inOne.map(({ stderr }) => stderr)).size, INPUTS.length);
  });

  it('has them with several at once, too', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 4, poolSize: 1 });
    assert.deepEqual(told(await results(daemon)), told(await results(daemon, { reuse: 'never' })));
  });

  it('has a new container for each run where the daemon says so', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 2, reuse: 'never' });
    assert.ok((await results(daemon, { reuse: 'owner' })).every(({ run }) => run.warm.reused === false));
  });
});

/** What a run without files sends. */
async function* emptyArchive(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array(1024);
}
