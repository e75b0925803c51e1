/** One container for several runs: the next finds nothing of the one before it, or there is no next one. docs/decisions/0021. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { AgentFailure, AgentGone } from '../../src/agent/agent.ts';
import type { Sandbox } from '../../src/pool/sandbox.ts';
import { STDIN_WINDOW_BYTES } from '../../src/protocol/index.ts';
import { type RunEnd, type RunOptions, TestRuntime } from '../helpers/container.ts';

const HOSTILE = { files: fileURLToPath(new URL('../fixtures/reset/', import.meta.url)), entry: 'hostile.py' };
const ATTACK = { files: fileURLToPath(new URL('../fixtures/parent/', import.meta.url)), entry: 'attack.py' };
const LEFTOVERS = { files: fileURLToPath(new URL('../fixtures/attack/', import.meta.url)), entry: 'leftovers.py' };

/** What can be removed, whatever the program does about it. */
const REMOVED = [
  'processes',
  'killers',
  'tree',
  'many',
  'kinds',
  'rights',
  'system_v',
  'queues',
  'memory',
  'server',
  'files_in_flight',
];
/** What cannot be taken back. */
const KEPT: Record<string, string> = {
  connection: 'There is something left in /proc/net/tcp.',
  killed: 'The kernel has ended a process for its memory.',
};

/** A parent that has ended may be noticed before it is asked for an interpreter, or then. */
const NOT_FORKED = /^(No interpreter could be forked for the next run|.* having an interpreter forked: Broken pipe)\.$/;

/** The engine may take that long to put a command into a container. */
const COMMAND_WITHIN_MS = 60_000;

