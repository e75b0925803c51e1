import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

/** Where images have to be built first. */
const FIRST_RUN_MS = 2 * 60_000;

describe('In a window of VS Code', () => {
  const resources = new AsyncDisposableStack();
  let environment: Environment;
  let server: CodeServer;
  let browser: Browser;
  let url: string;
  let window: Window;
  /** What only the latest run of endless.py has printed. */
  let run: string | undefined;

  before(async function () {
    this.timeout(FIRST_RUN_MS);
    environment = resources.use(await Environment.create());
    server = resources.use(await CodeServer.start({ env: environment.env }));
    browser = resources.use(await launchBrowser());
    url = server.url(await environment.workspace('workspace'), { development: EXTENSION });
    window = await Window.open(browser, url);
    // The first run may have to prepare the language's image.
    await window.openFile('hello.py');
    await window.lens('Run in Sandbox').click();
    await window.screen.filter({ hasText: 'sandbox of its own' }).waitFor({ timeout: FIRST_RUN_MS });
  });
  after(() => resources.disposeAsync());
  afterEach(async function () {
    const { currentTest } = this;
    if (currentTest) await window.screenshot(currentTest.fullTitle().replace(/\W+/g, '-').toLowerCase());
  });

  /**
   * Presses a button above endless.py, and waits until it runs.
   * @param before what this gave for the run before, whose output is still shown for a moment
   * @returns what this run alone has printed
   */
  const begin = (title: string, before = 'no run'): Promise<string> =>
    window.press(title, async (timeout) => {
      const screen = window.screen.filter({ hasText: /It begins\. \S{36}/, hasNotText: before });
      const text = (await screen.textContent({ timeout })) ?? '';
      return /It begins\. (\S{36})/.exec(text)?.[1] ?? assert.fail(text);
    });

  it('the button above a program runs it, and what is typed in the console reaches it', async () => {
    await window.run('greet.py', 'What is your name?');
    await window.type('Ada\n');
    await window.shows('Nice to meet you, Ada!');
  });

  it('an endless program is stopped by its button, and says so', async () => {
    await window.openFile('endless.py');
    run = await begin('Run in Sandbox');
    await window.button('Stop').click();
    await window.says(/cancelled|stopped/i);
  });

  it('Ctrl-C interrupts the program', async () => {
    await window.openFile('endless.py');
    run = await begin('Run in Sandbox', run);
    await window.keyboard.focus();
    await window.page.keyboard.press('Control+c');
    await window.shows('KeyboardInterrupt');
  });

  it('running again while it runs stops the run before and starts anew', async () => {
    await window.openFile('endless.py');
    run = await begin('Run in Sandbox', run);
    run = await begin('Run Again', run);
    await window.page.keyboard.press('Control+Alt+.');
    await window.says(/cancelled|stopped/i);
  });

  it('a failing program’s line is a link', async () => {
    await window.run('wrong.py', 'ZeroDivisionError');
    await window.shows('line 2');
  });

  it('a picture that the program draws is shown', async () => {
    await window.run('plot.py', 'Drawn.');
    await window.console.getByText('square.png').first().waitFor();
    await window.console.locator('img').first().waitFor();
  });

  it('a flood of output leaves the window usable', async () => {
    await window.run('flood.py', 'makes Jack a dull boy');
    await window.command('View: Toggle Primary Side Bar Visibility');
    await window.command('View: Toggle Primary Side Bar Visibility');
    await window.button('Stop').click();
    await window.says(/cancelled|stopped/i);
  });

  it('a run goes on while its window is loaded again, and is taken up where it was', async () => {
    await window.run('greet.py', 'What is your name?');
    await window.reload();
    await window.shows('What is your name?');
    await window.type('Grace\n');
    // Whatever appears as a window starts takes the focus, and the keys with it: then the program still waits for them.
    await window.shows('Nice to meet you, Grace!', 20_000).catch(() => window.type('Grace\n'));
    await window.shows('Nice to meet you, Grace!');
  });

  it('two windows share one daemon', async () => {
    const { pid } = await environment.daemon();
    const other = await Window.open(browser, url);
    await other.run('hello.py', 'sandbox of its own');
    await other.page.close();
    assert.equal((await environment.daemon()).pid, pid);
  });
});
