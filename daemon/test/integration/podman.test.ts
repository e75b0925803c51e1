/** Sandboxes on Podman, where there is one. docs/security.md says what differs. */
import assert from 'node:assert/strict';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { buildImages } from '../helpers/images.ts';
import { tryAllDoors } from '../support/doors.ts';
import { python, TestDaemon } from '../support/live-daemon.ts';
import { OwnEngine } from '../support/own-engine.ts';

const STAYS = 'import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: signal.pause()';
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
  describe('a hostile program on Podman', () => {
    let podman: OwnEngine;

    before(async function () {
      this.timeout(600_000);
      podman = await OwnEngine.startPodman();
      await using engine = await Engine.connect(loadConfig());
      const { runtimes, images } = await buildImages(loadConfig(), engine, ['python']);
      for (const runtime of runtimes) await podman.load(images.tag(runtime));
    });
    after(() => podman[Symbol.asyncDispose]());

    describe('finds no way', () => {
      tryAllDoors(() => ({ engine: podman.address }));
    });

    it('has an end of memory, of processes and of time, and nothing of it stays', async () => {
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
