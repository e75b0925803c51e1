/**
 * Runs every kind of test, one after the other, all of them even when one fails, and ends with the sum alone on the last
 * line: `N passed, N failed`. The exit code is 0 only when nothing failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Totals } from './reporter.ts';

/** The package.json scripts that hold the tests. Their set-up has been done by `pretest`. */
const KINDS = ['unit', 'integration', 'extension', 'e2e'];
/** Twice what the longest of them takes on two slow processors: one that hangs is ended, and the others still have their turn. */
const LONGEST_MS = 50 * 60_000;

const folder = mkdtempSync(join(tmpdir(), 'coderunner-tests-'));
const sum: Totals = { passes: 0, failures: 0, pending: 0 };
try {
  for (const kind of KINDS) {
    console.log(`\n── ${kind} tests`);
    const file = join(folder, `${kind}.json`);
    const { status, error } = spawnSync('npm', ['run', '--silent', '--ignore-scripts', `test:${kind}`], {
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: LONGEST_MS,
      env: { ...process.env, TEST_TOTALS: file },
    });
    if (error && (error as NodeJS.ErrnoException).code !== 'ETIMEDOUT') throw error;
    if (error) console.error(`The ${kind} tests have not ended within ${LONGEST_MS / 60_000} minutes.`);
    const totals = readTotals(file);
    sum.passes += totals.passes;
    // A run that ended badly without a failed test (a spec that does not load, a crash) is a failure all the same.
    sum.failures += status === 0 ? totals.failures : Math.max(1, totals.failures);
    sum.pending += totals.pending;
  }
} finally {
  rmSync(folder, { recursive: true });
}
if (sum.pending > 0) console.log(`${sum.pending} skipped`);
console.log(`${sum.passes} passed, ${sum.failures} failed`);
process.exitCode = sum.failures === 0 ? 0 : 1;

function readTotals(file: string): Totals {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    // Mocha never came to its end: its exit code, which is not 0 then, counts.
    return { passes: 0, failures: 0, pending: 0 };
  }
}
