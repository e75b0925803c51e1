/** What a run leaves, wherever it can, no other run finds: neither one beside it nor one after it. docs/security.md. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { python, TestDaemon } from '../support/live-daemon.ts';

/** Files in /workspace, /tmp, /dev/shm and /dev/mqueue, and one of each kind that is no file. */
const LEFT =
  "4 ['/proc/sysvipc/msg', '/proc/sysvipc/sem', '/proc/sysvipc/shm', 'abstract socket', 'mq_open', 'msgget', 'port', 'semget', 'shmget']\nleft\n";

describe('what a hostile program leaves', () => {
  let daemon: TestDaemon;
  let source: string;

  before(async () => {
    source = await readFile(new URL('../fixtures/attack/leftovers.py', import.meta.url), 'utf8');
    // One waits all the time: what comes next was there while the one before it ran.
    daemon = await TestDaemon.start({ poolSize: 1, maxRunning: 2 });
  });
  after(() => daemon[Symbol.asyncDispose]());

  async function findsNothing(): Promise<void> {
    const { stdout, stderr } = await daemon.runToEnd(python(source, { args: ['find'] }));
    assert.equal(stdout, '[]\n', stderr);
  }

  it('is not there for a run beside it', async () => {
    const { id } = await daemon.start(python(source, { args: ['leave', 'and wait'] }));
    await daemon.printed(id, 'left\n');
    await findsNothing();
    await daemon.fetch('POST', `/v1/runs/${id}/stdin`, '\n');
    assert.equal((await daemon.follow(id)).stdout, LEFT);
  });

  it('is not there for the runs after it', async () => {
    const { run, stdout, stderr } = await daemon.runToEnd(python(source, { args: ['leave'] }));
    assert.equal(stdout, LEFT, stderr);
    assert.equal(run.state, 'succeeded');
    for (let next = 0; next < 2; next++) await findsNothing();
  });

  it('is not there for the runs after it in the same sandbox', async () => {
    for (let next = 0; next < 3; next++) {
      const again = { reuse: 'owner' as const };
      const left = await daemon.runToEnd(python(source, { args: ['leave'], ...again }));
      assert.equal(left.stdout, LEFT, left.stderr);
      const found = await daemon.runToEnd(python(source, { args: ['find'], ...again }));
      assert.deepEqual([found.stdout, found.run.warm.reused], ['[]\n', true], found.stderr);
    }
  });
});
