/** Asks for a program's arguments and its input. */
import { l10n, window, workspace } from 'vscode';
import type { Program } from './program.ts';

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

/** As a shell splits words, without any of its expansions. @returns undefined where a quote is not closed */
export function splitArguments(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quoted = '';
  for (let at = 0; at < line.length; at++) {
    const char = line[at] as string;
    if (quoted === "'" ? char !== "'" : char === '\\' && at + 1 < line.length) {
      word = (word ?? '') + (quoted === "'" ? char : line[++at]);
    } else if (quoted) {
      if (char === quoted) quoted = '';
      else word = (word ?? '') + char;
    } else if (char === '"' || char === "'") {
      quoted = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quoted) return undefined;
  if (word !== undefined) words.push(word);
  return words;
}

function quote(word: string): string {
  return /^[^\s"'\\]+$/.test(word) ? word : `"${word.replace(/["\\]/g, '\\$&')}"`;
}
