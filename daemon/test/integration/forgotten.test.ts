import assert from 'node:assert/strict';
import { join } from 'node:path';
import { TestRuntime } from '../helpers/container.ts';

const FILES = join(import.meta.dirname, '../../../runtimes/bash/examples');
const FIRST_RUN_MS = 10 * 60_000;

describe('A container of which its engine knows no more', () => {
  let runtime: TestRuntime;
  before(async function () {
    this.timeout(FIRST_RUN_MS);
    runtime = await TestRuntime.open('bash');
  });
  after(() => runtime[Symbol.asyncDispose]());

  it('ends, since nobody answers its agent; one that was answered goes on waiting', async () => {
    const command = ['--answer-ms', '500'];
    await using answered = await runtime.sandbox(command);
    await runtime.endUnanswered(command);
    // That one began later, so the time of this one is over, too.
    const { exitCode } = await runtime.runIn(answered, { files: FILES, entry: 'hello.sh', warm: false });
    assert.equal(exitCode, 0);
  });
});
