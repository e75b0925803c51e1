/**
 * Adds to the extension's l10n/bundle.l10n.json, which VS Code's own tool has made from its source, the texts of what it brings: the console's page, the
 * language server, and what the daemon says. `npm run l10n` does both.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEXTS } from '../daemon/src/lsp/texts.ts';
import { ERRORS } from '../daemon/src/protocol/errors.ts';
import { SENTENCES } from '../extension/src/sentences.ts';

const BUNDLE = join(import.meta.dirname, '../extension/l10n/bundle.l10n.json');
const PAGE = join(import.meta.dirname, '../webview-ui/src');
/** `t('…'`, and words that are translated where they are shown. */
const TRANSLATED = /(?:\bt\(\s*|\b(?:words|label): )'((?:[^'\\\n]|\\.)*)'/g;

const ofPage = readdirSync(PAGE)
  .filter((name) => name.endsWith('.ts'))
  .flatMap((name) => [...readFileSync(join(PAGE, name), 'utf8').matchAll(TRANSLATED)])
  .map(([, text]) => (text as string).replace(/\\(.)/g, '$1'));
const bundle: Record<string, string> = JSON.parse(readFileSync(BUNDLE, 'utf8'));
const ways = Object.values(ERRORS).map(({ hint }) => hint);
for (const text of [...Object.values(TEXTS), ...SENTENCES, ...ways, ...ofPage]) bundle[text] ??= text;
const sorted = Object.fromEntries(Object.entries(bundle).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(BUNDLE, `${JSON.stringify(sorted, null, 2)}\n`);
