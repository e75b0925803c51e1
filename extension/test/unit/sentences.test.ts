import assert from 'node:assert/strict';
import { constants } from 'node:os';
// biome-ignore lint/style/noRestrictedImports: what the daemon says is what is tested
import type { AgentExit } from '../../../daemon/src/agent/agent.ts';
// biome-ignore lint/style/noRestrictedImports: what the daemon says is what is tested
import { judgeStage } from '../../../daemon/src/runs/verdict.ts';
import { takeApart } from '../../src/sentences.ts';

const LIMITS = { wallMs: 10_000, cpuMs: 5_000, outputBytes: 2 ** 20, fileBytes: 2 ** 20, memoryBytes: 2 ** 28 };

describe('Sentences in English', () => {
  it('are known, whatever the daemon says of how a program ended', () => {
    const ends: Pick<AgentExit, 'cause' | 'exitCode' | 'signal'>[] = [
      ...(['wall', 'cpu', 'output', 'oom'] as const).map((cause) => ({ cause, exitCode: null, signal: 9 })),
      ...Object.values(constants.signals).map((signal) => ({ cause: 'signal' as const, exitCode: null, signal })),
      { cause: 'exit', exitCode: 1, signal: null },
    ];
    for (const stage of ['install', 'compile', 'run'])
      for (const end of ends) {
        const { message } =
          judgeStage({ stage, wallMs: 1, cpuMs: 1, peakRssBytes: 1, ...end } as AgentExit, LIMITS) ?? {};
        if (message) assert.ok(takeApart(message), message);
      }
  });

  it('are taken apart into what is always the same and what is not', () => {
    assert.deepEqual(takeApart('Stopped: used more than 256 MiB of memory while it was compiled.'), {
      text: 'Stopped: used more than {0} of memory while it was compiled.',
      values: ['256 MiB'],
    });
    assert.deepEqual(
      takeApart('/a has more than 20 files, the most that go along with a run. Most are in b, c.')?.values,
      ['/a', '20', 'b, c'],
    );
  });

  it('stay as they are where nobody knows them', () => {
    assert.equal(takeApart('Something else happened.'), undefined);
  });
});
