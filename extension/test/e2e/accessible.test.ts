import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

/** A language whose image takes longer to build than anybody waits. */
const SLOW = {
  id: 'slow',
  name: 'Slow',
  version: '1',
  aliases: [],
  languageIds: ['plaintext'],
  extensions: ['.txt'],
  entry: 'main.txt',
  compile: null,
  run: { argv: ['/bin/cat', '${entry}'] },
  limits: { memory: '64MiB', pids: 16, wall: '10s' },
};

describe('With a screen reader, in high contrast', () => {
  const resources = new AsyncDisposableStack();
  let window: Window;

  before(async () => {
    const environment = resources.use(await Environment.create());
    const languages = join(environment.folder, 'languages');
    await mkdir(join(languages, 'slow'), { recursive: true });
    await writeFile(join(languages, 'slow/runtime.json'), JSON.stringify(SLOW));
    await writeFile(join(languages, 'slow/Dockerfile'), 'ARG BASE\nFROM ${BASE}\nRUN sleep 3600\n');
    const workspace = join(environment.folder, 'texts');
    await mkdir(workspace);
    await writeFile(join(workspace, 'story.txt'), 'Once upon a time.\n');
    const server = resources.use(
      await CodeServer.start({
        env: { ...environment.env, CODERUNNER_RUNTIMES_PATH: languages },
        settings: { 'workbench.colorTheme': 'Default High Contrast', 'editor.accessibilitySupport': 'on' },
      }),
    );
    const browser = resources.use(await launchBrowser());
    window = await Window.open(browser, server.url(workspace, { development: EXTENSION }));
  });
  after(() => resources.disposeAsync());

  it('what a run does is announced, and the first run of a language tells the steps of its preparation', async () => {
    await window.openFile('story.txt');
    await window.command('CodeRunner: Run in Sandbox');
    await window.console.getByRole('status').filter({ hasText: 'story.txt: Preparing' }).first().waitFor();
    // The terminal's text, as a screen reader finds it.
    await window.console
      .locator('.xterm-accessibility')
      .filter({ hasText: 'sleep 3600' })
      .waitFor({ state: 'attached' });
    await window.screenshot('accessible-preparing');
  });

  it('the preparation is cancelled by its notification', async () => {
    await window.command('Notifications: Show Notifications');
    const notification = window.page
      .locator('.notification-list-item')
      .filter({ hasText: 'Preparing Slow for its first run' });
    await notification.getByRole('button', { name: 'Cancel' }).click();
    await window.console.getByRole('status').filter({ hasText: 'story.txt: Stopped' }).first().waitFor();
    await window.says('Stopped');
    await window.screenshot('accessible-stopped');
  });

  it('the console has the theme’s colours and borders', async () => {
    const color = (property: string) =>
      window.console.locator('body').evaluate((body, name) => {
        const { getComputedStyle } = globalThis as unknown as { getComputedStyle(of: unknown): Record<string, string> };
        return getComputedStyle(body)[name];
      }, property);
    assert.equal(await color('color'), 'rgb(255, 255, 255)');
    assert.equal(await color('backgroundColor'), 'rgb(0, 0, 0)');
    assert.match((await window.console.locator('body').getAttribute('class')) ?? '', /vscode-high-contrast/);
  });
});
