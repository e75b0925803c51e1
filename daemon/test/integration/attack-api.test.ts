/** Hostile clients that have the token: what they ask for costs the daemon no more than it can bear. docs/security.md. */
import assert from 'node:assert/strict';
import { python, TestDaemon, WAITS } from '../support/live-daemon.ts';

const MiB = 2 ** 20;

describe('a hostile client', () => {
  let daemon: TestDaemon;
  before(async () => {
    daemon = await TestDaemon.start({ maxRunning: 1 });
  });
  after(() => daemon[Symbol.asyncDispose]());

  it('that asks for much and reads nothing is not listened to until it reads, and then gets all', async () => {
    const { run } = await daemon.runToEnd(python(`import os\nfor _ in range(16): os.write(1, b'x' * ${MiB / 16})`));
    await using stream = await daemon.stream();
    const asked = 150;
    const before = process.memoryUsage().arrayBuffers;
    stream.socket.pause();
    for (let handle = 0; handle < asked; handle++) stream.send({ type: 'run.subscribe', handle, id: run.id });
    stream.send({ type: 'run.start', handle: asked, request: python('') });
    // Each answer takes the daemon a turn of its loop at least, and the messages came before.
    for (let turn = 0; turn < 20; turn++) assert.equal((await daemon.fetch('GET', '/v1/status')).status, 200);
    const { runs } = await daemon.json<{ runs: { id: string }[] }>('GET', '/v1/runs');
    assert.deepEqual(
      runs.map(({ id }) => id),
      [run.id],
      'the run after them was not started',
    );
    const held = process.memoryUsage().arrayBuffers - before;
    assert.ok(held < 64 * MiB, `${held} bytes are held`);
    stream.socket.resume();
    for (let handle = 0; handle < asked; handle++) {
      await stream.exit(handle);
      assert.equal(stream.text(handle).length, MiB);
    }
    assert.equal((await stream.exit(asked)).state, 'succeeded');
  });

  it('that lets large runs wait has them written down, and they run', async () => {
    await using stream = await daemon.stream();
    stream.send({ type: 'run.start', handle: 1, request: python(WAITS) });
    await stream.printed(1, 'ready');
    const large = { path: 'large', content: 'x'.repeat(8 * MiB) };
    const count = { path: 'main.py', content: "print(len(open('large').read()))" };
    const waiting = await daemon.start({ runtime: 'python', entry: 'main.py', files: [count, large] });
    stream.stdin(1, 'go\n');
    assert.equal((await daemon.follow(waiting.id)).stdout, `${8 * MiB}\n`);
  });
});
