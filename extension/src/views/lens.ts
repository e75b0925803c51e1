/** `Run in Sandbox` above the place where a program begins. */
import {
  CodeLens,
  type CodeLensProvider,
  type Disposable,
  EventEmitter,
  l10n,
  Range,
  type TextDocument,
  workspace,
} from 'vscode';
import { setting } from '../configuration.ts';
import type { Tabs } from '../run/tabs.ts';

/** Where programs of a language begin. What has none begins with its first line that does something. */
const ENTRY_POINTS: Record<string, RegExp> = {
  python: /^if\s+__name__\s*==\s*(['"])__main__\1\s*:/,
  java: /^\s*(?:public\s+|static\s+|final\s+)*void\s+main\s*\(/,
  c: /^\s*(?:int|void)\s+main\s*\(/,
  cpp: /^\s*(?:int|auto|void)\s+main\s*\(/,
  go: /^func\s+main\s*\(\s*\)/,
  rust: /^\s*(?:pub\s+)?(?:async\s+)?fn\s+main\s*\(/,
};
const COMMENT = /^\s*(?:$|#|\/\/|\/\*|\*|--|'''|""")/;
/** Entry points stand near the beginning or the end; a generated file of a million lines is not read at every key. */
const MOST_LINES = 20_000;

export class EntryLens implements CodeLensProvider, Disposable {
  readonly #tabs: Tabs;
  readonly #changed = new EventEmitter<void>();
  readonly #watching: Disposable[];
  readonly onDidChangeCodeLenses = this.#changed.event;

  constructor(tabs: Tabs) {
    this.#tabs = tabs;
    const changed = () => this.#changed.fire();
    this.#watching = [
      tabs.onDidChange(changed),
      tabs.onDidClose(changed),
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration('coderunner.codeLens')) changed();
      }),
    ];
  }

  provideCodeLenses(document: TextDocument): CodeLens[] {
    if (!setting('codeLens', document.uri)) return [];
    const line = entryLine(document);
    if (line === undefined) return [];
    const range = new Range(line, 0, line, 0);
    const lens = (title: string, command: string) => new CodeLens(range, { title, command, arguments: [document.uri] });
    const running = this.#tabs.running.some(({ program }) => program.key === document.uri.toString());
    return running
      ? [
          lens(`$(debug-restart) ${l10n.t('Run Again')}`, 'coderunner.run'),
          lens(`$(debug-stop) ${l10n.t('Stop')}`, 'coderunner.stop'),
        ]
      : [
          lens(`$(play) ${l10n.t('Run in Sandbox')}`, 'coderunner.run'),
          lens(l10n.t('with Arguments…'), 'coderunner.runWithArguments'),
        ];
  }

  dispose(): void {
    for (const disposable of this.#watching) disposable.dispose();
    this.#changed.dispose();
  }
}

/** @returns undefined where a document has nothing to run */
export function entryLine(document: TextDocument): number | undefined {
  const count = Math.min(document.lineCount, MOST_LINES);
  const entry = ENTRY_POINTS[document.languageId];
  let first: number | undefined;
  for (let line = 0; line < count; line++) {
    const { text } = document.lineAt(line);
    if (entry?.test(text)) return line;
    if (first === undefined && !COMMENT.test(text)) first = line;
  }
  // Compiled languages run nothing that has no entry point; of a script the first statement is one.
  const compiled = entry !== undefined && document.languageId !== 'python';
  return compiled ? undefined : first;
}
