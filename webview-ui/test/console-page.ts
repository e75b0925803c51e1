/**
 * The built page in a real Chromium, in a frame as VS Code has it: with the same Content-Security-Policy, with the variables of
 * VS Code's own themes (`themes/`, read out of VS Code 1.139), and a host that the test plays. What the page says is checked as the
 * extension checks it.
 */

import { once } from 'node:events';
import { createReadStream, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Browser, Frame, Page } from 'playwright-core';
import { type WebSocket, WebSocketServer } from 'ws';
import {
  type ConsoleSettings,
  type FromPage,
  parseFromPage,
  type RunView,
  type Tab,
  type ToPage,
} from '../../extension/src/console/messages.ts';

const DIST = join(import.meta.dirname, '../dist');
const SCREENSHOTS = join(DIST, 'screenshots');
const FILES: Record<string, string> = {
  'main.js': 'text/javascript',
  'style.css': 'text/css',
  'codicon.ttf': 'font/ttf',
};

export const THEMES = ['dark', 'light', 'high-contrast', 'high-contrast-light'] as const;
export type Theme = (typeof THEMES)[number];

/** As VS Code marks the page of a webview. */
const BODY_CLASS: Record<Theme, string> = {
  dark: 'vscode-dark',
  light: 'vscode-light',
  'high-contrast': 'vscode-high-contrast',
  'high-contrast-light': 'vscode-high-contrast-light vscode-high-contrast',
};

export const SETTINGS: ConsoleSettings = {
  fontFamily: "'DejaVu Sans Mono', monospace",
  fontSize: 14,
  lineHeight: 1,
  scrollback: 10_000,
  cursorBlink: false,
  cursorStyle: 'block',
  screenReader: false,
  clearBeforeRun: true,
};

/** A run of a program in a terminal, a second old. */
export function running(changes: Partial<RunView> = {}): RunView {
  return {
    id: 1,
    phase: 'running',
    ended: false,
    elapsedMs: 1_000,
    message: null,
    hint: null,
    actions: [],
    problem: null,
    exitCode: null,
    signal: null,
    cpuMs: null,
    peakMemoryBytes: null,
    acceptsInput: true,
    tty: true,
    files: [],
    hasResults: false,
    ...changes,
  };
}

export function ended(changes: Partial<RunView> = {}): RunView {
  return running({
    phase: 'succeeded',
    ended: true,
    elapsedMs: 1_240,
    exitCode: 0,
    cpuMs: 310,
    peakMemoryBytes: 23 * 1024 * 1024,
    acceptsInput: false,
    ...changes,
  });
}

export function tab(run: RunView, changes: Partial<Tab> = {}): Tab {
  return { id: 7, title: 'main.py', description: 'src/main.py · Python', run, ...changes };
}

/** Around the page, as VS Code is: passes what comes from the test on to the page, and back. */
const WINDOW = `<!doctype html>
<html style="height: 100%">
  <head><title>Window</title></head>
  <body style="height: 100%; margin: 0">
    <iframe style="border: 0; width: 100%; height: 100%"></iframe>
    <script>
      const frame = document.querySelector('iframe');
      const socket = new WebSocket('ws://' + location.host);
      socket.binaryType = 'arraybuffer';
      socket.onopen = () => { frame.src = '/console.html'; };
      // A number, a description of that length, and bytes: what JSON cannot carry.
      socket.onmessage = ({ data }) => {
        const length = new DataView(data).getUint32(0);
        const message = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
        if (data.byteLength > 4 + length) message.data = new Uint8Array(data.slice(4 + length));
        frame.contentWindow.postMessage(message, '*');
      };
      addEventListener('message', ({ data }) => socket.send(JSON.stringify(data)));
    </script>
  </body>
</html>`;

const POLICY =
  "default-src 'none'; script-src 'nonce-test'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src blob:";

/** The extension's part, played by a test. */
export class ConsolePage implements AsyncDisposable {
  readonly page: Page;
  /** Everything that the page has said. */
  readonly heard: FromPage[] = [];
  #socket: WebSocket | undefined;
  #theme: Theme;
  #isGone = false;
  readonly #waiting = new Set<() => void>();
  /** What the page, or the browser about it, has complained of. */
  readonly #complaints: string[] = [];

  private constructor(page: Page, theme: Theme) {
    this.page = page;
    this.#theme = theme;
  }

