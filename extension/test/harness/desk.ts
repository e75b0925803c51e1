/**
 * What the tests in real windows share: VS Code's server, a browser, and a data folder whose daemon stays warm. Made when it is first asked
 * for, and put away after the last test.
 */
import type { Browser, BrowserContext } from 'playwright-core';
import { CodeServer } from './code-server.ts';
import { Environment, EXTENSION } from './environment.ts';
import { launchBrowser, Window } from './window.ts';

const resources = new AsyncDisposableStack();
let desk: Promise<Desk> | undefined;

after(() => resources.disposeAsync());

export interface Desk {
  environment: Environment;
  server: CodeServer;
  browser: Browser;
}

export function sharedDesk(): Promise<Desk> {
  desk ??= make();
  return desk;
}

async function make(): Promise<Desk> {
  const environment = resources.use(await Environment.create());
  const server = resources.use(await CodeServer.start({ env: environment.env }));
  const browser = resources.use(await launchBrowser());
  return { environment, server, browser };
}

/**
 * A window with a fresh copy of test/fixtures/NAME, which remembers nothing of other windows.
 * @param language another one than English; of VS Code itself only what extensions say is in it
 */
export async function openWindow(name: string, language?: string): Promise<Window & { folder: string }> {
  const { environment, server, browser } = await sharedDesk();
  const folder = await environment.workspace(name);
  const context: BrowserContext = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
  if (language) await context.addInitScript(`globalThis._VSCODE_NLS_LANGUAGE = '${language}'`);
  const window = await Window.open(context, server.url(folder, { development: EXTENSION }));
  return Object.assign(window, { folder });
}
