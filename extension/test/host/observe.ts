/** What a person sees of a run, read from the output channel, which has the console's text. */
import { commands, extensions, type TextDocument, Uri, workspace } from 'vscode';

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

/** Runs a new program of the first folder, and waits until the channel shows what it printed: a text that nothing else prints. */
export async function runs(text: string): Promise<void> {
  const uri = Uri.joinPath(workspace.workspaceFolders?.[0]?.uri as Uri, 'says.py');
  await workspace.fs.writeFile(uri, Buffer.from(`print(${JSON.stringify(text)})\n`));
  await commands.executeCommand('coderunner.run', uri);
  await shown(new RegExp(`^${text}`, 'm'));
  await workspace.fs.delete(uri);
}
