/** Asks for a program's arguments and its input. */
import { l10n, window, workspace } from 'vscode';
import type { Program } from './program.ts';
import { quote, splitArguments } from './words.ts';

/** @returns undefined when the person changed their mind */
export async function askArguments(
  title: string,
  before: Pick<Program, 'args' | 'stdin'> | undefined,
): Promise<Pick<Program, 'args' | 'stdin'> | undefined> {
  const line = await window.showInputBox({
    title: l10n.t('Arguments for {0}', title),
    value: (before?.args ?? []).map(quote).join(' '),
    placeHolder: l10n.t('--name "Ada Lovelace" 42'),
    prompt: l10n.t('Separated by spaces; quotes keep spaces together.'),
    validateInput: (text) => (splitArguments(text) ? undefined : l10n.t('A quote is not closed.')),
  });
  const args = line === undefined ? undefined : splitArguments(line);
  if (!args) return undefined;
  const typed = { label: l10n.t('I type it'), description: l10n.t('in the console, while the program runs') };
  const text = { label: l10n.t('A line of text') };
  const file = { label: l10n.t('A file…') };
  const choice = await window.showQuickPick([typed, text, file], { title: l10n.t('Where does the input come from?') });
  if (choice === typed) return { args };
  if (choice === text) {
    const input = await window.showInputBox({
      title: l10n.t('Input for {0}', title),
      value: before?.stdin?.trimEnd() ?? '',
    });
    return input === undefined ? undefined : { args, stdin: input === '' ? '' : `${input}\n` };
  }
  if (choice !== file) return undefined;
  const [uri] = (await window.showOpenDialog({ title: l10n.t('Input for {0}', title) })) ?? [];
  return uri && { args, stdin: Buffer.from(await workspace.fs.readFile(uri)).toString('utf8') };
}
