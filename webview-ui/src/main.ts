/**
 * The console's page: puts the parts together and hands the extension's messages to them.
 *
 * `screen.ts` is the terminal, `tab.ts` a run in it; `header.ts`, `tab-list.ts`, `results.ts`, `files.ts` and `find.ts` are what is around it. What
 * a program prints reaches the page through `screen.ts` alone, and is drawn as text; `guard.ts` says what its sequences may do.
 */
import type { ConsoleSettings, ToPage } from '../../extension/src/console/messages.ts';
import { el } from './dom.ts';
import { Files } from './files.ts';
import { Find } from './find.ts';
import { Header } from './header.ts';
import { onMessage, post } from './host.ts';
import { setLanguage, t } from './l10n.ts';
import { LinkList } from './link-list.ts';
import { Results } from './results.ts';
import { Screen } from './screen.ts';
import { TabView } from './tab.ts';
import { TabList } from './tab-list.ts';
import { onThemeChange } from './theme.ts';

type Init = Extract<ToPage, { type: 'init' }>;

/** The list of links is read from so much of the end of the output. */
const LINK_LINES = 2_000;

/** Everything on the page, made when the extension has said in which language. */
class Page {
  readonly #tabs = new Map<number, TabView>();
  #active: TabView | undefined;
  #showing: number | undefined;
  #settings: ConsoleSettings;
  readonly #list = new TabList((tab) => this.#choose(tab));
  readonly #header = new Header({
    clear: () => this.#clear(),
    copy: () => void this.#copy(),
    save: () => void this.#save(),
    find: () => this.#find.open(),
    links: () => this.#openLinks(),
  });
  readonly #find = new Find(() => this.#active?.screen);
  readonly #links = new LinkList({
    openSource: (link) => this.#active?.openSource(link),
    openUrl: (url) => post({ type: 'openUrl', url }),
    closed: () => this.#active?.screen.focus(),
  });
  readonly #results = new Results();
  readonly #files = new Files();
  readonly #terminal = el('main', { class: 'terminal', id: 'terminal' }, this.#find.element, this.#links.element);
  readonly #target = el('div', { class: 'target', hidden: true });
  readonly #live = el('div', { class: 'announced', role: 'status', 'aria-live': 'polite' });
  readonly #empty = el(
    'div',
    { class: 'empty' },
    t('Nothing has been run yet. Press ▷ above a file to run it in the sandbox.'),
  );

  constructor({ settings, tabs, active }: Init) {
    this.#settings = settings;
    this.#terminal.append(this.#target, this.#empty);
    document.body.replaceChildren(
      this.#list.element,
      this.#header.element,
      this.#header.banner,
      this.#terminal,
      this.#results.element,
      this.#files.element,
      this.#live,
    );
    document.body.addEventListener('keydown', (event) => this.#onKey(event));
    onThemeChange(() => {
      for (const { screen } of this.#tabs.values()) screen.repaint();
      this.#find.repaint();
    });
    for (const tab of tabs) this.#update(tab);
    if (active !== null) this.#activate(active, false);
    this.#show();
    if (tabs.length === 0) this.#measure();
  }

  /** @throws never for what the program printed, only for mistakes of ours */
  receive(message: Exclude<ToPage, { type: 'init' }>): void {
    switch (message.type) {
      case 'settings':
        this.#settings = message.settings;
        for (const tab of this.#tabs.values()) tab.settings = message.settings;
        break;
      case 'tab':
        this.#update(message.tab);
        break;
      case 'closed':
        this.#close(message.tab);
        break;
      case 'activate':
        this.#activate(message.tab, message.focus);
        break;
      case 'replay':
        this.#ofRun(message.run)?.replay(message.to);
        break;
      case 'output':
        this.#ofRun(message.run)?.output(message.channel, message.seq, message.data);
        break;
      case 'gap':
        this.#ofRun(message.run)?.gap(message.from, message.to);
        break;
      case 'notice':
        this.#ofRun(message.run)?.screen.notice(message.text);
        break;
      case 'file':
        this.#files.received(message);
        break;
      case 'fileFailed':
        this.#files.failed(message.run, message.path, message.message);
        break;
      case 'results':
        this.#results.received(message);
        break;
      case 'clear':
        this.#tabs.get(message.tab)?.clear();
        break;
      case 'find':
        this.#find.open();
        break;
      case 'request':
        void (message.what === 'copy' ? this.#copy() : this.#save());
    }
  }

  #ofRun(run: number): TabView | undefined {
    return this.#tabs.values().find((tab) => tab.run.id === run);
  }

  #update(tab: Init['tabs'][number]): void {
    const known = this.#tabs.get(tab.id);
    if (known) {
      const isNewRun = known.run.id !== tab.run.id;
      const news = known.update(tab);
      if (news !== undefined) this.#live.textContent = news;
      if (isNewRun) this.#activate(tab.id, false);
      else this.#show();
      return;
    }
    const view = this.#create(tab);
    this.#tabs.set(tab.id, view);
    // Often the first news of a run is the tab itself. What had ended before the page was there is none.
    if (!tab.run.ended) this.#live.textContent = view.news;
    this.#activate(tab.id, false);
  }

  #create(tab: Init['tabs'][number]): TabView {
    const view: TabView = new TabView(this.#terminal, tab, this.#settings, {
      changed: () => this.#show(),
      key: (use) => {
        if (use === 'copy') void this.#copy();
        else if (use === 'links') this.#openLinks();
        else if (use === 'find') this.#find.open();
        else if (use === 'findNext') this.#find.next();
        else this.#find.previous();
      },
      hover: (target) => {
        this.#target.hidden = target === undefined;
        this.#target.textContent = target ?? '';
      },
      found: (index, count) => {
        if (view === this.#active) this.#find.found(index, count);
      },
    });
    return view;
  }

  /** Chosen by the person: the extension's commands are about this tab now. */
  #choose(tab: number): void {
    this.#activate(tab, false);
    post({ type: 'activate', tab });
  }

  #activate(id: number, focus: boolean): void {
    const tab = this.#tabs.get(id);
    if (!tab) return;
    if (this.#active !== tab && this.#find.isOpen) this.#find.close();
    this.#active = tab;
    this.#show();
    tab.screen.fit();
    if (focus) tab.screen.focus();
  }

  #close(id: number): void {
    const tab = this.#tabs.get(id);
    if (!tab) return;
    this.#tabs.delete(id);
    if (this.#active === tab) {
      this.#active = [...this.#tabs.values()].at(-1);
      if (this.#find.isOpen) this.#find.close();
    }
    tab[Symbol.dispose]();
    if (this.#active) this.#activate(this.#active.id, false);
    else this.#show();
  }

  /** What is around the terminal waits for the next frame: a run has more news in one than anybody could see. */
  #show(): void {
    for (const tab of this.#tabs.values()) tab.screen.element.hidden = tab !== this.#active;
    this.#empty.hidden = this.#active !== undefined;
    this.#showing ??= requestAnimationFrame(() => {
      this.#showing = undefined;
      this.#list.show([...this.#tabs.values()], this.#active);
      this.#header.show(this.#active);
      this.#results.show(this.#active);
      this.#files.show(this.#active);
    });
  }

  #clear(): void {
    if (!this.#active) return;
    this.#active.clear();
    post({ type: 'clear', tab: this.#active.id });
  }

  #openLinks(): void {
    if (this.#active) this.#links.open(this.#active.screen.lines(LINK_LINES));
  }

  async #copy(): Promise<void> {
    if (!this.#active) return;
    const { screen } = this.#active;
    await screen.settled();
    post({ type: 'copy', text: screen.selection || screen.lines().join('\n') });
  }

  async #save(): Promise<void> {
    if (!this.#active) return;
    const { id, screen } = this.#active;
    await screen.settled();
    post({ type: 'save', tab: id, text: `${screen.lines().join('\n')}\n` });
  }

  #onKey(event: KeyboardEvent): void {
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'f') this.#find.open();
    else if (event.key === 'F3') event.shiftKey ? this.#find.previous() : this.#find.next();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** The first run should start with the size that its terminal will have. */
  #measure(): void {
    const ignore = () => undefined;
    const screen = new Screen(this.#terminal, this.#settings, {
      input: ignore,
      interrupt: ignore,
      eof: ignore,
      key: ignore,
      openSource: ignore,
      openUrl: ignore,
      hover: ignore,
      found: ignore,
      drawn: ignore,
      scrolled: ignore,
      resized: (rows, cols) => {
        post({ type: 'resize', rows, cols });
        queueMicrotask(() => screen[Symbol.dispose]());
      },
    });
  }
}

let page: Page | undefined;
onMessage((message) => {
  try {
    if (message.type === 'init') {
      setLanguage(message.language, message.strings);
      page = new Page(message);
    } else {
      page?.receive(message);
    }
  } catch (error) {
    report(error);
  }
});
window.addEventListener('error', ({ error }) => report(error));
window.addEventListener('unhandledrejection', ({ reason }) => report(reason));
post({ type: 'ready' });

function report(error: unknown): void {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  post({ type: 'failed', message: text.slice(0, 4_000) });
}
