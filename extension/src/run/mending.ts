/** What is said of runs that went wrong, and the commands behind its buttons. */
import { ConfigurationTarget, commands, Disposable, l10n, Uri, window, workspace } from 'vscode';
import { setting } from '../configuration.ts';
import type { Daemon } from '../daemon/daemon.ts';
import { TooMuch } from './collect.ts';
import type { Program } from './program.ts';
import type { Missed, Tab, Tabs } from './tabs.ts';
import { verdictOf } from './verdict.ts';

/** How a program is run, and a tab shown, as the person has set it. */
export interface Shows {
  run(program: Program): Promise<unknown>;
  reveal(tab: Tab): Promise<void>;
}

export function registerMending(tabs: Tabs, daemon: Daemon, shows: Shows): Disposable {
  const { registerCommand } = commands;
  /** A button names its tab; a key or the palette means the one that ran last. */
  const withTab = (mend: (tab: Tab) => Promise<unknown>) => async (id?: unknown) => {
    const tab = tabs.named(id) ?? tabs.latest;
    if (tab) await mend(tab);
  };
  return Disposable.from(
    registerCommand(
      'coderunner.chooseLanguage',
      withTab(async ({ program }) => {
        const runtime = await askLanguage(program, daemon);
        if (runtime !== undefined) await shows.run({ ...program, runtime });
      }),
    ),
    registerCommand(
      'coderunner.runAlone',
      withTab(({ program: { root: _, ...program } }) =>
        shows.run({ ...program, entry: program.entry.split('/').at(-1) ?? program.entry }),
      ),
    ),
    registerCommand(
      'coderunner.excludeOffender',
      withTab(async (tab) => {
        if (await excludeOffenders(tab)) await shows.run(tab.program);
      }),
    ),
    tabs.onDidOpen((tab) => {
      const { session } = tab;
      void session.over.then(() => (tab.session === session ? reportFailure(tab) : undefined));
    }),
    tabs.onDidMiss((missed) => reportMissed(missed, tabs, daemon, shows)),
  );
}

/** @returns the id of the language that the person says it is */
async function askLanguage({ title }: Program, daemon: Daemon): Promise<string | undefined> {
  const usable = (await daemon.runtimes()).filter(({ state }) => state !== 'broken');
  const items = usable.map(({ id, name, version }) => ({ label: name, description: version, id }));
  return (await window.showQuickPick(items, { title: l10n.t('In which language is {0}?', title) }))?.id;
}

/** Shows what weighs most, and leaves out what the person ticks. @returns whether anything is left out now */
async function excludeOffenders({ program, session: { error } }: Tab): Promise<boolean> {
  if (!(error instanceof TooMuch)) return false;
  const names = error.offenders.filter((name) => name !== program.entry);
  const title = l10n.t('What does the program not need?');
  const chosen = await window.showQuickPick(names, { canPickMany: true, title });
  if (!chosen || chosen.length === 0) return false;
  const scope = Uri.parse(program.uri);
  const target = workspace.workspaceFile ? ConfigurationTarget.WorkspaceFolder : ConfigurationTarget.Workspace;
  const exclude = [...setting('exclude', scope), ...chosen];
  await workspace.getConfiguration('coderunner', scope).update('exclude', exclude, target);
  return true;
}

/** What CodeRunner itself could not do is said where the person looks; how a program ended is for the console. */
async function reportFailure({ id, session }: Tab): Promise<void> {
  const { ended, message, hint, actions } = session.view;
  if (!ended || hint === null || message === null || session.resumed) return;
  const choice = await window.showErrorMessage(message, ...actions.map(({ label }) => label));
  const action = actions.find(({ label }) => label === choice);
  if (action) await commands.executeCommand(action.id, id);
}

/** What happened to a program while no window looked. */
async function reportMissed({ program, end, tab }: Missed, tabs: Tabs, daemon: Daemon, shows: Shows): Promise<void> {
  const { title } = program;
  if (end === 'unknown') {
    const again = l10n.t('Try Again');
    const message = l10n.t('{0} may still run, but {1} does not answer.', title, daemon.url ?? '');
    if ((await window.showWarningMessage(message, again)) === again) await tabs.restore();
    return;
  }
  const [rerun, show] = [l10n.t('Run Again'), l10n.t('Show Output')];
  const choice = await window.showWarningMessage(
    end === 'gone'
      ? l10n.t('{0} is lost: its daemon ended while no window showed it.', title)
      : l10n.t('{0} ended while no window showed it: {1}', title, verdictOf({ ...end, phase: end.state })),
    rerun,
    ...(tab ? [show] : []),
  );
  if (choice === rerun) await shows.run(program);
  else if (choice === show && tab) await shows.reveal(tab);
}
