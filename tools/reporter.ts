/**
 * Mocha's `spec` report, which also writes its totals to the file named by `TEST_TOTALS`: that is how `tools/test.ts` adds
 * up several runs without reading a report made for people. Tests that leave something open, which would keep the process,
 * are told what it is and fail.
 */
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** What ends in its own time after the last test has ended by then. */
const CLOSES_WITHIN_MS = 30_000;

/** What one run of mocha came to. A failed hook counts as a failed test. */
export interface Totals {
  passes: number;
  failures: number;
  pending: number;
}

export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      const file = process.env.TEST_TOTALS;
      if (file !== undefined) writeFileSync(file, JSON.stringify({ passes, failures, pending } satisfies Totals));
      setTimeout(exitWithWhatIsOpen, CLOSES_WITHIN_MS).unref();
    });
  }
}

function exitWithWhatIsOpen(): never {
  console.error(`The tests have left open: ${process.getActiveResourcesInfo().join(', ')}`);
  // Mocha has a word to say then, too; the last one counts.
  process.on('exit', () => {
    process.exitCode = 1;
  });
  process.exit();
}
