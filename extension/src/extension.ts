/** The extension's entry: wires the parts together, nothing else. */
import { type ExtensionContext, window } from 'vscode';
import { setting } from './configuration.ts';
import { CONSOLE_VIEW, Console } from './console/view.ts';
import { findBundle } from './daemon/bundle.ts';
import { registerDaemonCommands } from './daemon/commands.ts';
import { Daemon } from './daemon/daemon.ts';
import { LocalDaemon } from './daemon/local.ts';
import { LanguageServer } from './language/server.ts';
import { RunCommands } from './run/commands.ts';
import { Languages } from './run/languages.ts';
import { Tabs } from './run/tabs.ts';
import { registerTasks } from './tasks.ts';
import { registerHistory } from './views/history.ts';
import { Output } from './views/output.ts';
import { StatusBar } from './views/status-bar.ts';

export function activate(context: ExtensionContext): void {
  const log = window.createOutputChannel('CodeRunner Log', { log: true });
  const bundle = findBundle(context.extensionPath);
  const { version } = context.extension.packageJSON as { version: string };
  const local = new LocalDaemon({ cli: bundle.cli, version, node: () => setting('daemon.node') });
  const daemon = new Daemon(local, context.secrets);
  const tabs = new Tabs(daemon, context.workspaceState);
  const page = new Console(tabs, bundle.page, log);
  const output = new Output(tabs);
  const languages = new Languages();
  context.subscriptions.push(
    log,
    daemon,
    tabs,
    page,
    output,
    languages,
    new LanguageServer(local, tabs, languages, log),
    // Hidden, the page keeps what it has drawn: drawing it again would lose what the daemon no longer keeps.
    window.registerWebviewViewProvider(CONSOLE_VIEW, page, { webviewOptions: { retainContextWhenHidden: true } }),
    new RunCommands(tabs, page, output, daemon),
    new StatusBar(daemon, tabs),
    registerHistory(daemon, tabs),
    registerTasks(daemon),
    ...registerDaemonCommands(daemon),
    daemon.onDidLearn((runtimes) => languages.tell(runtimes)),
  );
  const report = (error: unknown) => log.error(error instanceof Error ? error : String(error));
  languages.readBundled(bundle.runtimes).catch(report);
  tabs.restore().catch(report);
}