  /** @returns the page when it has said that it listens */
  static async open(browser: Browser, theme: Theme = 'dark'): Promise<ConsolePage> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const page = await browser.newPage({ viewport: { width: 900, height: 320 } });
    const console = new ConsolePage(page, theme);
    server.on('request', ({ url = '' }, response) => console.#serve(url.slice(1).replace(/\?.*/, ''), response));
    new WebSocketServer({ server }).on('connection', (socket) => {
      console.#socket = socket;
      socket.on('message', (data) => console.#hear(JSON.parse(String(data))));
      socket.on('close', () => console.#gone());
    });
    // What VS Code puts into its pages.
    await page.addInitScript(() => {
      if (window.parent === window) return;
      Object.assign(window, {
        acquireVsCodeApi: () => ({
          postMessage: (message: unknown) => window.parent.postMessage(message, '*'),
          getState: () => JSON.parse(sessionStorage.getItem('state') ?? 'null') ?? undefined,
          setState: (state: unknown) => sessionStorage.setItem('state', JSON.stringify(state)),
        }),
      });
    });
    // Whatever closes the page, a test that has failed among them.
    page.on('close', () => {
      console.#socket?.terminate();
      server.close();
    });
    page.on('pageerror', (error) => console.#complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') console.#complaints.push(message.text());
    });
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await console.hears('ready');
    return console;
  }

  /** The page within its window. */
  get frame(): Frame {
    const frame = this.page.frames().find((each) => each.url().endsWith('/console.html'));
    if (!frame) throw new Error('The window shows no console.');
    return frame;
  }

  send(message: ToPage): void {
    const { data, ...rest } = { data: new Uint8Array(), ...message };
    const description = Buffer.from(JSON.stringify(rest));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(description.length);
    this.#socket?.send(Buffer.concat([length, description, data]));
  }

  /** Answers `ready`. */
  start(tabs: Tab[], settings: Partial<ConsoleSettings> = {}, strings: Record<string, string> = {}): void {
    this.send({
      type: 'init',
      settings: { ...SETTINGS, ...settings },
      strings,
      language: 'en',
      tabs,
      active: tabs.at(-1)?.id ?? null,
    });
  }

  /** Prints text as a program would, in one piece, and waits until the page has drawn it. */
  async prints(
    text: string,
    options: { run?: number; seq?: number; channel?: 'stdout' | 'stderr' } = {},
  ): Promise<number> {
    const { run = 1, seq = 0, channel = 'stdout' } = options;
    const data = Buffer.from(text);
    this.send({ type: 'output', run, seq, channel, data });
    const end = seq + data.length;
    await this.hears('ack', (ack) => ack.run === run && ack.seq >= end);
    return end;
  }

  /** The first message of a kind, said before or from now on, that fits. */
  async hears<T extends FromPage['type']>(
    type: T,
    fits: (message: Extract<FromPage, { type: T }>) => boolean = () => true,
  ): Promise<Extract<FromPage, { type: T }>> {
    const isWanted = (message: FromPage): message is Extract<FromPage, { type: T }> =>
      message.type === type && fits(message as Extract<FromPage, { type: T }>);
    for (;;) {
      const found = this.heard.find(isWanted);
      if (found) return found;
      // A test that has given up closes the page: what still waits gives up too.
      if (this.#isGone) throw new Error(`The page said no "${type}" that fits.`);
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.add(resolve);
      await promise;
      this.#waiting.delete(resolve);
    }
  }

  /** All input that reached the program. */
  get input(): string {
    return this.heard
      .filter((message) => message.type === 'input')
      .map(({ data }) => data)
      .join('');
  }

  /** The page's own words for all that is on the screen and above it. */
  async text(): Promise<string> {
    const before = this.heard.length;
    this.send({ type: 'request', what: 'save' });
    return (await this.hears('save', (message) => this.heard.indexOf(message) >= before)).text;
  }

  /** Puts another theme on the page, as VS Code does while the page is shown. */
  async setTheme(theme: Theme): Promise<void> {
    this.#theme = theme;
    await this.frame.evaluate(
      ([style, bodyClass]) => {
        document.documentElement.setAttribute('style', style ?? '');
        document.body.className = bodyClass ?? '';
      },
      [variables(theme), BODY_CLASS[theme]],
    );
  }

  /** Puts the keyboard into the active tab's terminal, as the extension does when it shows a run. */
  async focus(tab: number): Promise<void> {
    await this.page.locator('iframe').focus();
    this.send({ type: 'activate', tab, focus: true });
    await this.frame.locator('.screen textarea:focus').waitFor({ state: 'attached' });
  }

  /** Takes the page away and loads it again, as hiding and showing the panel does. */
  async reload(): Promise<void> {
    this.heard.length = 0;
    await this.frame.evaluate(() => location.reload());
    await this.hears('ready');
  }

  async screenshot(name: string): Promise<void> {
    await mkdir(SCREENSHOTS, { recursive: true });
    await this.frame.evaluate(() => document.fonts.ready);
    await this.page.screenshot({ path: join(SCREENSHOTS, `${name}-${this.#theme}.png`) });
  }

  /** @throws Error when the page failed, or did what its policy forbids */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close();
    if (this.#complaints.length > 0) throw new Error(this.#complaints.join('\n'));
  }

  #gone(): void {
    this.#isGone = true;
    for (const wake of this.#waiting) wake();
  }

  #hear(value: unknown): void {
    const message = parseFromPage(value);
    if (typeof message === 'string') this.#complaints.push(message);
    else if (message.type === 'failed') this.#complaints.push(message.message);
    else this.heard.push(message);
    for (const wake of this.#waiting) wake();
  }

  #serve(name: string, response: ServerResponse): void {
    if (name === '' || name === 'console.html') {
      response.setHeader('content-type', 'text/html');
      response.end(name === '' ? WINDOW : this.#html());
    } else if (FILES[name]) {
      response.setHeader('content-type', FILES[name]);
      createReadStream(join(DIST, name)).pipe(response);
    } else {
      response.writeHead(204).end();
    }
  }

  #html(): string {
    return `<!doctype html>
<html lang="en" style="${variables(this.#theme).replaceAll('"', '&quot;')}">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="${POLICY}" />
    <link rel="stylesheet" href="style.css" />
    <script type="module" nonce="test" src="main.js"></script>
  </head>
  <body class="${BODY_CLASS[this.#theme]}"></body>
</html>`;
  }
}

function variables(theme: Theme): string {
  const colors: Record<string, string> = JSON.parse(
    readFileSync(join(import.meta.dirname, `themes/${theme}.json`), 'utf8'),
  );
  const all = { ...colors, 'font-family': "'DejaVu Sans', sans-serif", 'font-size': '13px' };
  return Object.entries(all)
    .map(([name, value]) => `--vscode-${name}: ${value}`)
    .join('; ');
}