describe('a sandbox that is used again', () => {
  let python: TestRuntime;
  before(async () => {
    python = await TestRuntime.open('python');
  });
  after(() => python[Symbol.asyncDispose]());

  const run = (
    sandbox: Sandbox,
    more: Pick<RunOptions, 'args' | 'limits' | 'stdin' | 'creditBytes'>,
    of = HOSTILE,
  ): Promise<RunEnd> => python.runIn(sandbox, { ...of, warm: true, ...more });
  const look = async (sandbox: Sandbox): Promise<{ uid: number; found: string[] }> => {
    const { stdout, stderr } = await run(sandbox, { args: ['look'] });
    assert.equal(stderr.toString(), '');
    return JSON.parse(stdout.toString());
  };
  const refusal = (sandbox: Sandbox, user: number): Promise<unknown> =>
    sandbox.reset(user).then(
      () => assert.fail('It was made fit for another run.'),
      (error: unknown) => error,
    );

  /** What the agent is told to have such a parent; one that says nothing is not waited for long. */
  const falseParent = async (way: string): Promise<string[]> => {
    const source = await readFile(new URL('../fixtures/parent/false_parent.py', import.meta.url), 'utf8');
    const patience = way === 'silent' ? ['--warm-ready-ms', '1000'] : [];
    return ['--warm-forks', ...patience, '--', '/usr/bin/python3', '-c', source, way];
  };

  for (const way of REMOVED) {
    it(`has nothing of a program that leaves ${way.replaceAll('_', ' ')}`, async () => {
      await using sandbox = await python.sandbox();
      // The second time its interpreter was forked, and what did so must stay.
      for (const user of [1, 3]) {
        const { stderr, signal, exitCode } = await run(sandbox, { args: [way] });
        assert.deepEqual([stderr.toString(), signal, exitCode], ['', null, 0]);
        await sandbox.reset(user);
        assert.deepEqual(await look(sandbox), { uid: 10_001 + user, found: [] });
        await sandbox.reset(user + 1);
      }
    });
  }

  for (const [way, why] of Object.entries(KEPT)) {
    it(`is not, after a program that leaves what cannot be removed: ${way}`, async () => {
      await using sandbox = await python.sandbox();
      assert.equal((await run(sandbox, { args: [way] })).exitCode, 0);
      const error = await refusal(sandbox, 1);
      assert.ok(error instanceof AgentFailure, `${error}`);
      assert.deepEqual([error.code, error.message], ['not_clean', why]);
      await sandbox.agent.closed;
    });
  }

  it('has nothing of whatever the attack on a run after another leaves', async () => {
    await using sandbox = await python.sandbox();
    for (let user = 1; user <= 3; user++) {
      const left = await run(sandbox, { args: ['leave'] }, LEFTOVERS);
      assert.match(left.stdout.toString(), /^4 .*\nleft\n$/);
      await sandbox.reset(user * 2 - 1);
      assert.equal((await run(sandbox, { args: ['find'] }, LEFTOVERS)).stdout.toString(), '[]\n');
      await sandbox.reset(user * 2);
    }
  });

  it('is another user’s each time, has a waiting interpreter again, and says which run it is at', async () => {
    await using sandbox = await python.sandbox();
    for (let user = 0; user < 4; user++) {
      if (user > 0) await sandbox.reset(user);
      assert.deepEqual(await look(sandbox), { uid: 10_001 + user, found: [] });
      assert.equal(sandbox.runs, user + 1);
      assert.equal(sandbox.warm, true);
    }
  });

  it('counts nothing of the run before', async () => {
    await using sandbox = await python.sandbox();
    const busy = await run(sandbox, { args: ['busy'] });
    assert.ok(busy.cpuMs >= 1_400 && busy.peakRssBytes > 120 * 2 ** 20, JSON.stringify(busy));
    await sandbox.reset(1);
    const { cpuMs, peakRssBytes, outputBytes, stdout } = await run(sandbox, { args: ['look'] });
    assert.ok(cpuMs < 1_000 && peakRssBytes < 60 * 2 ** 20, `${cpuMs} ms, ${peakRssBytes} bytes`);
    assert.equal(outputBytes, stdout.length);
  });

  it('holds the next run to its limits', async () => {
    await using sandbox = await python.sandbox();
    await look(sandbox);
    await sandbox.reset(1);
    const spinning = await run(sandbox, { args: ['busy'], limits: { cpuMs: 300 } });
    assert.equal(spinning.cause, 'cpu');
    await sandbox.reset(2);
    const waiting = await run(sandbox, { args: ['wait'], limits: { wallMs: 300 } });
    assert.equal(waiting.cause, 'wall');
    await sandbox.reset(3);
    const printing = await run(sandbox, { args: ['look'], limits: { outputBytes: 10 } });
    assert.deepEqual([printing.cause, printing.stdout.length], ['output', 10]);
    await sandbox.reset(4);
    assert.deepEqual(await look(sandbox), { uid: 10_005, found: [] });
  });

  it('sends nothing on the credit of the run before', async () => {
    await using sandbox = await python.sandbox();
    const { agent } = sandbox;
    await look(sandbox);
    await sandbox.reset(1);
    let input = STDIN_WINDOW_BYTES;
    agent.onStdinCredit = (bytes) => {
      input -= bytes;
      if (input === 0) agent.credit(2_000);
    };
    // One that sends more than it may is not heard any longer.
    const { stdout } = await run(sandbox, {
      args: ['print_and_read'],
      stdin: 'x'.repeat(STDIN_WINDOW_BYTES),
      creditBytes: 0,
    });
    assert.equal(stdout.length, 1_001);
  });

  it('is one in which no run reaches the process that forked it, nor finds there what the one before it left', async () => {
    await using sandbox = await python.sandbox();
    const letters = [...randomBytes(20).toString('hex')].join();
    const seen = [];
    for (let user = 0; user < 4; user++) {
      if (user > 0) await sandbox.reset(user);
      const { stdout, stderr, exitCode } = await run(sandbox, { args: [letters] }, ATTACK);
      assert.deepEqual([exitCode, stderr.toString()], [0, '']);
      seen.push(JSON.parse(stdout.toString()));
    }
    // A container that is used once has none; all runs after that have the same.
    const parents = seen.map((found) => found.parents);
    assert.deepEqual(parents, [[], ...Array(3).fill(parents[1])]);
    assert.equal(parents[1].length, 1);
    assert.deepEqual(seen[1].rights, [
      'CapInh:\t0000000000000000\n',
      'CapPrm:\t00000000000000c0\n',
      'CapAmb:\t0000000000000000\n',
    ]);
    for (const found of seen)
      assert.deepEqual(
        [found.remembered, found.succeeded, found.shared, found['first to go']],
        [[], [], [], []],
        JSON.stringify(found),
      );
  });

  it('is one in which not even another process of root looks into the one that forks', async function () {
    this.timeout(COMMAND_WITHIN_MS);
    await using sandbox = await python.sandbox();
    await look(sandbox);
    await sandbox.reset(1);
    const { parents } = JSON.parse((await run(sandbox, { args: ['0'] }, ATTACK)).stdout.toString());
    assert.equal(parents.length, 1);
    const source = await readFile(new URL('../fixtures/parent/look_into.py', import.meta.url), 'utf8');
    assert.deepEqual(JSON.parse(await python.asRoot(sandbox, ['python3', '-c', source, ...parents.map(String)])), {
      own: ['maps', 'environ', 'mem', 'fd/0', 'exe'],
      named: [[]],
    });
  });

  for (const way of ['ends', 'talks', 'forgets', 'silent', 'keeps_its_user']) {
    it(`is not, where the parent of its interpreters ${way.replaceAll('_', ' ')}`, async () => {
      await using sandbox = await python.sandbox(await falseParent(way));
      await look(sandbox);
      const error = await refusal(sandbox, 1);
      assert.ok(error instanceof AgentFailure, `${error}`);
      assert.equal(error.code, 'internal');
      assert.match(error.message, NOT_FORKED);
      await sandbox.agent.closed;
    });
  }

  it('goes on with its run when the parent of its interpreters has ended, and is not used again after it', async () => {
    await using sandbox = await python.sandbox(await falseParent('forks_once'));
    await look(sandbox);
    await sandbox.reset(1);
    assert.deepEqual(await look(sandbox), { uid: 10_002, found: [] });
    const error = await refusal(sandbox, 2);
    assert.ok(error instanceof AgentFailure, `${error}`);
    assert.match(error.message, NOT_FORKED);
  });

  it('is not for the user that it was for, nor before a run, nor is anything taken meanwhile', async () => {
    const cases: [string, (sandbox: Sandbox) => Promise<unknown>][] = [
      ['the same user', (sandbox) => refusal(sandbox, 0)],
      ['twice', (sandbox) => sandbox.reset(1).then(() => refusal(sandbox, 2))],
      [
        'a run at once',
        (sandbox) => {
          const ended = refusal(sandbox, 1);
          sandbox.agent.credit(1);
          return ended;
        },
      ],
    ];
    for (const [what, attempt] of cases) {
      await using sandbox = await python.sandbox();
      await look(sandbox);
      const error = await attempt(sandbox);
      assert.ok(error instanceof AgentFailure, `${what}: ${error}`);
      assert.equal(error.code, 'protocol_error', what);
    }
  });

  it('ends where it goes away meanwhile', async () => {
    await using sandbox = await python.sandbox();
    await look(sandbox);
    const ended = refusal(sandbox, 1);
    sandbox.agent.close('The test ends it.');
    assert.ok((await ended) instanceof AgentGone);
  });
});
