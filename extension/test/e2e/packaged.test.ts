import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, ROOT } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

/** Packaging fetches vsce, and the package's images may have to be built. */
const FIRST_TIME_MS = 10 * 60_000;

describe('The packaged extension, installed in a fresh VS Code', () => {
  const resources = new AsyncDisposableStack();
  let window: Window;

  before(async function () {
    this.timeout(FIRST_TIME_MS);
    const environment = resources.use(await Environment.create());
    const packaging = spawn(process.execPath, [join(ROOT, 'tools/package.ts'), environment.folder], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [code] = await once(packaging, 'exit');
    if (code !== 0) throw new Error(`Packaging failed with exit code ${code}.`);
    const [vsix] = (await readdir(environment.folder)).filter((name) => name.endsWith('.vsix'));
    const server = resources.use(
      await CodeServer.start({ env: environment.env, vsix: [join(environment.folder, vsix as string)] }),
    );
    const browser: Browser = resources.use(await launchBrowser());
    window = await Window.open(browser, server.url(await environment.workspace('workspace')));
  });
  after(() => resources.disposeAsync());

  it('runs a program that asks for input, with nothing else configured', async function () {
    this.timeout(FIRST_TIME_MS);
    await window.openFile('greet.py');
    await window.lens('Run in Sandbox').click();
    await window.shows('What is your name?', FIRST_TIME_MS);
    await window.type('Ada\n');
    await window.shows('Nice to meet you, Ada!');
    await window.screenshot('packaged');
  });
});
