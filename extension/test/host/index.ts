/** Runs inside the extension host: VS Code calls `run()`. */
import { connect } from 'node:net';
import { format } from 'node:util';
import Mocha from 'mocha';
import { workspace } from 'vscode';

/** A line of the report, word of a failure at the time, or the totals, which come last. */
export interface Report {
  text?: string;
  failed?: true;
  totals?: { passes: number; failures: number; pending: number };
}

export async function run(): Promise<void> {
  const socket = connect(process.env.CODERUNNER_TEST_REPORT as string);
  const report = (message: Report) => socket.write(`${JSON.stringify(message)}\n`);
  const mocha = new Mocha({ ui: 'bdd', timeout: 60_000, forbidOnly: Boolean(process.env.CI) });
  const { CODERUNNER_TEST_GREP: only } = process.env;
  if (only) mocha.grep(only);
  mocha.suite.emit('pre-require', globalThis, '', mocha);
  // Mocha's own report, line by line, to where somebody reads it.
  const { consoleLog } = Mocha.reporters.Base;
  Mocha.reporters.Base.consoleLog = (...args: unknown[]) => report({ text: format(...args) });
  try {
    await loadTests();
    await new Promise<void>((resolve) => {
      const runner = mocha.run(() => resolve());
      runner.on('fail', () => report({ failed: true }));
      runner.once('end', () => {
        const { passes, failures, pending } = runner.stats as Required<Report>['totals'];
        report({ totals: { passes, failures, pending } });
      });
    });
  } catch (error) {
    report({ text: format(error), totals: { passes: 0, failures: 1, pending: 0 } });
  } finally {
    Mocha.reporters.Base.consoleLog = consoleLog;
    await new Promise<void>((resolve) => socket.end(resolve));
  }
}

/** What is open tells which tests are meant. */
async function loadTests(): Promise<void> {
  if (!workspace.isTrusted) {
    await import('./untrusted.test.ts');
  } else if (workspace.workspaceFile) {
    await import('./several-folders.test.ts');
  } else if (!workspace.workspaceFolders) {
    await import('./no-folder.test.ts');
  } else {
    await import('./run.test.ts');
    await import('./language.test.ts');
    await import('./odd.test.ts');
    await import('./past.test.ts');
    await import('./images.test.ts');
    await import('./daemons.test.ts');
  }
}
