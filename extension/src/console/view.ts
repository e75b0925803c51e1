/** The console in the panel: gives its page what there is to show, and does what the page asks for. */
import { randomBytes } from 'node:crypto';
import {
  commands,
  type Disposable,
  env,
  type LogOutputChannel,
  Uri,
  type WebviewView,
  type WebviewViewProvider,
  window,
  workspace,
} from 'vscode';
import { setting } from '../configuration.ts';
import { type Tab, type Tabs, viewOf } from '../run/tabs.ts';
import { translations } from '../translations.ts';
import { openProblem, openSource } from './links.ts';
import { type ConsoleSettings, type FromPage, parseFromPage, type ToPage } from './messages.ts';
import { mediaType, openProduced, saveProduced, saveText } from './produced.ts';

export const CONSOLE_VIEW = 'coderunner.console';
/** What the page's look depends on besides the theme, whose changes VS Code tells it. */
const SETTINGS_READ = [
  'coderunner',
  'terminal.integrated',
  'editor.fontFamily',
  'editor.fontSize',
  'editor.accessibilitySupport',
];
const LINK_SCHEMES = ['http:', 'https:'];
/** What a run goes through until its program runs takes less, mostly. */
const NEWS_TOGETHER_MS = 30;

export class Console implements WebviewViewProvider, Disposable {
  readonly #tabs: Tabs;
  readonly #page: string;
  readonly #log: LogOutputChannel;
  readonly #disposables: Disposable[];
  #view: WebviewView | undefined;
  /** The page has said that it listens. */
  #ready = false;
  /** Runs that the page has been told about: it has their output up to where it was sent. */
  readonly #shown = new Set<number>();
  /** Tabs whose news the page has not been told yet. */
  readonly #news = new Set<Tab>();
  #telling: NodeJS.Timeout | undefined;
  #active: number | undefined;
  /** Put off until the page is there. */
  #focusWhenReady = false;

  /** @param page folder of the page's files */
  constructor(tabs: Tabs, page: string, log: LogOutputChannel) {
    this.#tabs = tabs;
    this.#page = page;
    this.#log = log;
    this.#disposables = [
      tabs.onDidOpen((tab) => this.#began(tab)),
      tabs.onDidChange((tab) => this.#changed(tab)),
      tabs.onDidClose((tab) => {
        this.#news.delete(tab);
        this.#post({ type: 'closed', tab: tab.id });
      }),
      workspace.onDidChangeConfiguration((event) => {
        if (SETTINGS_READ.some((section) => event.affectsConfiguration(section)))
          this.#post({ type: 'settings', settings: consoleSettings() });
      }),
    ];
  }

  resolveWebviewView(view: WebviewView): void {
    this.#view = view;
    this.#ready = false;
    const page = Uri.file(this.#page);
    view.webview.options = { enableScripts: true, localResourceRoots: [page] };
    view.webview.html = this.#html(view, page);
    view.webview.onDidReceiveMessage((message: unknown) => this.#received(message));
    view.onDidChangeVisibility(() => this.#attachAll(false));
    view.onDidDispose(() => {
      this.#view = undefined;
      this.#ready = false;
      this.#detachAll();
    });
  }

  /** The tab that is looked at. */
  get active(): Tab | undefined {
    return (this.#active === undefined ? undefined : this.#tabs.get(this.#active)) ?? this.#tabs.latest;
  }

  /** Opens the console with a tab in front. @param focus moves the keyboard into its terminal */
  async reveal(tab: Tab | undefined, focus: boolean): Promise<void> {
    if (tab) this.#active = tab.id;
    if (focus || !this.#view) {
      this.#focusWhenReady = focus;
      await commands.executeCommand(`${CONSOLE_VIEW}.focus`, { preserveFocus: !focus });
    } else if (!this.#view.visible) {
      this.#view.show(true);
    }
    if (tab) this.#post({ type: 'activate', tab: tab.id, focus });
  }

  find(): void {
    this.#post({ type: 'find' });
  }

  request(what: 'copy' | 'save'): void {
    this.#post({ type: 'request', what });
  }

  clear(tab: Tab | undefined): void {
    if (!tab) return;
    tab.session.transcript.clear();
    this.#post({ type: 'clear', tab: tab.id });
  }

  dispose(): void {
    clearTimeout(this.#telling);
    for (const disposable of this.#disposables) disposable.dispose();
  }

  #began(tab: Tab): void {
    this.#active = tab.id;
    this.#post({ type: 'tab', tab: viewOf(tab) });
    this.#attach(tab, false);
  }

  /** Told together with what follows at once, but before any output, whose way it would only delay. */
  #changed(tab: Tab): void {
    this.#news.add(tab);
    if (tab.session.ended) this.#tellNews();
    else this.#telling ??= setTimeout(() => this.#tellNews(), NEWS_TOGETHER_MS);
  }

  #tellNews(): void {
    clearTimeout(this.#telling);
    this.#telling = undefined;
    for (const tab of this.#news) this.#post({ type: 'tab', tab: viewOf(tab) });
    this.#news.clear();
  }

  /** A page that is hidden takes no messages, so nobody waits for it. */
  #attach({ session: { id, transcript } }: Tab, again: boolean): void {
    if (!this.#ready || !this.#view?.visible) {
      transcript.detach();
      return;
    }
    const fresh = again || !this.#shown.has(id);
    this.#shown.add(id);
    transcript.attach((message) => {
      this.#tellNews();
      this.#post(message);
    }, fresh);
  }

  #attachAll(again: boolean): void {
    if (again) this.#shown.clear();
    for (const tab of this.#tabs.all) this.#attach(tab, again);
  }

  #detachAll(): void {
    for (const { session } of this.#tabs.all) session.transcript.detach();
  }

  #post(message: ToPage): void {
    if (!this.#ready || !this.#view) return;
    // A page that goes away meanwhile is given everything when it comes back.
    void this.#view.webview.postMessage(message);
  }

  #received(value: unknown): void {
    const message = parseFromPage(value);
    if (typeof message === 'string') {
      this.#log.warn(message);
      return;
    }
    this.#obey(message).catch((error: unknown) => {
      this.#log.error(error instanceof Error ? error : String(error));
      window.showErrorMessage((error as Error).message);
    });
  }

  async #obey(message: FromPage): Promise<void> {
    if (message.type === 'ready') return this.#start();
    if (message.type === 'failed') return this.#log.error(message.message);
    if (message.type === 'copy') return env.clipboard.writeText(message.text);
    if (message.type === 'openUrl') return openUrl(message.url);
    if (message.type === 'resize') {
      const size = { rows: message.rows, cols: message.cols };
      this.#tabs.size = size;
      if (message.tab !== undefined) this.#tabs.get(message.tab)?.session.resize(size);
      return;
    }
    const tab = 'tab' in message ? this.#tabs.get(message.tab) : this.#tabs.ofRun(message.run);
    // Said about a run that another has taken the place of meanwhile.
    if (!tab) return;
    const { session } = tab;
    switch (message.type) {
      case 'ack':
        return session.transcript.drawn(message.seq);
      case 'input':
        return session.type(message.data);
      case 'eof':
        return session.eof();
      case 'signal':
        return session.signal(message.signal);
      case 'stop':
        return session.stop();
      case 'rerun':
        this.#tabs.rerun(tab);
        return;
      case 'clear':
        return session.transcript.clear();
      case 'close':
        return this.#tabs.close(tab);
      case 'activate':
        this.#active = tab.id;
        return;
      case 'save':
        return saveText(message.text, tab.program.title);
      case 'openFile':
        return openSource(tab.program, message.path, message.line, message.column);
      case 'openProblem':
        return openProblem(session.problem);
      case 'file':
        return this.#show(tab, message.path);
      case 'results':
        this.#post({ type: 'results', run: session.id, data: await session.results() });
        return;
      case 'saveFile':
        return saveProduced(message.path, await session.produced(message.path));
      case 'openProduced':
        return openProduced(message.path, await session.produced(message.path));
      case 'action':
        // Only what was offered can be asked for.
        if (session.view.actions.some(({ id }) => id === message.id)) await commands.executeCommand(message.id, tab.id);
        return;
    }
  }

  async #show({ session }: Tab, path: string): Promise<void> {
    const common = { run: session.id, path };
    try {
      const data = await session.produced(path);
      this.#post({ type: 'file', ...common, mediaType: mediaType(path), data });
    } catch (error) {
      this.#post({ type: 'fileFailed', ...common, message: (error as Error).message });
    }
  }

