/** What a person sees of a run, read from the output channel, which has the console's text. */
import { extensions, type TextDocument, workspace } from 'vscode';

function isChannel(document: TextDocument): boolean {
  return (
    document.uri.scheme === 'output' && document.fileName.includes('CodeRunner') && !document.fileName.includes('Log')
  );
}

/** Resolves with the channel's text once it matches; the test's own timeout ends the waiting. */
export function shown(pattern: RegExp): Promise<string> {
  return new Promise((resolve) => {
    const look = (document: TextDocument) => {
      if (!isChannel(document) || !pattern.test(document.getText())) return false;
      for (const listener of listeners) listener.dispose();
      resolve(document.getText());
      return true;
    };
    const listeners = [
      workspace.onDidOpenTextDocument(look),
      workspace.onDidChangeTextDocument(({ document }) => look(document)),
    ];
    workspace.textDocuments.some(look);
  });
}

/** Resolves when the extension under test has been started. */
export async function activated(): Promise<void> {
  await extensions.getExtension('coderunner.coderunner')?.activate();
}
