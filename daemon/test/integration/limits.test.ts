/** What a daemon takes at once. */
import assert from 'node:assert/strict';
import type { DaemonStatus } from '../../src/protocol/index.ts';
import { python, TestDaemon, WAITS } from '../support/live-daemon.ts';

describe('a daemon that is busy', () => {
  it('runs no more at once than it was told, lets so many wait, and says when to come back', async () => {
    await using daemon = await TestDaemon.start({ maxRunning: 2, maxQueued: 1 });
    const running = [await daemon.start(python(WAITS)), await daemon.start(python(WAITS))];
    const waiting = await daemon.start(python("print('my turn')"));
    const refused = await daemon.refusal('POST', '/v1/runs', python(''));
    assert.deepEqual([refused.status, refused.code], [429, 'queue_full']);
    assert.equal(refused.headers.get('retry-after'), '1');
    assert.deepEqual((await daemon.json<DaemonStatus>('GET', '/v1/status')).runs, { queued: 1, running: 2 });
    for (const { id } of running) await daemon.fetch('POST', `/v1/runs/${id}/stdin`, 'go\n');
    assert.equal((await daemon.follow(waiting.id)).stdout, 'my turn\n');
    for (const { id } of running) assert.equal((await daemon.follow(id)).run.state, 'succeeded');
  });
});
