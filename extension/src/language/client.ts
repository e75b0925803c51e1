/** The client of the language server, with VS Code's own words and pictures for what it shows. */
import type { ChildProcess } from 'node:child_process';
import { COMMANDS, PROBLEM, type ProblemMoved, type ServerOptions, TITLES } from '@coderunner/daemon/lsp';
import { CodeLens, type Command, type LogOutputChannel, l10n, type TextDocument } from 'vscode';
import { LanguageClient, RevealOutputChannelOn, State } from 'vscode-languageclient/node';
import { setting } from '../configuration.ts';
import { translations } from '../translations.ts';

interface ClientOptions {
  spawn(): ChildProcess;
  languageIds: readonly string[];
  hints: boolean;
  log: LogOutputChannel;
  /** The server is there, for the first time or again. */
  onRunning(): void;
  onProblem(moved: ProblemMoved): void;
}

/** Where documents are that can be run; not the past ones of a difference view. */
const SCHEMES = ['file', 'untitled', 'vscode-vfs'];

/** @returns a client that is not started yet */
export function createClient({ spawn, languageIds, hints, log, onRunning, onProblem }: ClientOptions): LanguageClient {
  const options: ServerOptions = { clientRuns: true, hints, languageIds: [...languageIds], strings: translations() };
  const client = new LanguageClient('coderunner', 'CodeRunner', async () => spawn(), {
    documentSelector: SCHEMES.flatMap((scheme) => languageIds.map((language) => ({ scheme, language }))),
    initializationOptions: options,
    outputChannel: log,
    revealOutputChannelOn: RevealOutputChannelOn.Never,
    middleware: {
      provideCodeLenses: async (document, token, next) => {
        if (!setting('codeLens', document.uri)) return [];
        return (await next(document, token))?.map((lens) => inOurWords(lens, document)) ?? [];
      },
    },
  });
  client.onNotification(PROBLEM, onProblem);
  client.onDidChangeState(({ newState }) => {
    if (newState === State.Running) onRunning();
  });
  return client;
}

/** The server writes for every editor; here it is in the person's language, with the editor's icons. */
function inOurWords(lens: CodeLens, document: TextDocument): CodeLens {
  const { command } = lens;
  if (!command) return lens;
  return new CodeLens(lens.range, { ...command, title: titleOf(command), arguments: [document.uri] });
}

function titleOf({ command, title }: Command): string {
  switch (command) {
    case COMMANDS.run:
      return title === TITLES.run ? `$(play) ${l10n.t('Run in Sandbox')}` : `$(debug-restart) ${l10n.t('Run Again')}`;
    case COMMANDS.stop:
      return `$(debug-stop) ${l10n.t('Stop')}`;
    case COMMANDS.runWithArguments:
      return l10n.t('with Arguments…');
    default:
      return title;
  }
}
