/** The short form of `npm run test:chaos`: the same rounds each time, every kind of fault once. */
import assert from 'node:assert/strict';
import { runChaos } from '../chaos/chaos.ts';
import { FAULTS } from '../chaos/faults.ts';
import { OwnEngine } from '../support/own-engine.ts';

const SEED = 7;

// An engine of its own takes root and Linux.
if (OwnEngine.isPossible) {
  describe('a daemon under load', () => {
    it('gives every run one end, and is as before, after each kind of fault', async () => {
      const faults = Object.keys(FAULTS);
      const { tried, ended } = await runChaos({ rounds: faults.length, seed: SEED });
      assert.deepEqual([...tried.keys()].sort(), faults.sort());
      assert.ok((ended.get('succeeded') ?? 0) > 0);
    }).timeout(1_800_000); // on a machine that does much else
  });
}
