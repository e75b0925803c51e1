/**
 * Runs the suite that lives inside VS Code's extension host, in a real VS Code: `npm run test:extension`. A window for each kind of
 * workspace, one after the other, all with one daemon; what became of the tests is reported over a socket. A desktop VS Code is taken
 * where there is one, else the one of harness/code-server.ts.
 *
 *   node extension/test/host/main.ts [PATTERN]   only the tests whose names match
 */
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import esbuild from 'esbuild';
import type { Browser } from 'playwright-core';
import { CodeServer } from '../harness/code-server.ts';
import { Desktop } from '../harness/desktop.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';
import type { Report } from './index.ts';

/** Much longer than the suite needs: only a VS Code that hangs comes to it. */
const HANGS_AFTER_MS = 15 * 60_000;
const SUITE = join(EXTENSION, 'dist/test/index.cjs');
const REPORTS = 'CODERUNNER_TEST_REPORT';

interface Kind {
  name: string;
  trusted: boolean;
  /** What is opened; undefined: nothing. */
  workspace(environment: Environment): Promise<string | undefined>;
}

/** The tests know by what is open which of them are meant (index.ts). */
const WINDOWS: readonly Kind[] = [
  { name: 'a folder', trusted: true, workspace: (environment) => environment.workspace('workspace') },
  { name: 'several folders', trusted: true, workspace: severalFolders },
  { name: 'no folder', trusted: true, workspace: async () => undefined },
  {
    name: 'a folder that is not trusted',
    trusted: false,
    workspace: (environment) => environment.workspace('workspace'),
  },
];

/** A window with tests in it. */
interface Opened {
  screenshot(name: string): Promise<void>;
  /** Rejects when it goes wrong before the tests can say so. */
  broken: Promise<never>;
  close(): Promise<void>;
}

type Open = (kind: Kind, workspace: string | undefined) => Promise<Opened>;

async function severalFolders(environment: Environment): Promise<string> {
  const folders = ['one', 'two'].map((name) => ({ path: join(environment.folder, 'several', name) }));
  for (const [index, { path }] of folders.entries()) {
    await mkdir(path, { recursive: true });
    await writeFile(join(path, 'main.py'), `import neighbour\nprint(neighbour.NAME)\n`);
    await writeFile(join(path, 'neighbour.py'), `NAME = "from folder ${index + 1}"\n`);
  }
  const file = join(environment.folder, 'several.code-workspace');
  await writeFile(file, JSON.stringify({ folders }));
  return file;
}

function onDesktop(desktop: Desktop, env: NodeJS.ProcessEnv): Open {
  return async ({ trusted }, workspace) => {
    const closed = desktop.run({ tests: SUITE, workspace, trusted, env });
    return {
      screenshot: async () => {},
      broken: closed.then(() => new Promise<never>(() => {})),
      // A failed test is reported; the exit code says it a second time.
      close: () => closed.catch(() => {}),
    };
  };
}

function inBrowser(browser: Browser, env: NodeJS.ProcessEnv): Open {
  return async ({ trusted }, workspace) => {
    const server = await CodeServer.start({ env, trusted });
    const window = await Window.open(browser, server.url(workspace, { development: EXTENSION, tests: SUITE }));
    return {
      screenshot: (name) => window.screenshot(name),
      broken: new Promise((_, reject) => window.page.on('crash', () => reject(new Error('The window crashed.')))),
      async close() {
        await window.page.close();
        await server[Symbol.asyncDispose]();
      },
    };
  };
}

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
const [pattern] = process.argv.slice(2);
const env = { ...environment.env, [REPORTS]: socket, ...(pattern ? { CODERUNNER_TEST_GREP: pattern } : {}) };
await using resources = new AsyncDisposableStack();
const desktop = await Desktop.find();
let open: Open;
if (typeof desktop === 'string') {
  console.log(`${desktop} The tests run in the one that code-server brings.`);
  open = inBrowser(resources.use(await launchBrowser()), env);
} else {
  open = onDesktop(desktop, env);
}

const totals = { passes: 0, failures: 0, pending: 0 };
for (const kind of WINDOWS) {
  console.log(`\n  A window with ${kind.name}`);
  const signal = AbortSignal.timeout(HANGS_AFTER_MS);
  const connected = once(reports, 'connection', { signal });
  const window = await open(kind, await kind.workspace(environment));
  try {
    const [connection] = await Promise.race([connected, window.broken]);
    let ended = false;
    for await (const line of createInterface({ input: connection, signal })) {
      const report = JSON.parse(line) as Report;
      if (report.text !== undefined) console.log(report.text);
      if (report.failed) await window.screenshot('extension-host-failure');
      if (!report.totals) continue;
      for (const name of ['passes', 'failures', 'pending'] as const) totals[name] += report.totals[name];
      ended = true;
    }
    if (!ended) throw new Error('The extension host went away before its tests had ended.');
  } catch (error) {
    console.log((error as Error).message);
    totals.failures++;
  } finally {
    await window.close();
  }
}
console.log(`\n  ${totals.passes} passing, ${totals.failures} failing`);
if (process.env.TEST_TOTALS) await writeFile(process.env.TEST_TOTALS, JSON.stringify(totals));
// A suite without a test would pass whatever is broken.
process.exitCode = totals.failures === 0 && totals.passes > 0 ? 0 : 1;
