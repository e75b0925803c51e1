/** The commands about the daemon: choosing one, and mending what keeps it from running programs. */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { Client } from '@coderunner/daemon/client';
import {
  ConfigurationTarget,
  commands,
  type Disposable,
  EventEmitter,
  env,
  l10n,
  ProgressLocation,
  type QuickPickItem,
  Uri,
  window,
  workspace,
} from 'vscode';
import type { Daemon } from './daemon.ts';

/** A document that cannot be edited, and need not be saved. */
const REPORT = Uri.parse('coderunner-report:CodeRunner%20Report.txt');
const report = { text: '', changed: new EventEmitter<Uri>() };

export function registerDaemonCommands(daemon: Daemon): Disposable[] {
  const { registerCommand } = commands;
  return [
    workspace.registerTextDocumentContentProvider(REPORT.scheme, {
      onDidChange: report.changed.event,
      provideTextDocumentContent: () => report.text,
    }),
    registerCommand('coderunner.menu', () => menu(daemon)),
    registerCommand('coderunner.chooseDaemon', () => chooseDaemon(daemon)),
    registerCommand('coderunner.enterToken', () =>
      daemon.url ? enterToken(daemon, daemon.url) : chooseDaemon(daemon),
    ),
    registerCommand('coderunner.restartDaemon', () => restart(daemon)),
    registerCommand('coderunner.stopDaemon', () => stop(daemon)),
    registerCommand('coderunner.showLog', () => showLog(daemon)),
    registerCommand('coderunner.doctor', () => doctor(daemon)),
    registerCommand('coderunner.startEngine', () => startEngine(daemon)),
    registerCommand('coderunner.openSettings', () =>
      commands.executeCommand('workbench.action.openSettings', '@ext:coderunner.coderunner'),
    ),
  ];
}

interface Choice extends QuickPickItem {
  command: string;
}

async function menu(daemon: Daemon): Promise<void> {
  const news = await daemon.refresh();
  const choices: Choice[] = [
    { label: `$(terminal) ${l10n.t('Show Console')}`, command: 'coderunner.showConsole' },
    { label: `$(history) ${l10n.t('Show Run History')}`, command: 'coderunner.history.focus' },
    { label: `$(vm-connect) ${l10n.t('Choose Daemon…')}`, command: 'coderunner.chooseDaemon' },
  ];
  if (!daemon.url) {
    choices.push({ label: `$(checklist) ${l10n.t('Check Everything')}`, command: 'coderunner.doctor' });
    choices.push({ label: `$(debug-restart) ${l10n.t('Restart Daemon')}`, command: 'coderunner.restartDaemon' });
    if (news.state === 'up')
      choices.push({ label: `$(debug-stop) ${l10n.t('Stop Daemon')}`, command: 'coderunner.stopDaemon' });
    choices.push({ label: `$(output) ${l10n.t('Show Log')}`, command: 'coderunner.showLog' });
  }
  const choice = await window.showQuickPick(choices, { title: 'CodeRunner' });
  if (choice) await commands.executeCommand(choice.command);
}

async function chooseDaemon(daemon: Daemon): Promise<void> {
  const here = {
    label: `$(device-desktop) ${l10n.t('On this machine')}`,
    description: l10n.t('started when it is first needed'),
  };
  const team = {
    label: `$(server) ${l10n.t('A team’s daemon…')}`,
    description: daemon.url ?? l10n.t('by its address and a token'),
  };
  const choice = await window.showQuickPick([here, team], { title: l10n.t('Where do programs run?') });
  if (!choice) return;
  if (choice === here) {
    await saveUrl(undefined);
    await daemon.reset();
    return;
  }
  const url = await window.showInputBox({
    title: l10n.t('The daemon’s address'),
    value: daemon.url ?? 'https://',
    ignoreFocusOut: true,
    validateInput: (value) =>
      /^https?:\/\/[^/]/.test(value) && URL.canParse(value) ? undefined : l10n.t('Such as https://sandbox.example.com'),
  });
  if (url !== undefined) await enterToken(daemon, url.replace(/\/+$/, ''));
}

/** The address is only kept once its token was tried. */
async function enterToken(daemon: Daemon, url: string): Promise<void> {
  const token = await window.showInputBox({
    title: l10n.t('The token for {0}', url),
    prompt: l10n.t('It is kept in this computer’s secret storage.'),
    password: true,
    ignoreFocusOut: true,
    validateInput: (value) => (/^\S+$/.test(value) ? undefined : l10n.t('A token has no spaces.')),
  });
  if (token === undefined) return;
  try {
    await using client = new Client({ locate: async () => ({ url, token }) });
    const { version } = await client.api.status();
    await daemon.setToken(url, token);
    await saveUrl(url);
    await daemon.reset();
    window.showInformationMessage(l10n.t('Programs run on {0} now (daemon {1}).', url, version));
  } catch (error) {
    const again = l10n.t('Try Again');
    if ((await window.showErrorMessage((error as Error).message, again)) === again) await enterToken(daemon, url);
  }
}

async function saveUrl(url: string | undefined): Promise<void> {
  await workspace.getConfiguration('coderunner').update('daemon.url', url, ConfigurationTarget.Global);
}

async function restart(daemon: Daemon): Promise<void> {
  await window.withProgress({ location: ProgressLocation.Window, title: l10n.t('Restarting the daemon') }, async () => {
    if (!daemon.url) await daemon.local.stop(false);
    await daemon.reset();
    await daemon.client.api.status();
    await daemon.refresh();
  });
}

async function stop(daemon: Daemon): Promise<void> {
  if (daemon.url) return;
  await daemon.local.stop(false);
  await daemon.reset();
}

async function showLog(daemon: Daemon): Promise<void> {
  await window.showTextDocument(Uri.file(daemon.local.logFile), { preview: true });
}

/** What `coderunner doctor` finds, in an editor of its own. */
async function doctor(daemon: Daemon): Promise<void> {
  const child = daemon.local.spawn(['doctor']);
  if (!child.stdout || !child.stderr) return;
  const [output, complaints] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  report.text = `${output}${complaints}`;
  report.changed.fire(REPORT);
  await window.showTextDocument(await workspace.openTextDocument(REPORT), { preview: true });
}

/**
 * Docker Desktop is started as an application. Docker as a service needs the person's password, and Podman may want a machine first: their
 * command waits in a terminal.
 */
async function startEngine(daemon: Daemon): Promise<void> {
  const isService = env.remoteName !== undefined || process.platform === 'linux';
  const isPodman = !isOnPath('docker') && isOnPath('podman');
  if (!isService && !isPodman) {
    const started = await env.openExternal(Uri.parse('docker-desktop://dashboard/open'));
    if (started) await daemon.refresh();
    return;
  }
  const podman = isService ? 'systemctl --user enable --now podman.socket' : 'podman machine start';
  const terminal = window.createTerminal({ name: l10n.t('Start Container Engine') });
  terminal.show();
  terminal.sendText(isPodman ? podman : 'sudo systemctl start docker', false);
}

function isOnPath(program: string): boolean {
  const name = process.platform === 'win32' ? `${program}.exe` : program;
  return (process.env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, name)));
}
