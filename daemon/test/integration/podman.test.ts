/** Sandboxes on Podman, where there is one. docs/security.md says what differs. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { buildImages } from '../helpers/images.ts';
import { tryAllDoors } from '../support/doors.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { OwnEngine } from '../support/own-engine.ts';

const STAYS = 'import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()';
const HELLO_IN_C = '#include <stdio.h>\nint main(void) { puts("hello"); }\n';
/** Whether nothing is there of an earlier run, and leaves something for a later one. */
const LEAVES = `
import pathlib
places = [pathlib.Path(place, 'left') for place in ('/workspace', '/tmp', '/dev/shm')]
print([str(place) for place in places if place.exists()])
for place in places: place.touch()
`;
/** Prints how many processes it could start. */
const FORKS = `
import os, signal
started = 0
try:
    while started < 500:
        if os.fork() == 0: signal.pause()
        started += 1
except BlockingIOError:
    pass
print(started)
`;

// A Podman of the test's own takes root and Linux.
if (OwnEngine.isPodmanPossible) {
  describe('Podman', () => {
    let podman: OwnEngine;

    before(async function () {
      this.timeout(600_000);
      podman = await OwnEngine.startPodman();
      await using engine = await Engine.connect(loadConfig());
      const { runtimes, images } = await buildImages(loadConfig(), engine, ['python', 'c', 'sql']);
      for (const runtime of runtimes) await podman.load(images.tag(runtime));
    });
    after(() => podman[Symbol.asyncDispose]());

    it('runs what is compiled, and what has a database beside it', async () => {
      await using daemon = await TestDaemon.start({ engine: podman.address });
      const limits = { wallMs: 100_000 };
      const c = { runtime: 'c', files: [{ path: 'main.c', content: HELLO_IN_C }], limits };
      assert.equal((await daemon.runToEnd(c)).stdout, 'hello\n');
      const sql = { runtime: 'sql', files: [{ path: 'main.sql', content: 'SELECT 6 * 7 AS answer;' }], limits };
      assert.match((await daemon.runToEnd(sql)).stdout, /\| +42 \|/);
    });

    it('has a used container emptied for the next run', async () => {
      await using daemon = await TestDaemon.start({ engine: podman.address });
      // A machine that is too busy to prove in time that one is empty takes another.
      for (let reused = false; !reused; ) {
        const { run, stdout } = await daemon.runToEnd(python(LEAVES, { reuse: 'owner' }));
        assert.equal(stdout, '[]\n');
        reused = run.warm.reused === true;
      }
    });

    describe('gives a hostile program no way', () => {
      tryAllDoors(() => ({ engine: podman.address }));
    });

    it('gives it an end of memory, of processes and of time, and keeps nothing of it', async () => {
      await using daemon = await TestDaemon.start({ engine: podman.address });
      const run = (source: string) => daemon.runToEnd(python(source, { limits: { wallMs: 10_000 } }));
      assert.equal((await run('bytearray(2 ** 30)')).run.state, 'out_of_memory');
      assert.equal((await run(STAYS)).run.state, 'timed_out');
      const many = await run(FORKS);
      assert.equal(many.run.state, 'succeeded', many.stderr);
      assert.ok(Number(many.stdout) < 64, many.stdout);
      await daemon.stop();
      assert.deepEqual(await (await podman.client()).listContainers({ all: true }), []);
    });
  });
}
