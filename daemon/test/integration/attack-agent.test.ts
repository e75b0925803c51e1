/** What a program can do to its agent depends on what runs it: each language tries, above all those whose interpreters waited. docs/security.md. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import type { RunRequest } from '../../src/protocol/index.ts';
import { buildImages } from '../helpers/images.ts';
import { TestDaemon } from '../support/live-daemon.ts';

/** The program of fixtures/attack, and what it is called in the run. */
const PROGRAMS: [runtime: string, fixture: string, path: string, warm: boolean][] = [
  ['javascript', 'agent.mjs', 'main.mjs', true],
  ['javascript', 'agent.mjs', 'main.mjs', false],
  ['typescript', 'agent.mjs', 'main.mts', true],
  ['java', 'Agent.java', 'Agent.java', true],
  ['bash', 'agent.sh', 'main.sh', false],
  ['c', 'agent.c', 'main.c', false],
];

describe('a hostile program', function () {
  this.timeout(120_000);
  let daemon: TestDaemon;

  before(async function () {
    this.timeout(1_200_000);
    await using engine = await Engine.connect(loadConfig());
    await buildImages(loadConfig(), engine, [...new Set(PROGRAMS.map(([runtime]) => runtime))]);
    daemon = await TestDaemon.start();
  });
  after(() => daemon?.[Symbol.asyncDispose]());

  const run = (request: RunRequest) => daemon.runToEnd({ stdin: null, ...request });

  for (const [runtime, fixture, path, warm] of PROGRAMS) {
    it(`gets at nothing of its agent, and fails as it does: ${runtime}${warm ? ', in an interpreter that waited' : ''}`, async () => {
      const content = await readFile(new URL(`../fixtures/attack/${fixture}`, import.meta.url), 'utf8');
      const {
        run: ended,
        stdout,
        stderr,
      } = await run({ runtime, files: [{ path, content }], cold: !warm, limits: { wallMs: 60_000 } });
      assert.equal(stdout, '', stderr);
      assert.equal(ended.state, 'failed', `${ended.message} ${stderr}`);
      assert.equal(ended.exitCode, 7, stderr);
      assert.equal(ended.warm?.interpreter, warm);
    });
  }

  it('that stops its interpreter, which waited, ends in time', async () => {
    const files = [{ path: 'main.js', content: "process.kill(0, 'SIGSTOP');" }];
    const { run: ended } = await run({ runtime: 'javascript', files, limits: { wallMs: 3_000 } });
    assert.equal(ended.state, 'timed_out');
    assert.equal(ended.message, 'Stopped: ran longer than 3 s.');
  });
});
