/** The commands that run programs, and what is done with a run. */
import { relative, sep } from 'node:path';
import type { Run } from '@coderunner/daemon/protocol';
import {
  ConfigurationTarget,
  commands,
  type Disposable,
  l10n,
  type QuickPickItem,
  type TextDocument,
  Uri,
  window,
  workspace,
} from 'vscode';
import { setting } from '../configuration.ts';
import type { Console } from '../console/view.ts';
import type { Daemon } from '../daemon/daemon.ts';
import { Later } from '../later.ts';
import type { Output } from '../views/output.ts';
import { askArguments } from './arguments.ts';
import { registerMending } from './mending.ts';
import { type Program, programOf, projectOf, selectionOf } from './program.ts';
import type { Tab, Tabs } from './tabs.ts';

export class RunCommands implements Disposable {
  readonly #tabs: Tabs;
  readonly #console: Console;
  readonly #output: Output;
  readonly #commands: Disposable[];
  readonly #tellLater = new Later(() => this.#tellRunning());
  #toldRunning = false;

  constructor(tabs: Tabs, console: Console, output: Output, daemon: Daemon) {
    this.#tabs = tabs;
    this.#console = console;
    this.#output = output;
    const { registerCommand } = commands;
    this.#commands = [
      registerCommand('coderunner.run', (uri?: Uri) => this.#runDocument(uri)),
      registerCommand('coderunner.runProject', (uri?: Uri) => this.#runProject(uri)),
      registerCommand('coderunner.runSelection', () => this.#runSelection()),
      registerCommand('coderunner.runWithArguments', (uri?: Uri) => this.#runWithArguments(uri)),
      registerCommand('coderunner.rerun', (tab?: unknown) => this.#rerun(tabs.named(tab) ?? tabs.latest)),
      registerCommand('coderunner.stop', (which?: unknown) => this.#stop(which)),
      registerCommand('coderunner.stopAll', () => {
        for (const { session } of tabs.running) session.stop();
      }),
      registerCommand('coderunner.setEntry', (uri?: Uri) => this.#setEntry(uri)),
      registerCommand('coderunner.showConsole', () => console.reveal(console.active, true)),
      registerCommand('coderunner.showOutput', () => output.show(false)),
      registerCommand('coderunner.find', () => console.find()),
      registerCommand('coderunner.copy', () => console.request('copy')),
      registerCommand('coderunner.save', () => console.request('save')),
      registerCommand('coderunner.clear', () => console.clear(console.active)),
      registerCommand('coderunner.chooseTab', () => this.#chooseTab()),
      registerCommand('coderunner.history.open', (run: Run) => this.#reveal(tabs.show(run.id, run.entry), false)),
      registerCommand('coderunner.history.rerun', (run: Run) => this.#runAgain(run)),
      registerCommand('coderunner.history.stop', (run: Run) => daemon.client.api.cancel(run.id)),
      registerCommand('coderunner.openExample', openExample),
      this.#tellLater,
      // Whoever wants to stop it may be quick.
      tabs.onDidOpen(() => this.#tellRunning()),
      tabs.onDidClose(() => this.#tellLater.ask()),
      tabs.onDidChange(() => this.#tellLater.ask()),
      registerMending(tabs, daemon, {
        run: (program) => this.#run(program),
        reveal: (tab) => this.#reveal(tab, false),
      }),
    ];
  }

  dispose(): void {
    for (const command of this.#commands) command.dispose();
  }

  /** Starts a program and opens where it is shown. */
  async #run(program: Program): Promise<Tab> {
    const tab = this.#tabs.run(program);
    await this.#reveal(tab, !setting('preserveFocus'));
    return tab;
  }

  async #reveal(tab: Tab, focus: boolean): Promise<void> {
    if (setting('view') === 'output') this.#output.show(!focus);
    else await this.#console.reveal(tab, focus);
  }

  async #runDocument(uri?: Uri): Promise<void> {
    const document = await documentOf(uri);
    if (document && (await save(document))) await this.#run(programOf(document));
  }

  async #runProject(uri?: Uri): Promise<void> {
    const at = uri ?? window.activeTextEditor?.document.uri;
    const folder = (at && workspace.getWorkspaceFolder(at)) ?? workspace.workspaceFolders?.[0];
    const entry = folder && projectOf(folder.uri);
    if (entry) return this.#runDocument(entry);
    const choose = l10n.t('Choose Entry File');
    const choice = await window.showInformationMessage(
      folder
        ? l10n.t('{0} has no entry file yet: the file that its program begins with.', folder.name)
        : l10n.t('There is no folder open whose program could be run.'),
      ...(folder ? [choose] : []),
    );
    if (choice !== choose || !folder) return undefined;
    const [file] = (await window.showOpenDialog({ defaultUri: folder.uri, title: choose })) ?? [];
    if (file && (await this.#setEntry(file))) await this.#runDocument(file);
    return undefined;
  }

  async #runSelection(): Promise<void> {
    const editor = window.activeTextEditor;
    const program = editor && selectionOf(editor);
    if (program) await this.#run(program);
    else if (editor) await this.#runDocument(editor.document.uri);
    else await documentOf(undefined);
  }

  async #runWithArguments(uri?: Uri): Promise<void> {
    const document = await documentOf(uri);
    if (!document) return;
    const program = programOf(document);
    const before = this.#tabs.all.find((tab) => tab.program.key === program.key)?.program;
    const given = await askArguments(program.title, before);
    if (given && (await save(document))) await this.#run({ ...program, ...given });
  }

  /** What ran last, as it was; its document as it is now. */
  async #rerun(tab: Tab | undefined): Promise<void> {
    if (!tab) return this.#runDocument(undefined);
    const { program } = tab;
    const document = workspace.textDocuments.find((candidate) => candidate.uri.toString() === program.uri);
    const isSelection = program.key.endsWith('#selection');
    if (document && !isSelection && !(await save(document))) return;
    await this.#run(document && !isSelection ? { ...program, ...programOf(document) } : program);
  }

  /** By a CodeLens the document's; else the one in front, if it runs; else the only one; else the person is asked. */
  async #stop(which: unknown): Promise<void> {
    const { running } = this.#tabs;
    const named =
      which instanceof Uri ? running.find(({ program }) => program.key === which.toString()) : this.#tabs.named(which);
    const active = this.#console.active;
    const tab =
      named ??
      (active && !active.session.ended
        ? active
        : running.length > 1
          ? await pickTab(running, l10n.t('Stop which?'))
          : running[0]);
    if (tab) tab.session.stop();
    else if (running.length === 0) window.setStatusBarMessage(l10n.t('Nothing runs in a sandbox.'), 3_000);
  }

  async #setEntry(uri?: Uri): Promise<boolean> {
    const file = uri ?? window.activeTextEditor?.document.uri;
    const folder = file && workspace.getWorkspaceFolder(file);
    if (!file || !folder) {
      window.showErrorMessage(l10n.t('Only a file of an open folder can be its entry file.'));
      return false;
    }
    const entry = relative(folder.uri.fsPath, file.fsPath).split(sep).join('/');
    const target = workspace.workspaceFile ? ConfigurationTarget.WorkspaceFolder : ConfigurationTarget.Workspace;
    await workspace.getConfiguration('coderunner', folder.uri).update('entry', entry, target);
    window.setStatusBarMessage(l10n.t('{0} is the entry file of {1} now.', entry, folder.name), 3_000);
    return true;
  }

  async #chooseTab(): Promise<void> {
    const tab = await pickTab(this.#tabs.all, l10n.t('Show which run?'));
    if (tab) await this.#console.reveal(tab, true);
  }

  async #runAgain({ id, entry, args }: Run): Promise<void> {
    const known = this.#tabs.programOf(id);
    if (known) {
      await this.#run(known);
      return;
    }
    for (const folder of workspace.workspaceFolders ?? []) {
      const uri = Uri.joinPath(folder.uri, entry);
      const document = await workspace.openTextDocument(uri).then(
        (found) => found,
        () => undefined, // not in this folder
      );
      if (document) {
        await this.#run({ ...programOf(document), args });
        return;
      }
    }
    window.showErrorMessage(l10n.t('{0} is in none of the open folders, so it cannot be run again from here.', entry));
  }

  /** For the `when` clauses of package.json. */
  #tellRunning(): void {
    const running = this.#tabs.running.length > 0;
    if (running === this.#toldRunning) return;
    this.#toldRunning = running;
    void commands.executeCommand('setContext', 'coderunner.running', running);
  }
}

/** A program to begin with, in an editor of its own. */
async function openExample(): Promise<void> {
  const content = 'name = input("What is your name? ")\nprint(f"Nice to meet you, {name}!")\n';
  await window.showTextDocument(await workspace.openTextDocument({ language: 'python', content }));
}

async function documentOf(uri: Uri | undefined): Promise<TextDocument | undefined> {
  if (uri instanceof Uri) return openText(uri);
  const document = window.activeTextEditor?.document;
  if (!document) window.showInformationMessage(l10n.t('Open the file that is to be run.'));
  return document;
}

/** @returns undefined, once that is said, where it is gone or no text */
async function openText(uri: Uri): Promise<TextDocument | undefined> {
  try {
    return await workspace.openTextDocument(uri);
  } catch (error) {
    const name = workspace.asRelativePath(uri);
    window.showErrorMessage(l10n.t('{0} cannot be read as text: {1}', name, (error as Error).message));
    return undefined;
  }
}

/** Unsaved changes run as they stand, unless the person wants them saved. @returns false when saving was refused */
async function save(document: TextDocument): Promise<boolean> {
  switch (setting('saveBeforeRun', document.uri)) {
    case 'none':
      return true;
    case 'file':
      return document.isUntitled || document.save();
    case 'all':
      return workspace.saveAll(false);
  }
}

async function pickTab(tabs: readonly Tab[], title: string): Promise<Tab | undefined> {
  const items = tabs.map<QuickPickItem & { tab: Tab }>((tab) => ({
    label: tab.program.title,
    description: tab.session.ended ? (tab.session.view.message ?? '') : l10n.t('running'),
    tab,
  }));
  return (await window.showQuickPick(items, { title }))?.tab;
}
