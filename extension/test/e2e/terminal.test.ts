import assert from 'node:assert/strict';
import { openWindow } from '../harness/desk.ts';
import type { Window } from '../harness/window.ts';

describe('The console is a terminal', () => {
  let window: Window;
  before(async () => {
    window = await openWindow('terminal');
  });
  after(() => window.page.context().close());
  afterEach(async function () {
    const { currentTest } = this;
    if (currentTest) await window.screenshot(currentTest.fullTitle().replace(/\W+/g, '-').toLowerCase());
  });

  it('tells the program its size, and every change of it', async () => {
    const rows = () => window.screen.locator('> div').count();
    await window.run('size.py', /\d+ columns, \d+ lines/);
    await window.shows(` columns, ${await rows()} lines`);
    const before = await rows();
    await window.command('View: Toggle Maximized Panel');
    await window.shows(/lines\s*\d+ columns, \d+ lines/);
    assert.ok((await rows()) > before);
    await window.shows(` columns, ${await rows()} lines`);
    await window.command('View: Toggle Maximized Panel');
    await window.button('Stop').click();
    await window.says(/stopped|cancelled/i);
  });

  it('gives the program a paste of a thousand lines, and the end of its input with Ctrl-D', async () => {
    const lines = Array.from({ length: 1_000 }, (_, index) => `pasted ${index + 1}`);
    await window.run('count.py', 'Lines, please.');
    await window.paste(`${lines.join('\n')}\n`);
    await window.shows('pasted 1000');
    await window.page.keyboard.press('Control+d');
    await window.shows("1000 lines, from 'pasted 1' to 'pasted 1000'");
  });

  it('marks where a paste begins and ends for a program that asks for it', async () => {
    await window.run('paste.py', 'Paste, please.');
    await window.paste(Array.from({ length: 1_000 }, (_, index) => `pasted ${index + 1}`).join('\n'));
    await window.shows("pasted 1000 lines, the last 'pasted 1000'");
  });

  it('draws a progress bar over itself', async () => {
    await window.run('progress.py', 'That is all.');
    const text = (await window.screen.locator('> div').allInnerTexts()).join('\n');
    assert.match(text, /^#{20} 100 %/m);
    assert.equal(text.match(/%/g)?.length, 1);
  });

  it('interrupts with Ctrl-C', async () => {
    await window.run('forever.py', 'Until somebody stops me.');
    await window.keyboard.focus();
    await window.page.keyboard.press('Control+c');
    await window.shows('KeyboardInterrupt');
  });

  it('searches what was printed', async () => {
    await window.run('long.py', 'More?');
    await window.keyboard.focus();
    await window.page.keyboard.press('Control+f');
    await window.page.keyboard.type('line 77');
    await window.console
      .getByRole('status')
      .filter({ hasText: /of 11$/ })
      .waitFor();
    await window.shows('line 77');
    await window.page.keyboard.press('Escape');
    await window.console.locator('.find').waitFor({ state: 'hidden' });
  });

  it('leads from file and line to the place in the editor', async () => {
    await window.run('nested.py', 'ZeroDivisionError');
    await window.openFile('ask.py');
    // The terminal's rows are drawn below what takes the pointer; this is where the path is.
    const place = { force: true, position: { x: 60, y: 5 } };
    const row = window.screen.locator('> div').filter({ hasText: 'line 2' });
    await row.hover(place);
    await window.console.locator('.target').filter({ hasText: 'nested.py' }).waitFor();
    await row.click(place);
    await window.page.locator('.tab.active').getByText('nested.py').waitFor();
    await window.page.locator('.statusbar-item').getByText('Ln 2, Col').waitFor();
  });

  it('shows where it was scrolled to after it was hidden, and after the window was loaded again', async () => {
    const top = () => window.screen.locator('> div').first().innerText();
    await window.run('long.py', 'More?');
    await window.screen.hover({ force: true });
    await window.page.mouse.wheel(0, -4_000);
    await window.screen.filter({ hasNotText: 'line 1000' }).waitFor();
    const before = await top();
    assert.match(before, /^line \d+/);
    await window.command('View: Toggle Panel Visibility');
    await window.screen.waitFor({ state: 'hidden' });
    await window.command('View: Toggle Panel Visibility');
    await window.screen.waitFor();
    assert.equal(await top(), before);
    await window.reload();
    await window.shows(new RegExp(`^${before}`));
    await window.type('yes\n');
    await window.says(/Succeeded|Finished/);
  });

  it('keeps several programs apart, each in its tab', async () => {
    const tab = (name: string) => window.console.getByRole('tab', { name: new RegExp(`^${name}`) });
    await window.run('ask.py', 'Your name?');
    await window.run('forever.py', 'Until somebody stops me.');
    await tab('ask.py').click();
    await window.shows('Your name?');
    await window.type('Ada\n');
    await window.shows('Hello, Ada.');
    await tab('forever.py').click();
    await window.shows('Until somebody stops me.');
    await window.button('Stop').click();
    await window.says(/stopped|cancelled/i);
    await tab('ask.py').hover();
    await tab('ask.py').locator('button').click();
    await tab('ask.py').waitFor({ state: 'hidden' });
  });
});
