/** What is typed into the console, and what reaches the program. */
import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import { launchBrowser } from '../../../extension/test/harness/window.ts';
import { ConsolePage, ended, running, tab } from '../console-page.ts';

describe('Typing into the console', () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  async function open(changes = {}): Promise<ConsolePage> {
    const console = await ConsolePage.open(browser);
    console.start([tab(running(changes))]);
    await console.focus(7);
    return console;
  }

  /** Puts text on the clipboard and pastes it with the keyboard's means. */
  async function paste(console: ConsolePage, text: string): Promise<void> {
    await console.frame.evaluate((text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData('text/plain', text);
      document.activeElement?.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true }));
    }, text);
  }

  describe('for a program with a terminal', () => {
    it('sends every key as a terminal does, and echoes nothing itself', async () => {
      await using console = await open();
      await console.prints('name? ');
      await console.page.keyboard.type('Ada');
      for (const key of ['Backspace', 'ArrowLeft', 'Tab', 'Control+d', 'Control+r', 'Enter'])
        await console.page.keyboard.press(key);
      await console.hears('input', ({ data }) => data === '\r');
      assert.equal(console.input, 'Ada\x7f\x1b[D\t\x04\x12\r');
      assert.equal(await console.text(), 'name? \n');
    });

    it('interrupts with Ctrl-C, unless something is selected: then it copies', async () => {
      await using console = await open();
      await console.prints('hello\r\n');
      await console.page.keyboard.press('Control+c');
      await console.hears('input', ({ data }) => data === '\x03');
      await console.frame.locator('.xterm-screen').dblclick({ position: { x: 12, y: 8 } });
      await console.page.keyboard.press('Control+c');
      assert.equal((await console.hears('copy')).text, 'hello');
      assert.equal(console.input, '\x03');
    });

    it('pastes many lines as they are', async () => {
      await using console = await open();
      await paste(console, 'one\ntwo\r\nthree');
      await console.hears('input');
      assert.equal(console.input, 'one\rtwo\rthree');
    });

    it('brackets a paste when the program has asked for it, and lets nothing in it end the bracket', async () => {
      await using console = await open();
      await console.prints('\x1b[?2004h');
      await paste(console, 'one\ntwo\x1b[201~three');
      await console.hears('input');
      assert.equal(console.input, '\x1b[200~one\rtwo␛[201~three\x1b[201~');
    });

    it('sends a paste of three megabytes in pieces that the extension takes', async () => {
      await using console = await open();
      const text = '0123456789abcde\r'.repeat(3 * 65_536);
      await paste(console, text);
      await console.hears('input', () => console.input.length === text.length);
      assert.equal(console.input, text);
      assert.ok(console.heard.filter(({ type }) => type === 'input').length > 1);
    });

    it('tells its size, and every change of it', async () => {
      await using console = await open();
      const { rows, cols } = await console.hears('resize', ({ tab }) => tab === 7);
      await console.page.setViewportSize({ width: 500, height: 200 });
      await console.hears('resize', (size) => size.rows < rows && size.cols < cols);
    });

    it('leads the keyboard out with Shift-Tab', async () => {
      await using console = await open();
      await console.page.keyboard.press('Shift+Tab');
      await console.frame.locator('[role=toolbar] button:focus').waitFor();
      assert.equal(console.input, '');
    });

    it('leaves the editor its own keys', async () => {
      await using console = await open();
      await console.frame.evaluate(() => {
        const keys: string[] = [];
        Object.assign(window, { keys });
        addEventListener('keydown', ({ key }) => keys.push(key));
      });
      for (const key of ['Control+p', 'Control+Shift+P', 'Control+w', 'F1']) await console.page.keyboard.press(key);
      const seen: string[] = await console.frame.evaluate('keys');
      const keys = seen.filter((key) => !['Control', 'Shift'].includes(key));
      assert.deepEqual(keys, ['p', 'P', 'F1']);
      await console.hears('input');
      assert.equal(console.input, '\x17');
    });

    it('takes nothing once the program has ended', async () => {
      await using console = await open();
      console.send({ type: 'tab', tab: tab(ended()) });
      await console.frame.locator('.screen:not(.takes-input)').waitFor();
      await console.page.keyboard.type('late\r');
      await console.text();
      assert.equal(console.input, '');
    });
  });

  describe('for a program without one', () => {
    it('echoes the line, lets it be edited, and sends it whole', async () => {
      await using console = await open({ tty: false });
      await console.prints('name? ');
      await console.page.keyboard.type('Adx');
      await console.page.keyboard.press('Backspace');
      await console.page.keyboard.type('a');
      await console.page.keyboard.press('Home');
      await console.page.keyboard.type('Miss ');
      assert.equal(console.input, '');
      await console.page.keyboard.press('Enter');
      await console.hears('input');
      assert.equal(console.input, 'Miss Ada\n');
      assert.equal(await console.text(), 'name? Miss Ada\n');
    });

    it('keeps the typed line below output that comes meanwhile, however it wraps', async () => {
      await using console = await open({ tty: false });
      const { cols } = await console.hears('resize', ({ tab }) => tab === 7);
      const long = '日本語 '.repeat(cols / 3);
      const seq = await console.prints('> ');
      await console.page.keyboard.insertText(long);
      await console.page.keyboard.press('ArrowLeft');
      const next = await console.prints('\nfirst\nsecond\n', { seq });
      await console.page.keyboard.type('!');
      await console.prints('third\n', { seq: next });
      await console.page.keyboard.press('Enter');
      await console.hears('input');
      assert.equal(console.input, `${long.slice(0, -1)}! \n`);
      assert.equal(await console.text(), `> \nfirst\nsecond\nthird\n${long.slice(0, -1)}! \n`);
    });

    it('keeps the typed line when the panel is made narrower', async () => {
      await using console = await open({ tty: false });
      const { cols } = await console.hears('resize', ({ tab }) => tab === 7);
      await console.prints('> ');
      await console.page.keyboard.type('x'.repeat(60));
      await console.page.setViewportSize({ width: 400, height: 320 });
      await console.hears('resize', (size) => size.tab === 7 && size.cols < cols);
      await console.page.keyboard.type('y\r');
      await console.hears('input');
      assert.equal(await console.text(), `> ${'x'.repeat(60)}y\n`);
    });

    it('sends the lines of a paste together, and keeps the last to be edited', async () => {
      await using console = await open({ tty: false });
      await paste(console, 'one\ntwo\x1b[2J\r\nthree');
      await console.hears('input');
      assert.equal(console.input, 'one\ntwo[2J\n');
      await console.page.keyboard.type('!\r');
      await console.hears('input', ({ data }) => data === 'three!\n');
      assert.equal(await console.text(), 'one\ntwo[2J\nthree!\n');
    });

    it('ends the input with Ctrl-D on an empty line, and interrupts with Ctrl-C', async () => {
      await using console = await open({ tty: false });
      await console.page.keyboard.type('x');
      await console.page.keyboard.press('Control+d');
      await console.page.keyboard.press('Control+c');
      assert.equal((await console.hears('signal')).signal, 'SIGINT');
      assert.ok(!console.heard.some(({ type }) => type === 'eof'), 'Ctrl-D within a line');
      await console.page.keyboard.press('Control+d');
      await console.hears('eof');
      assert.equal(console.input, '');
    });

    it('recalls earlier lines', async () => {
      await using console = await open({ tty: false });
      await console.page.keyboard.type('one\rtwo\rth');
      for (const key of ['ArrowUp', 'ArrowUp', 'ArrowDown', 'ArrowDown']) await console.page.keyboard.press(key);
      await console.page.keyboard.type('ree\r');
      await console.hears('input', ({ data }) => data === 'three\n');
      await console.page.keyboard.press('ArrowUp');
      await console.page.keyboard.press('Enter');
      await console.hears('input', () => console.input === 'one\ntwo\nthree\nthree\n');
    });
  });
});
