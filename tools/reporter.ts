/**
 * Mocha's `spec` report, which also writes its totals to the file named by `TEST_TOTALS`: that is how `tools/test.ts` adds
 * up several runs without reading a report made for people.
 */
import { writeFileSync } from 'node:fs';
import Mocha from 'mocha';

/** What one run of mocha came to. A failed hook counts as a failed test. */
export interface Totals {
  passes: number;
  failures: number;
  pending: number;
}

export default class Reporter extends Mocha.reporters.Spec {
  constructor(runner: Mocha.Runner, options: Mocha.MochaOptions) {
    super(runner, options);
    const file = process.env.TEST_TOTALS;
    if (file === undefined) return;
    runner.once(Mocha.Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats;
      writeFileSync(file, JSON.stringify({ passes, failures, pending } satisfies Totals));
    });
  }
}
