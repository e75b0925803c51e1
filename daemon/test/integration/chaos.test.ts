/** The short form of `npm run test:chaos`: the same rounds each time, every kind of fault once. */
import assert from 'node:assert/strict';
import { inWords, runChaos } from '../chaos/chaos.ts';
import { FAULTS } from '../chaos/faults.ts';
import { OwnEngine } from '../support/own-engine.ts';

const SEED = 7;

if (OwnEngine.isPossible) {
  describe('a daemon under load', () => {
    it('gives every run one end, and is as before, after each kind of fault', async () => {
      const faults = Object.keys(FAULTS);
      const report = await runChaos({ rounds: faults.length, seed: SEED });
      console.log(inWords(report).replace(/^/gm, '      '));
      assert.deepEqual([...report.tried.keys()].sort(), faults.sort());
      assert.ok((report.ended.get('succeeded') ?? 0) > 0);
    }).timeout(1_800_000); // on a machine that does much else
  });
} else console.log('Chaos is not tried: an engine of its own takes root on Linux, and dockerd.');
