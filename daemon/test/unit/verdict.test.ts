import assert from 'node:assert/strict';
import type { AgentExit } from '../../src/agent/agent.ts';
import { END_STATES, type Limits } from '../../src/protocol/index.ts';
import { describeStage, judgeStage, outOfMemory, signalName } from '../../src/runs/verdict.ts';

const LIMITS: Limits = {
  wallMs: 30_000,
  cpuMs: 1_500,
  memoryBytes: 64 * 2 ** 20,
  outputBytes: 1024,
  fileBytes: 1,
  pids: 64,
};

function exit(more: Partial<AgentExit>): AgentExit {
  return {
    stage: 'run',
    exitCode: 0,
    signal: null,
    wallMs: 12.5,
    cpuMs: 8,
    peakRssBytes: 1_000,
    cause: 'exit',
    outputBytes: 3,
    warm: true,
    ...more,
  };
}
const killed = (signal: number): Partial<AgentExit> => ({ exitCode: null, signal, cause: 'signal' });
const stopped = (cause: AgentExit['cause']): Partial<AgentExit> => ({ exitCode: null, signal: 9, cause });

describe('the verdict', () => {
  const cases: [string, Partial<AgentExit>, string | undefined, RegExp | null][] = [
    ['nothing to say about exit code 0', {}, undefined, null],
    ['failed for another exit code', { exitCode: 3 }, 'failed', null],
    ['failed for exit code 137, which is no proof of a kill', { exitCode: 137 }, 'failed', null],
    ['signaled with what the signal means', killed(11), 'signaled', /^Ended by SIGSEGV: it used memory/],
    ['signaled for one without a meaning of its own', killed(15), 'signaled', /^Ended by SIGTERM\.$/],
    ['signaled for one without a name', killed(40), 'signaled', /^Ended by SIG40\.$/],
    ['timed out with the wall time it had', stopped('wall'), 'timed_out', /ran longer than 30 s\.$/],
    ['timed out with the CPU time it had', stopped('cpu'), 'timed_out', /more than 1\.5 s of CPU time\.$/],
    ['output limit with its size', stopped('output'), 'output_limit', /printed more than 1 KiB\.$/],
    ['out of memory with its size', stopped('oom'), 'out_of_memory', /more than 64 MiB of memory\.$/],
    ['out of memory also when it exited by itself', { exitCode: 1, cause: 'oom' }, 'out_of_memory', /64 MiB/],
    ['compile failed, whatever ended the compiler', { stage: 'compile', exitCode: 1 }, 'compile_failed', /compile/],
    ['compile failed by a signal', { stage: 'compile', ...killed(11) }, 'compile_failed', /compile/],
    ['nothing to say about a compiler that succeeded', { stage: 'compile' }, undefined, null],
    ['install failed', { stage: 'install', exitCode: 1 }, 'install_failed', /could not be installed/],
    ['timed out while compiling', { stage: 'compile', ...stopped('wall') }, 'timed_out', /while it was compiled\.$/],
    [
      'out of memory while compiling',
      { stage: 'compile', ...stopped('oom') },
      'out_of_memory',
      /while it was compiled/,
    ],
    ['output limit while installing', { stage: 'install', ...stopped('output') }, 'output_limit', /was prepared\.$/],
  ];
  for (const [what, ended, state, message] of cases) {
    it(`is ${what}`, () => {
      const verdict = judgeStage(exit(ended), LIMITS);
      assert.equal(verdict?.state, state);
      if (message) assert.match(verdict?.message ?? '', message);
      else assert.equal(verdict?.message ?? null, null);
      if (verdict) assert.ok(END_STATES.includes(verdict.state));
    });
  }

  it('names the limits of the stage that reached them', () => {
    const limits = { ...LIMITS, wallMs: 60_000, memoryBytes: 2 ** 29 };
    const compiled = (cause: AgentExit['cause']) => judgeStage(exit({ stage: 'compile', ...stopped(cause) }), limits);
    assert.equal(compiled('wall')?.message, 'Stopped: ran longer than 1 min while it was compiled.');
    assert.equal(compiled('oom')?.message, 'Stopped: used more than 512 MiB of memory while it was compiled.');
  });

  it('is the same for memory wherever it was noticed', () => {
    assert.deepEqual(outOfMemory(LIMITS), judgeStage(exit(stopped('oom')), LIMITS));
    const compiling = exit({ stage: 'compile', ...stopped('oom') });
    assert.deepEqual(outOfMemory(LIMITS, 'compile'), judgeStage(compiling, LIMITS));
  });

  it('comes with the stage as people read it', () => {
    assert.deepEqual(describeStage(exit(killed(9))), {
      stage: 'run',
      exitCode: null,
      signal: 'SIGKILL',
      wallMs: 12.5,
      cpuMs: 8,
      peakMemoryBytes: 1_000,
    });
    assert.equal(signalName(2), 'SIGINT');
    assert.equal(signalName(6), 'SIGABRT');
  });
});
