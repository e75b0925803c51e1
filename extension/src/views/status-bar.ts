/** The status bar's item: which daemon, what runs, how many containers wait. */
import type { DaemonStatus } from '@coderunner/daemon/protocol';
import { type Disposable, l10n, MarkdownString, StatusBarAlignment, ThemeColor, window } from 'vscode';
import type { Daemon, DaemonNews } from '../daemon/daemon.ts';
import { Later } from '../later.ts';
import type { Tabs } from '../run/tabs.ts';

/** While somebody looks at the window. A daemon is only asked, never started. */
const ASK_EVERY_MS = 15_000;

export class StatusBar implements Disposable {
  readonly #daemon: Daemon;
  readonly #tabs: Tabs;
  readonly #item = window.createStatusBarItem('coderunner.status', StatusBarAlignment.Left, 0);
  readonly #disposables: Disposable[];
  readonly #timer: NodeJS.Timeout;

  constructor(daemon: Daemon, tabs: Tabs) {
    this.#daemon = daemon;
    this.#tabs = tabs;
    this.#item.name = 'CodeRunner';
    this.#item.command = 'coderunner.menu';
    const show = () => this.#show(daemon.news);
    const showLater = new Later(show);
    const refreshLater = new Later(() => void daemon.refresh());
    this.#disposables = [
      this.#item,
      showLater,
      refreshLater,
      daemon.onDidChange(show),
      tabs.onDidOpen(({ session }) => {
        showLater.ask();
        void session.over.then(() => refreshLater.ask());
      }),
      tabs.onDidClose(() => showLater.ask()),
      tabs.onDidChange(() => showLater.ask()),
    ];
    this.#timer = setInterval(() => {
      if (window.state.focused) void daemon.refresh();
    }, ASK_EVERY_MS);
    show();
    this.#item.show();
  }

  dispose(): void {
    clearInterval(this.#timer);
    for (const disposable of this.#disposables) disposable.dispose();
  }

  #show(news: DaemonNews): void {
    const running = this.#tabs.running.length;
    const broken = news.state === 'down' || (news.state === 'up' && news.status.pool.engine.state === 'down');
    const icon = broken ? '$(warning)' : running > 0 ? '$(loading~spin)' : '$(vm)';
    const where = this.#daemon.url ? ` ${new URL(this.#daemon.url).host}` : '';
    const what = running > 0 ? l10n.t('{0} running', running) : `CodeRunner${where}`;
    this.#item.text = `${icon} ${what}`;
    this.#item.backgroundColor = broken ? new ThemeColor('statusBarItem.warningBackground') : undefined;
    this.#item.accessibilityInformation = { label: `CodeRunner: ${what}. ${summary(news)}` };
    this.#item.tooltip = this.#tooltip(news);
  }

  #tooltip(news: DaemonNews): MarkdownString {
    const text = new MarkdownString(undefined, true);
    text.appendMarkdown(`**CodeRunner** — ${this.#daemon.url ? this.#daemon.url : l10n.t('on this machine')}\n\n`);
    text.appendText(summary(news));
    if (news.state !== 'up') return text;
    const { pool, runs } = news.status;
    text.appendMarkdown(`\n\n${l10n.t('{0} running, {1} waiting for their turn', runs.running, runs.queued)}\n\n`);
    for (const { runtime, idle, creating, leased, problem } of pool.runtimes) {
      text.appendMarkdown(`- ${runtime}: ${l10n.t('{0} ready, {1} being made, {2} in use', idle, creating, leased)}\n`);
      if (problem !== null) text.appendText(`  ${problem}\n`);
    }
    return text;
  }
}

function summary(news: DaemonNews): string {
  switch (news.state) {
    case 'unknown':
      return l10n.t('The daemon starts with the first run.');
    case 'connecting':
      return l10n.t('Connecting to the daemon.');
    case 'down':
      return news.problem;
    case 'up':
      return engine(news.status);
  }
}

function engine({ version, pool }: DaemonStatus): string {
  if (pool.engine.state === 'down') return pool.engine.problem ?? l10n.t('The container engine does not answer.');
  return l10n.t('Daemon {0} on {1}', version, pool.engine.name);
}
