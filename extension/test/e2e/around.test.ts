import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openWindow } from '../harness/desk.ts';
import type { Window } from '../harness/window.ts';

describe('Around the console', () => {
  let window: Window & { folder: string };
  before(async () => {
    window = await openWindow('terminal');
  });
  after(() => window.page.context().close());
  afterEach(async function () {
    const { currentTest } = this;
    if (currentTest) await window.screenshot(currentTest.fullTitle().replace(/\W+/g, '-').toLowerCase());
  });

  it('everything is done by keyboard: running, typing, stopping', async () => {
    const { keyboard } = window.page;
    await window.page.locator('.explorer-folders-view').waitFor();
    await keyboard.press('Control+p');
    await keyboard.type('ask.py');
    await window.page.locator('.quick-input-list .monaco-list-row').getByText('ask.py').first().waitFor();
    await keyboard.press('Enter');
    await window.page.locator('.view-line').filter({ hasText: 'name = input' }).waitFor();
    await window.command('CodeRunner: Run in Sandbox');
    await window.shows('Your name?');
    await window.command('CodeRunner: Show Console');
    await window.console.locator('.xterm.focus:visible').waitFor();
    await keyboard.type('Grace\n');
    await window.shows('Hello, Grace.');
    await window.command('CodeRunner: Rerun Last');
    await window.says('Running');
    await keyboard.press('Control+Alt+.');
    await window.says(/stopped|cancelled/i);
  });

  it('files that a program leaves are listed; pictures are shown; each can be opened and saved', async () => {
    await window.run('files.py', 'Left two files behind.');
    await window.console.getByRole('button', { name: '2 files produced' }).waitFor();
    const picture = window.console.locator('.preview img');
    await picture.waitFor();
    assert.equal(await picture.evaluate((image) => (image as { naturalWidth?: number }).naturalWidth), 48);
    const row = window.console.locator('.files li').filter({ hasText: 'table.csv' });
    await row.hover();
    await row.getByRole('button', { name: 'Save table.csv…' }).click();
    await window.page.locator('.quick-input-widget').filter({ hasText: 'Save' }).waitFor();
    await window.page.keyboard.press('Enter');
    await window.page.locator('.explorer-folders-view').getByText('table.csv').waitFor();
    assert.equal(await readFile(join(window.folder, 'table.csv'), 'utf8'), 'name,value\nfirst,1\n');
    await row.getByRole('button', { name: 'Open table.csv' }).or(row.getByText('table.csv')).first().click();
    await window.page.locator('.tab.active').getByText('table.csv').waitFor();
  });

  it('those who prefer the output channel find the same text there', async () => {
    await window.run('progress.py', 'That is all.');
    await window.command('CodeRunner: Show Output Channel');
    const output = window.page.locator('[id="workbench.panel.output"] .view-lines');
    await output.filter({ hasText: 'That is all.' }).waitFor();
    const text = (await output.innerText()).replaceAll('\u00a0', ' ');
    assert.match(text, /^#{20} 100 %$/m);
    assert.equal(text.match(/%/g)?.length, 1);
  });

  it('what was run is in a list, with its output and a button that runs it again', async () => {
    await window.run('ask.py', 'Your name?');
    await window.type('Edsger\n');
    await window.shows('Hello, Edsger.');
    await window.command('Run and Debug: Focus on Sandbox Runs View');
    const item = window.page
      .locator('.pane')
      .filter({ hasText: 'Sandbox Runs' })
      .getByRole('treeitem', { name: /ask\.py/ })
      .first();
    await item.hover();
    const former = (await item.textContent()) ?? '';
    await item.getByRole('button', { name: 'Run Again' }).click();
    await window.says('Running');
    await window.type('Barbara\n');
    await window.shows('Hello, Barbara.');
    // The list is read anew when a run has ended.
    await item.filter({ hasNotText: former }).waitFor();
    await item.click();
    await window.shows('Hello, Barbara.');
    await window.command('View: Show Explorer');
  });

  it('the walkthrough leads to a running program', async () => {
    await window.command('Welcome: Open Walkthrough...');
    await window.choose('CodeRunner');
    const page = window.page.locator('.gettingStartedContainer');
    await page.getByText('Open a program').click();
    await page.getByRole('button', { name: 'Open an Example' }).click();
    await window.page.locator('.tab.active').getByText('Untitled').waitFor();
    await window.press('Run in Sandbox', (timeout) => window.shows('What is your name?', timeout));
    await window.type('Katherine\n');
    await window.shows('Nice to meet you, Katherine!');
  });
});
