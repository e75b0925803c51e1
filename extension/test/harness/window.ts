/** A window of the real VS Code, in Chromium, with what a person does and sees in it. */
import { join } from 'node:path';
import {
  type Browser,
  type BrowserContext,
  chromium,
  type FrameLocator,
  type Locator,
  type Page,
} from 'playwright-core';
import { findChromium } from './code-server.ts';
import { EXTENSION } from './environment.ts';

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // As in the desktop's window: a webview has a process of its own.
  '--site-per-process',
];
/** Where screenshots are kept. */
const SCREENSHOTS = join(EXTENSION, 'dist/screenshots');
/** Long enough for a machine that does other things, too. */
const PATIENCE_MS = 60_000;
/** After that, a button is pressed again that did nothing. */
const PRESSED_MS = 20_000;
const PALETTE_MS = 10_000;
const PALETTE_TRIES = 6;

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: await findChromium(), args: ARGUMENTS });
}

export class Window {
  readonly page: Page;

  private constructor(page: Page) {
    this.page = page;
  }

  /** Opens a window and waits until the extension is there. */
  static async open(context: Browser | BrowserContext, url: string): Promise<Window> {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.goto(url);
    const window = new Window(page);
    await window.statusBar.waitFor();
    return window;
  }

  /** The console's page, inside VS Code's frames for it. */
  get console(): FrameLocator {
    return this.page.frameLocator('iframe.webview.ready').frameLocator('iframe#active-frame');
  }

  /** What the console's terminal shows, of the tab in front. */
  get screen(): Locator {
    return this.console.locator('.xterm-rows:visible');
  }

  /** What takes the keys there. */
  get keyboard(): Locator {
    return this.console.locator('.screen:visible .xterm-helper-textarea');
  }

  /** The verdict, or what the run is doing. */
  get verdict(): Locator {
    return this.console.locator('.verdict .words');
  }

  button(name: string): Locator {
    return this.console.getByRole('button', { name, exact: true });
  }

  async openFile(name: string): Promise<void> {
    await this.page.locator('.explorer-folders-view').getByText(name, { exact: true }).dblclick();
    await this.page.locator('.tab.active').getByText(name).waitFor();
  }

  /** By its name, which no other file of the workspace has, and the keyboard. */
  async openByName(name: string): Promise<void> {
    await this.page.keyboard.press('Control+p');
    await this.page.locator('.quick-input-widget input').fill(name);
    await this.page.locator('.quick-input-list .monaco-list-row').getByText(name, { exact: true }).first().waitFor();
    await this.page.keyboard.press('Enter');
    await this.page.locator('.tab.active').getByText(name, { exact: true }).waitFor();
    await this.page.locator('.editor-instance .view-lines').waitFor();
  }

  lens(title: string | RegExp): Locator {
    return this.page.locator('.codelens-decoration a', { hasText: title }).first();
  }

  /**
   * Presses a button above a program. An editor that has just changed its file may take no notice, as people find, too: it is
   * pressed once more then.
   * @param came waits for what comes of it, for so many milliseconds
   */
  async press<T>(title: string | RegExp, came: (timeout: number) => Promise<T>): Promise<T> {
    const lens = this.lens(title);
    await lens.click();
    try {
      return await came(PRESSED_MS);
    } catch {
      if (await lens.isVisible()) await lens.click();
      return await came(PATIENCE_MS);
    }
  }

  /** Opens a program, runs it, and waits until the terminal shows a text. */
  async run(file: string, text: string | RegExp): Promise<void> {
    await this.openFile(file);
    await this.press(/Run in Sandbox|Run Again/, (timeout) => this.shows(text, timeout));
  }

  /** Waits until the terminal shows a text. */
  async shows(text: string | RegExp, timeout = PATIENCE_MS): Promise<void> {
    await this.screen.filter({ hasText: text }).waitFor({ timeout });
  }

  async says(text: string | RegExp, timeout = PATIENCE_MS): Promise<void> {
    await this.verdict.filter({ hasText: text }).waitFor({ timeout });
  }

  async type(text: string): Promise<void> {
    await this.keyboard.focus();
    await this.page.keyboard.type(text);
  }

  /** By the clipboard, as people do it. */
  async paste(text: string): Promise<void> {
    await this.page.evaluate(`navigator.clipboard.writeText(${JSON.stringify(text)})`);
    await this.keyboard.focus();
    await this.page.keyboard.press('Control+v');
  }

  /** By its name in the command palette. Opened anew when it has gone: whatever appears as a window starts takes the focus from it. */
  async command(name: string): Promise<void> {
    const widget = this.page.locator('.quick-input-widget');
    const row = widget.locator('.quick-input-list .monaco-list-row').getByText(name, { exact: true }).first();
    for (let tries = 1; ; tries++) {
      await this.page.keyboard.press('F1');
      try {
        await widget.locator('input').fill(`>${name}`, { timeout: PALETTE_MS });
        await row.waitFor({ timeout: PALETTE_MS });
        break;
      } catch (error) {
        if (tries === PALETTE_TRIES) throw error;
        await this.page.keyboard.press('Escape');
      }
    }
    await this.page.keyboard.press('Enter');
  }

  /** Answers the question with this title, and waits until it is taken. */
  async answer(title: string, text: string): Promise<void> {
    const question = this.page.locator('.quick-input-widget').filter({ hasText: title });
    await question.locator('input:not([type=checkbox])').fill(text);
    await this.page.keyboard.press('Enter');
    await question.waitFor({ state: 'hidden' });
  }

  async choose(item: string): Promise<void> {
    await this.page.locator('.quick-input-list .monaco-list-row').filter({ hasText: item }).first().click();
  }

  /** As people do it: the browser's own reload would leave VS Code no time to keep what extensions remember. */
  async reload(): Promise<void> {
    const loaded = this.page.waitForEvent('load');
    await this.command('Developer: Reload Window');
    await loaded;
    await this.statusBar.waitFor();
  }

  get statusBar(): Locator {
    return this.page.locator('.statusbar-item[id^="coderunner.coderunner"]');
  }

  /** Opens the list of notifications: under the driver that these tests need, VS Code shows none by itself. */
  async notified(text: string | RegExp): Promise<void> {
    await this.command('Notifications: Show Notifications');
    await this.page
      .locator('.notifications-center .notification-list-item')
      .filter({ hasText: text })
      .first()
      .waitFor();
    await this.page.keyboard.press('Escape');
  }

  async screenshot(name: string): Promise<void> {
    await this.page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  }
}
