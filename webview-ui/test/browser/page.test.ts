/** What is around the terminal: tabs, the line above it, links, the search, files; by mouse, by keyboard, and for screen readers. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Browser, Locator } from 'playwright-core';
import { launchBrowser } from '../../../extension/test/harness/window.ts';
import { ConsolePage, ended, running, SETTINGS, tab } from '../console-page.ts';

const PLOT = readFileSync(new URL('plot.png', import.meta.url));
const IMAGE = { path: 'plot.png', sizeBytes: PLOT.length, sha256: 'a'.repeat(64) };

describe("The console's page", () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  async function open(...tabs: ReturnType<typeof tab>[]): Promise<ConsolePage> {
    const console = await ConsolePage.open(browser);
    console.start(tabs);
    return console;
  }
  const button = (console: ConsolePage, name: string): Locator =>
    console.frame.getByRole('button', { name, exact: true });
  const announced = (console: ConsolePage, text: string) =>
    console.frame.locator('.announced', { hasText: text }).waitFor({ state: 'attached' });

  describe('header', () => {
    it('counts on while the program runs, and stands still afterwards', async () => {
      await using console = await open(tab(running({ elapsedMs: 61_000 })));
      const elapsed = console.frame.locator('.elapsed');
      await elapsed.getByText('1:01').waitFor();
      await elapsed.getByText('1:02').waitFor();
      console.send({ type: 'tab', tab: tab(ended({ elapsedMs: 62_345 })) });
      await console.frame.getByText('Finished').first().waitFor();
      assert.equal(await elapsed.innerText(), '1:02');
    });

    it('has buttons that do what they say', async () => {
      await using console = await open(tab(running()));
      await console.prints('one\r\ntwo\r\n');
      await button(console, 'Stop').click();
      assert.equal((await console.hears('stop')).tab, 7);
      await button(console, 'Run Again').click();
      assert.equal((await console.hears('rerun')).tab, 7);
      await button(console, 'Copy Output').click();
      assert.equal((await console.hears('copy')).text, 'one\ntwo');
      await button(console, 'Save Output…').click();
      assert.deepEqual(await console.hears('save'), { type: 'save', tab: 7, text: 'one\ntwo\n' });
      await button(console, 'Clear').click();
      assert.equal((await console.hears('clear')).tab, 7);
      console.send({ type: 'tab', tab: tab(ended()) });
      await button(console, 'Stop').waitFor({ state: 'hidden' });
    });

    it('offers what mends a failure', async () => {
      const actions = [{ id: 'coderunner.startEngine', label: 'Start Docker' }];
      await using console = await open(
        tab(ended({ phase: 'connecting', message: 'No engine.', hint: 'It is off.', actions })),
      );
      await button(console, 'Start Docker').click();
      assert.deepEqual(await console.hears('action'), { type: 'action', run: 1, id: 'coderunner.startEngine' });
    });

    it('leads to the line of the problem, which moves as its text is edited', async () => {
      const failed = (line: number) =>
        tab(ended({ phase: 'failed', exitCode: 1, problem: { path: 'src/main.py', line } }));
      await using console = await open(failed(8));
      await button(console, 'Problem in line 8').waitFor();
      console.send({ type: 'tab', tab: failed(9) });
      await button(console, 'Problem in line 9').click();
      assert.deepEqual(await console.hears('openProblem'), { type: 'openProblem', run: 1 });
      console.send({ type: 'tab', tab: tab(running({ id: 2 })) });
      await button(console, 'Problem in line 9').waitFor({ state: 'hidden' });
    });

    it('is one stop of the Tab key, with arrow keys within', async () => {
      await using console = await open(tab(running()));
      await console.focus(7);
      await console.page.keyboard.press('Shift+Tab');
      for (const key of ['ArrowRight', 'ArrowRight', 'ArrowRight', 'Enter']) await console.page.keyboard.press(key);
      await console.hears('copy');
      await console.page.keyboard.press('Tab');
      await console.frame.locator('.screen textarea:focus').waitFor({ state: 'attached' });
    });
  });

  describe('links', () => {
    /** Clicks on text in the terminal. */
    async function click(console: ConsolePage, column: number, row: number): Promise<void> {
      const { rows, cols } = await console.hears('resize', (size) => size.tab === 7);
      const screen = console.frame.locator('.xterm-screen');
      const { width, height } = (await screen.boundingBox()) ?? { width: 0, height: 0 };
      const position = { x: ((column + 0.5) * width) / cols, y: ((row + 0.5) * height) / rows };
      await screen.hover({ position });
      await console.frame.locator('.target').waitFor();
      await screen.click({ position });
    }

    it('open files at their line and column, wrapped and after wide characters too', async () => {
      await using console = await open(tab(running()));
      const { cols } = await console.hears('resize', (size) => size.tab === 7);
      await console.prints(`日本 main.c:3:5: error\r\n${' '.repeat(cols - 4)}src/main.rs:14:9\r\n`);
      await click(console, 6, 0);
      assert.deepEqual(await console.hears('openFile'), {
        type: 'openFile',
        run: 1,
        path: 'main.c',
        line: 3,
        column: 5,
      });
      await click(console, 2, 2);
      await console.hears(
        'openFile',
        ({ path, line, column }) => path === 'src/main.rs' && line === 14 && column === 9,
      );
    });

    it('are all in a list, for the keyboard, the newest first', async () => {
      await using console = await open(tab(running()));
      await console.prints(
        'main.c:3:5: error\r\nsee (https://example.com/a).\r\nmain.c:3:5: error\r\nlib.c:9: note\r\n',
      );
      await console.focus(7);
      await console.page.keyboard.press('Control+Shift+O');
      const list = console.frame.getByRole('listbox', { name: 'Links' });
      await list.getByRole('option', { name: 'lib.c:9' }).waitFor();
      assert.deepEqual(await list.getByRole('option').allInnerTexts(), [
        'lib.c:9',
        'main.c:3:5',
        'https://example.com/a',
      ]);
      await console.screenshot('links');
      await console.page.keyboard.press('ArrowDown');
      await console.page.keyboard.press('Enter');
      assert.deepEqual(await console.hears('openFile'), {
        type: 'openFile',
        run: 1,
        path: 'main.c',
        line: 3,
        column: 5,
      });
      await console.frame.locator('.screen textarea:focus').waitFor({ state: 'attached' });
      await console.page.keyboard.press('Control+Shift+O');
      await console.page.keyboard.press('End');
      await console.page.keyboard.press('Enter');
      assert.equal((await console.hears('openUrl')).url, 'https://example.com/a');
      await console.page.keyboard.press('Control+Shift+O');
      await console.page.keyboard.press('Escape');
      await list.waitFor({ state: 'hidden' });
      assert.equal(console.input, '');
    });

    it('open addresses through the extension', async () => {
      await using console = await open(tab(running()));
      await console.prints('see https://example.com/a?b=c.\r\n');
      await click(console, 10, 0);
      await console.frame.locator('.xterm-screen').click({ button: 'right', position: { x: 80, y: 8 } });
      await console.text();
      assert.equal(console.heard.filter(({ type }) => type === 'openUrl').length, 1);
      assert.equal((await console.hears('openUrl')).url, 'https://example.com/a?b=c');
    });
  });

  describe('search', () => {
    const field = (console: ConsolePage) => console.frame.getByRole('textbox', { name: 'Find', exact: true });
    const count = (console: ConsolePage, text: string) => console.frame.locator('.count', { hasText: text }).waitFor();

    it('works with the keyboard alone', async () => {
      await using console = await open(tab(running()));
      await console.prints('Apple\r\napple pie\r\npineapple\r\n');
      await console.focus(7);
      await console.page.keyboard.press('Control+f');
      await console.page.keyboard.type('apple');
      await count(console, 'of 3');
      const at = async () => Number.parseInt(await console.frame.locator('.count').innerText(), 10);
      const first = await at();
      await console.page.keyboard.press('Enter');
      await count(console, `${(first % 3) + 1} of 3`);
      await console.page.keyboard.press('Shift+Enter');
      await count(console, `${first} of 3`);
      await console.page.keyboard.press('Alt+c');
      await count(console, 'of 2');
      await console.page.keyboard.press('Alt+w');
      await count(console, 'of 1');
      await console.page.keyboard.press('Escape');
      await console.frame.locator('.screen textarea:focus').waitFor({ state: 'attached' });
      assert.equal(console.input, '');
    });

    it('says what is wrong with an expression, and that nothing was found', async () => {
      await using console = await open(tab(running()));
      await console.prints('a1 b2\r\n');
      console.send({ type: 'find' });
      await field(console).fill('c\\d');
      await count(console, 'No results');
      await button(console, 'Use Regular Expression (Alt+R)').click();
      await field(console).fill('[ab]\\d');
      await count(console, 'of 2');
      await field(console).fill('[');
      await console.frame.locator('.field.none').waitFor();
      assert.match((await field(console).getAttribute('title')) ?? '', /Invalid regular expression/);
    });
  });

  describe('tabs', () => {
    const three = () => [1, 2, 3].map((id) => tab(running({ id: id * 10 }), { id, title: `${id}.py` }));

    it('are chosen and closed by mouse and keyboard, and keep their output apart', async () => {
      await using console = await open(...three());
      await console.prints('first\r\n', { run: 10 });
      await console.prints('third\r\n', { run: 30 });
      assert.equal(await console.text(), 'third\n');
      await console.frame.getByRole('tab', { name: '1.py' }).click();
      assert.equal((await console.hears('activate')).tab, 1);
      assert.equal(await console.text(), 'first\n');
      await console.page.keyboard.press('Tab');
      await console.frame.getByRole('tab', { name: '1.py' }).focus();
      await console.page.keyboard.press('ArrowRight');
      await console.page.keyboard.press('Enter');
      await console.hears('activate', (message) => message.tab === 2);
      await console.page.keyboard.press('Delete');
      assert.equal((await console.hears('close')).tab, 2);
      console.send({ type: 'closed', tab: 2 });
      await console.frame.getByRole('tab', { name: '3.py', selected: true }).waitFor();
      await button(console, 'Close 3.py').click();
      await console.hears('close', (message) => message.tab === 3);
      console.send({ type: 'closed', tab: 3 });
      await console.frame.getByRole('tablist').waitFor({ state: 'hidden' });
      console.send({ type: 'closed', tab: 1 });
      await console.frame.getByText('Nothing has been run yet').waitFor();
    });

    it('come to the front when their program runs again', async () => {
      await using console = await open(...three());
      console.send({ type: 'tab', tab: tab(running({ id: 11 }), { id: 1, title: '1.py' }) });
      await console.frame.getByRole('tab', { name: '1.py', selected: true }).waitFor();
    });
  });

  describe('produced files', () => {
    it('are listed, opened and saved; images are shown', async () => {
      const files = [IMAGE, { path: 'out/data.csv', sizeBytes: 12_345, sha256: 'b'.repeat(64) }];
      await using console = await open(tab(ended({ files })));
      assert.deepEqual(await console.hears('file'), { type: 'file', run: 1, path: 'plot.png' });
      console.send({ type: 'file', run: 1, path: 'plot.png', mediaType: 'image/png', data: PLOT });
      await console.frame.getByRole('img', { name: 'plot.png' }).waitFor();
      await console.frame.getByText('12 KiB').waitFor();
      await button(console, 'out/data.csv').click();
      await console.hears('openProduced', ({ path }) => path === 'out/data.csv');
      await button(console, 'Save out/data.csv…').focus();
      await console.page.locator('iframe').focus();
      await console.frame.locator('li', { hasText: 'data.csv' }).hover();
      await button(console, 'Save out/data.csv…').click();
      await console.hears('saveFile', ({ path }) => path === 'out/data.csv');
    });

    it('that only look like images say so, and run no script', async () => {
      await using console = await open(tab(ended({ files: [IMAGE, { ...IMAGE, path: 'a.svg' }] })));
      await console.hears('file', ({ path }) => path === 'a.svg');
      console.send({ type: 'file', run: 1, path: 'plot.png', mediaType: 'image/png', data: Buffer.from('not one') });
      await console.frame.getByText('plot.png: This is not an image.').waitFor();
      const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>parent.document.title = 'x'</script></svg>`;
      console.send({ type: 'file', run: 1, path: 'a.svg', mediaType: 'image/svg+xml', data: Buffer.from(svg) });
      await console.frame.getByRole('img', { name: 'a.svg' }).waitFor();
      assert.equal(await console.frame.evaluate(() => document.title), '');
    });

    it('say why one cannot be shown', async () => {
      await using console = await open(tab(ended({ files: [IMAGE] })));
      await console.hears('file');
      console.send({ type: 'fileFailed', run: 1, path: 'plot.png', message: 'The daemon has removed it.' });
      await console.frame.getByText('plot.png: The daemon has removed it.').waitFor();
    });
  });

  it('keeps what the extension cannot give back when it is loaded again', async () => {
    await using console = await open(tab(ended({ files: [IMAGE] })));
    const list = console.frame.getByRole('button', { name: '1 file produced' });
    await list.click();
    console.send({ type: 'find' });
    await console.frame.getByRole('textbox', { name: 'Find', exact: true }).fill('needle');
    await console.reload();
    console.start([tab(ended({ files: [IMAGE] }))]);
    await console.frame.getByRole('button', { name: '1 file produced', expanded: false }).waitFor();
    console.send({ type: 'find' });
    const field = console.frame.getByRole('textbox', { name: 'Find', exact: true });
    await field.waitFor();
    assert.equal(await field.inputValue(), 'needle');
  });

  it('follows a change of the theme', async () => {
    await using console = await open(tab(running()));
    await console.prints('\x1b[31mred\x1b[0m plain\r\n');
    const color = (text: string) =>
      console.frame
        .locator('.xterm-rows span', { hasText: text })
        .first()
        .evaluate((span) => getComputedStyle(span).color);
    const dark = [await color('red'), await color('plain')];
    await console.setTheme('light');
    await console.frame.waitForFunction((before) => {
      const span = [...document.querySelectorAll('.xterm-rows span')].find((each) =>
        each.textContent?.includes('plain'),
      );
      return span && getComputedStyle(span).color !== before;
    }, dark[1]);
    assert.notEqual(await color('red'), dark[0]);
  });

  it('marks what is searched for in the colours of the theme, also of another one', async () => {
    await using console = await open(tab(running()));
    await console.prints('one apple\r\ntwo apples\r\n');
    console.send({ type: 'find' });
    await console.frame.getByRole('textbox', { name: 'Find', exact: true }).fill('apple');
    // The terminal draws each marked character by itself.
    const mark = '.xterm-rows > div:nth-child(2) span:nth-child(2)';
    const color = () => console.frame.locator(mark).evaluate((span) => getComputedStyle(span).backgroundColor);
    await console.frame.getByText(/^[12] of 2$/).waitFor();
    const dark = await color();
    await console.setTheme('light');
    await console.frame.waitForFunction(
      ({ selector, before }) => {
        const span = document.querySelector(selector);
        const now = span && getComputedStyle(span).backgroundColor;
        return now && now !== before && now !== 'rgba(0, 0, 0, 0)';
      },
      { selector: mark, before: dark },
    );
  });

  it('takes the editor’s font, and its changes', async () => {
    await using console = await open(tab(running()));
    const { rows } = await console.hears('resize', (size) => size.tab === 7);
    console.send({ type: 'settings', settings: { ...SETTINGS, fontSize: 28 } });
    await console.hears('resize', (size) => size.tab === 7 && size.rows < rows);
  });

  it('announces how a run goes, and reads its output to screen readers', async () => {
    await using console = await ConsolePage.open(browser);
    console.start([tab(running({ phase: 'starting' }))], { screenReader: true });
    await announced(console, 'main.py: Starting');
    console.send({ type: 'tab', tab: tab(running()) });
    await announced(console, 'main.py: Running');
    await console.prints('hello\r\n');
    await console.frame.locator('.xterm-accessibility-tree', { hasText: 'hello' }).waitFor({ state: 'attached' });
    console.send({ type: 'tab', tab: tab(ended({ phase: 'timed_out', message: 'Stopped: ran longer than 10 s.' })) });
    await announced(console, 'main.py: Stopped: ran longer than 10 s');
  });

  it('turns nothing for people who want no motion', async () => {
    await using console = await ConsolePage.open(browser);
    await console.page.emulateMedia({ reducedMotion: 'reduce' });
    console.start([tab(running())], { cursorBlink: true });
    const spinner = console.frame.locator('.header .codicon-loading');
    assert.equal(await spinner.evaluate((each) => getComputedStyle(each).animationName), 'none');
  });

  it('speaks the language of the window', async () => {
    await using console = await ConsolePage.open(browser);
    console.start([tab(running())], {}, { Stop: 'Anhalten', Running: 'Läuft' });
    await button(console, 'Anhalten').waitFor();
    await console.frame.getByText('Läuft', { exact: true }).first().waitFor();
  });
});
