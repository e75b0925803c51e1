/** The runs that the daemon remembers, newest first; each can be looked at, and run again. */
import { formatBytes, formatDuration, isEnd, type Run } from '@coderunner/daemon/protocol';
import {
  commands,
  Disposable,
  EventEmitter,
  l10n,
  ThemeColor,
  ThemeIcon,
  type TreeDataProvider,
  TreeItem,
  window,
} from 'vscode';
import type { Daemon } from '../daemon/daemon.ts';
import { Later } from '../later.ts';
import type { Tabs } from '../run/tabs.ts';

const SHOWN = 100;

export function registerHistory(daemon: Daemon, tabs: Tabs): Disposable {
  const runs = new RunTree(daemon);
  const refreshLater = new Later(() => runs.refresh());
  return Disposable.from(
    runs,
    refreshLater,
    window.createTreeView('coderunner.history', { treeDataProvider: runs }),
    commands.registerCommand('coderunner.history.refresh', () => runs.refresh()),
    tabs.onDidOpen(({ session }) => void session.over.then(() => refreshLater.ask())),
  );
}

export class RunTree implements TreeDataProvider<Run>, Disposable {
  readonly #daemon: Daemon;
  readonly #changed = new EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.#changed.event;

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  refresh(): void {
    this.#changed.fire(undefined);
  }

  async getChildren(parent?: Run): Promise<Run[]> {
    if (parent || !(await this.#daemon.reachable())) return [];
    const { runs } = await this.#daemon.client.api.runs({ limit: SHOWN });
    return runs;
  }

  getTreeItem(run: Run): TreeItem {
    const item = new TreeItem([run.entry, ...run.args].join(' '));
    item.id = run.id;
    item.description = new Date(run.createdAt).toLocaleString();
    item.iconPath = icon(run);
    const facts = [
      run.state.replaceAll('_', ' '),
      run.message ?? '',
      run.wallMs === null ? '' : formatDuration(run.wallMs),
      run.peakMemoryBytes === null ? '' : formatBytes(run.peakMemoryBytes),
    ].filter((fact) => fact !== '');
    item.tooltip = facts.join('\n');
    item.accessibilityInformation = { label: `${run.entry}, ${facts.join(', ')}` };
    item.contextValue = isEnd(run.state) ? 'ended' : 'running';
    item.command = { command: 'coderunner.history.open', title: l10n.t('Show Output'), arguments: [run] };
    return item;
  }

  dispose(): void {
    this.#changed.dispose();
  }
}

function icon({ state }: Run): ThemeIcon {
  if (state === 'succeeded') return new ThemeIcon('pass', new ThemeColor('testing.iconPassed'));
  if (state === 'cancelled') return new ThemeIcon('circle-slash');
  if (isEnd(state)) return new ThemeIcon('error', new ThemeColor('testing.iconFailed'));
  return new ThemeIcon('loading~spin');
}
