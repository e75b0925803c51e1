/** What a daemon takes at once. */
import assert from 'node:assert/strict';
import type { DaemonStatus, ErrorBody, RunList, RunRequest } from '../../src/protocol/index.ts';
import { EngineProxy } from '../support/engine-proxy.ts';
import { type DaemonClient, python, TestDaemon, WAITS } from '../support/live-daemon.ts';
import { OwnersDaemon } from '../support/owners-daemon.ts';

const MiB = 2 ** 20;

/** A program that ends when it is told to, however long other things take on a machine that does much else. */
const waits = (limits: RunRequest['limits'] = {}) => python(WAITS, { limits: { ...limits, wallMs: 600_000 } });

describe('a daemon that is busy', () => {
  it('runs no more at once than it was told, lets so many wait, and says when to come back', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 2, maxQueued: 1 });
    const running = [await daemon.start(waits()), await daemon.start(waits())];
    const waiting = await daemon.start(python("print('my turn')"));
    const refused = await daemon.refusal('POST', '/v1/runs', python(''));
    assert.deepEqual([refused.status, refused.code], [429, 'queue_full']);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.deepEqual((await daemon.json<DaemonStatus>('GET', '/v1/status')).runs, { queued: 1, running: 2 });
    for (const { id } of running) await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'go\n');
    assert.equal((await daemon.follow(waiting.id)).stdout, 'my turn\n');
    for (const { id } of running) assert.equal((await daemon.follow(id)).run.state, 'succeeded');
  });

  it('says the same on the stream', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 1, maxQueued: 1 });
    await using stream = await daemon.stream();
    for (const handle of [1, 2]) stream.send({ type: 'run.start', handle, request: waits() });
    await stream.state(1, 'running');
    await stream.state(2, 'queued');
    stream.send({ type: 'run.start', handle: 3, request: python('') });
    const { code, retryAfterSeconds } = await stream.error(3);
    assert.deepEqual([code, retryAfterSeconds], ['queue_full', 1]);
    for (const handle of [1, 2]) stream.send({ type: 'run.cancel', handle });
    for (const handle of [1, 2]) await stream.exit(handle);
  });

  it('takes no more of one owner than one may have waiting, and still takes others’', async () => {
    await using daemon = await OwnersDaemon.start(['ann', 'bob'], { maxRunning: 1, maxQueuedPerOwner: 2 });
    const { ann, bob } = daemon.clients as Record<'ann' | 'bob', DaemonClient>;
    const running = await ann.start(waits());
    await ann.printed(running.id, 'ready');
    // However many come at the same moment.
    const answers = await Promise.all(Array.from({ length: 10 }, () => ann.fetch('POST', '/v1/runs', python(''))));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [...Array(2).fill(201), ...Array(8).fill(429)]);
    const refused = await ann.refusal('POST', '/v1/runs', python(''));
    assert.match(refused.message, /^2 of your runs are waiting .*CODERUNNER_MAX_QUEUED_PER_OWNER/);
    const taken = await bob.start(python("print('hello bob')"));
    await ann.fetch('POST', `/v1/runs/${running.id}/stdin`, 'go\n');
    assert.equal((await bob.follow(taken.id)).stdout, 'hello bob\n');
    const { runs } = await ann.json<RunList>('GET', '/v1/runs');
    for (const { id } of runs) assert.equal((await ann.follow(id)).run.state, 'succeeded');
  });

  it('keeps no more streams and requests open for one owner than one may have', async () => {
    await using daemon = await OwnersDaemon.start(['ann', 'bob'], { maxConnections: 2 });
    const { ann, bob } = daemon.clients as Record<'ann' | 'bob', DaemonClient>;
    const first = await ann.stream();
    await using _second = await ann.stream();
    const refused = await ann.refusal('GET', '/v1/status');
    assert.deepEqual([refused.status, refused.code], [429, 'too_many_connections']);
    assert.equal(refused.headers.get('retry-after'), '1');
    await assert.rejects(ann.stream(), /429/);
    await bob.json<DaemonStatus>('GET', '/v1/status');
    await first[Symbol.asyncDispose]();
    // The daemon hears of a closed connection in its own time.
    while ((await ann.fetch('GET', '/v1/status')).status === 429);
    await ann.json<DaemonStatus>('GET', '/v1/status');
  });
  it('creates no container beyond the memory that there is for all: runs wait, and what only waits gives way', async () => {
    await using daemon = await TestDaemon.start({ poolSize: 1, poolPrewarm: ['javascript'], memoryBudget: 600 * MiB });
    const limits = { memoryBytes: 300 * MiB };
    const first = [await daemon.start(waits(limits)), await daemon.start(waits(limits))];
    for (const { id } of first) await daemon.printed(id, 'ready');
    const second = await daemon.start(python("print('my turn')", { limits }));
    while ((await daemon.run(second.id)).state !== 'starting');
    const { pool } = await daemon.json<DaemonStatus>('GET', '/v1/status');
    const idle = pool.runtimes.reduce((sum, runtime) => sum + runtime.idle, 0);
    assert.equal(idle, 0, 'there is room for two, and both are taken');
    for (const { id } of first) await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'go\n');
    assert.equal((await daemon.follow(second.id)).stdout, 'my turn\n');
    for (const { id } of first) assert.equal((await daemon.follow(id)).run.state, 'succeeded');
  });

  it('says at once that a run wants more memory than there is for all', async () => {
    await using daemon = await TestDaemon.start({ memoryBudget: 300 * MiB });
    const { run } = await daemon.runToEnd(python('', { limits: { memoryBytes: 301 * MiB } }));
    assert.deepEqual([run.state, run.error?.code], ['failed', 'bad_limit']);
    assert.match(run.message ?? '', /301 MiB.*300 MiB/);
    assert.equal((await daemon.runToEnd(python("print('fits')"))).stdout, 'fits\n');
  });

  it('refuses runs while the engine fails, asks it seldom, and goes on by itself', async () => {
    await using engine = await EngineProxy.start();
    await using daemon = await TestDaemon.start({ engine: engine.address, maxRunning: 8 });
    assert.equal((await daemon.runToEnd(python("print('before')"))).stdout, 'before\n');
    engine.refusesCreations = true;
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => daemon.fetch('POST', '/v1/runs', python('print(1)'))),
    );
    const taken = (await Promise.all(answers.map((answer) => answer.json()))) as { id?: string }[];
    // More come until the daemon has seen enough.
    let refused: Response;
    do refused = await daemon.fetch('POST', '/v1/runs', python('print(1)'));
    while (refused.status !== 503);
    const { error } = (await refused.json()) as { error: ErrorBody };
    assert.deepEqual([error.code, error.retryAfterSeconds], ['engine_failing', 5]);
    assert.match(error.message, /no space left on device/);
    const asked = engine.refused;
    assert.ok(asked < 20, `${asked} of more than 40 creations were asked for`);
    engine.refusesCreations = false;
    // Those that were tried have failed and say why; all others ran.
    const failed: string[] = [];
    for (const { id } of taken) {
      if (id === undefined) continue;
      const { run, stdout } = await daemon.follow(id);
      if (run.state === 'failed') failed.push(run.error?.code ?? '');
      else assert.deepEqual([run.state, stdout], ['succeeded', '1\n']);
    }
    assert.ok(failed.length <= engine.refused, `${failed.length} failed`);
    assert.ok(failed.every((code) => code === 'engine_error'));
    assert.equal((await daemon.runToEnd(python("print('after')"))).stdout, 'after\n');
  });

  it('does the same, and fails no run, where the engine answers but ends each connection that asks for a container', async () => {
    await using engine = await EngineProxy.start();
    await using daemon = await TestDaemon.start({ engine: engine.address, poolSize: 0 });
    engine.cutsCreationsOff = true;
    const taken = await daemon.start(python("print('in the end')"));
    let refused: Response;
    do refused = await daemon.fetch('POST', '/v1/runs', python("print('in the end')", { reuse: 'owner' }));
    while (refused.status !== 503);
    assert.equal(((await refused.json()) as { error: ErrorBody }).error.code, 'engine_failing');
    assert.ok(engine.refused < 20, `${engine.refused} creations were asked for`);
    engine.cutsCreationsOff = false;
    const { run, stdout } = await daemon.follow(taken.id);
    assert.deepEqual([run.state, stdout], ['succeeded', 'in the end\n']);
  });
});
