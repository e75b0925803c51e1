/**
 * `npm run test:chaos`: breaks a daemon and what it stands on, round after round. docs/reliability.md says what must hold.
 *
 *   --rounds N    how many faults, one a round; 20 when left out
 *   --seed S      what everything that is chosen comes from; the same seed chooses the same again. Any when left out
 *   --fault NAME  only that one; may be given several times
 *
 * Ctrl+C ends it after the present round, with what was found until then.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { OwnEngine } from '../support/own-engine.ts';
import { inWords, runChaos, Violation } from './chaos.ts';
import { FAULTS } from './faults.ts';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '20' },
    seed: { type: 'string', default: `${randomInt(1_000_000)}` },
    fault: { type: 'string', multiple: true, default: Object.keys(FAULTS) },
  },
});
const rounds = Number(options.rounds);
const seed = Number(options.seed);
const unknown = options.fault.find((name) => !Object.hasOwn(FAULTS, name));
if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) {
  console.error(`Whole numbers for --rounds and --seed; --fault takes one of ${Object.keys(FAULTS).join(', ')}.`);
  process.exit(2);
}
if (!OwnEngine.isPossible) {
  console.error('This takes root on Linux and Docker’s dockerd: an engine of its own is killed.');
  process.exit(2);
}

console.log(`${rounds} rounds, seed ${seed}`);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
try {
  const report = await runChaos({ rounds, seed, faults: options.fault, signal: stop.signal, onRound: console.log });
  console.log(`\n${inWords(report)}`);
} catch (error) {
  if (!(error instanceof Violation)) throw error;
  console.error(`\nVIOLATED: ${error.message}`);
  process.exitCode = 1;
}
