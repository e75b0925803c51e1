/**
 * Runs the suite that lives inside VS Code's extension host, in a real VS Code: `npm run test:extension`. Its tests report over a
 * socket what became of them.
 */
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import esbuild from 'esbuild';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';
import type { Report } from './index.ts';

/** Much longer than the suite needs: only a VS Code that hangs comes to it. */
const HANGS_AFTER_MS = 15 * 60_000;
const SUITE = join(EXTENSION, 'dist/test/index.cjs');

await esbuild.build({
  entryPoints: [join(EXTENSION, 'test/host/index.ts')],
  outfile: SUITE,
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'cjs',
  // Mocha finds its own parts beside itself.
  external: ['vscode', 'mocha'],
  sourcemap: 'inline',
  logLevel: 'warning',
});

await using environment = await Environment.create();
const socket = join(environment.folder, 'report.sock');
await using reports = createServer().listen(socket);
await using server = await CodeServer.start({ env: { ...environment.env, CODERUNNER_TEST_REPORT: socket } });
await using browser = await launchBrowser();
const workspace = await environment.workspace('workspace');
const connected = once(reports, 'connection', { signal: AbortSignal.timeout(HANGS_AFTER_MS) });
const window = await Window.open(browser, server.url(workspace, { development: EXTENSION, tests: SUITE }));
window.page.on('crash', () => reports.emit('error', new Error('The window crashed.')));

const [connection] = await connected;
const totals = { passes: 0, failures: 0, pending: 0 };
let ended = false;
for await (const line of createInterface({ input: connection, signal: AbortSignal.timeout(HANGS_AFTER_MS) })) {
  const report = JSON.parse(line) as Report;
  if (report.text !== undefined) console.log(report.text);
  if (report.failed) await window.screenshot('extension-host-failure');
  if (report.totals) {
    Object.assign(totals, report.totals);
    ended = true;
  }
}
if (!ended) {
  console.log('The extension host went away before its tests had ended.');
  totals.failures++;
}
if (process.env.TEST_TOTALS) writeFileSync(process.env.TEST_TOTALS, JSON.stringify(totals));
process.exitCode = totals.failures === 0 ? 0 : 1;
