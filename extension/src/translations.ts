/** For the console's page and the language server, which are no part of VS Code: their texts in its language. */
import { l10n } from 'vscode';

/** By their English text; none where VS Code itself is in English. */
export function translations(): Record<string, string> {
  const { bundle } = l10n;
  return bundle ? Object.fromEntries(Object.entries(bundle).filter(([, text]) => typeof text === 'string')) : {};
}
