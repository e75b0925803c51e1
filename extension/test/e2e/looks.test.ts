import type { Browser } from 'playwright-core';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

const THEMES = { light: 'Default Light Modern', dark: 'Default Dark Modern', 'high-contrast': 'Default High Contrast' };

describe('Looks', () => {
  const resources = new AsyncDisposableStack();
  let environment: Environment;
  let browser: Browser;

  before(async () => {
    environment = resources.use(await Environment.create());
    browser = resources.use(await launchBrowser());
  });
  after(() => resources.disposeAsync());

  for (const [name, theme] of Object.entries(THEMES))
    it(`of a run that waits for input and one that failed, ${name}`, async () => {
      await using server = await CodeServer.start({
        env: environment.env,
        settings: { 'workbench.colorTheme': theme },
      });
      const workspace = await environment.workspace('workspace');
      const window = await Window.open(browser, server.url(workspace, { development: EXTENSION }));
      await window.openFile('greet.py');
      await window.lens('Run in Sandbox').click();
      await window.shows('What is your name?');
      await window.screenshot(`${name}-waits`);
      await window.type('Ada\n');
      await window.openFile('wrong.py');
      await window.lens('Run in Sandbox').click();
      await window.shows('ZeroDivisionError');
      await window.screenshot(`${name}-failed`);
      await window.page.close();
    });
});