  #start(): void {
    this.#ready = true;
    this.#post({
      type: 'init',
      settings: consoleSettings(),
      strings: translations(),
      language: env.language,
      tabs: this.#tabs.all.map(viewOf),
      active: this.active?.id ?? null,
    });
    const { active } = this;
    // Before any output: whoever sees a question may answer it at once.
    if (this.#focusWhenReady && active) this.#post({ type: 'activate', tab: active.id, focus: true });
    this.#focusWhenReady = false;
    this.#attachAll(true);
  }

  #html({ webview }: WebviewView, page: Uri): string {
    const nonce = randomBytes(16).toString('base64');
    const file = (name: string) => webview.asWebviewUri(Uri.joinPath(page, name));
    // xterm.js sets the sizes of its cells in style elements of its own.
    const policy = [
      `default-src 'none'`,
      `script-src 'nonce-${nonce}'`,
      `style-src ${webview.cspSource} 'unsafe-inline'`,
      `font-src ${webview.cspSource}`,
      'img-src blob:',
    ].join('; ');
    return `<!doctype html>
<html lang="${env.language}">
  <head>
    <meta charset="utf-8" />
    <meta http-equiv="Content-Security-Policy" content="${policy}" />
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <title>CodeRunner</title>
    <link rel="stylesheet" href="${file('style.css')}" />
    <script type="module" nonce="${nonce}" src="${file('main.js')}"></script>
  </head>
  <body></body>
</html>
`;
  }
}

async function openUrl(url: string): Promise<void> {
  if (URL.canParse(url) && LINK_SCHEMES.includes(new URL(url).protocol)) await env.openExternal(Uri.parse(url, true));
}

/** The console looks like the editor's own terminal. */
function consoleSettings(): ConsoleSettings {
  const [terminal, editor] = [workspace.getConfiguration('terminal.integrated'), workspace.getConfiguration('editor')];
  const shape = terminal.get<string>('cursorStyle', 'block');
  return {
    fontFamily: terminal.get<string>('fontFamily') || editor.get<string>('fontFamily') || 'monospace',
    fontSize: terminal.get<number>('fontSize') || editor.get<number>('fontSize', 14),
    lineHeight: terminal.get<number>('lineHeight') || 1,
    scrollback: setting('scrollback'),
    cursorBlink: terminal.get<boolean>('cursorBlinking', false),
    cursorStyle: shape === 'line' ? 'bar' : shape === 'underline' ? 'underline' : 'block',
    screenReader: editor.get<string>('accessibilitySupport') === 'on',
    clearBeforeRun: setting('clearBeforeRun'),
  };
}
