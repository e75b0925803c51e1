/** What is said in the language of the window though it is not made by VS Code: by the console's page, the language server, the daemon. */
import { l10n } from 'vscode';
import { takeApart } from './sentences.ts';

/** All texts, by what they are in English; none where VS Code itself is in English. */
export function translations(): Record<string, string> {
  const { bundle } = l10n;
  return bundle ? Object.fromEntries(Object.entries(bundle).filter(([, text]) => typeof text === 'string')) : {};
}

/** A sentence of the daemon, or of what does not know VS Code, in the language of the window; in English where nobody has translated it. */
export function translated(sentence: string): string {
  const { text, values } = takeApart(sentence) ?? { text: sentence, values: [] };
  return l10n.t(text, ...values);
}
