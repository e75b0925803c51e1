import assert from 'node:assert/strict';
import {
  type CodeLens,
  commands,
  type Diagnostic,
  extensions,
  type Hover,
  languages,
  Position,
  Range,
  Uri,
  WorkspaceEdit,
  window,
  workspace,
} from 'vscode';

const file = (name: string) => Uri.joinPath(workspace.workspaceFolders?.[0]?.uri as Uri, name);

/** Resolves with a document's diagnostics once they fulfil a condition; the test's own timeout ends the waiting. */
function diagnosed(uri: Uri, holds: (diagnostics: Diagnostic[]) => boolean): Promise<Diagnostic[]> {
  return new Promise((resolve) => {
    const look = () => {
      const diagnostics = languages.getDiagnostics(uri).filter(({ source }) => source === 'CodeRunner');
      if (!holds(diagnostics)) return;
      listener.dispose();
      resolve(diagnostics);
    };
    const listener = languages.onDidChangeDiagnostics(look);
    look();
  });
}

const lensesOf = async (uri: Uri) => {
  const lenses = await commands.executeCommand<CodeLens[]>('vscode.executeCodeLensProvider', uri, 10);
  return lenses.map(({ command, range }) => `${range.start.line} ${command?.title} ${command?.command}`);
};

describe('The language server in the editor', () => {
  before(() => extensions.getExtension('coderunner.coderunner')?.activate());

  it('shows buttons where a program begins, and marks what the sandbox refuses', async () => {
    const content = '# about\nimport socket\n\n\ndef main():\n    pass\n\n\nif __name__ == "__main__":\n    main()\n';
    const { uri } = await workspace.openTextDocument({ language: 'python', content });
    const [hint] = await diagnosed(uri, ({ length }) => length > 0);
    assert.match(hint?.message ?? '', /No network in the sandbox/);
    assert.deepEqual(hint?.range, new Range(1, 7, 1, 13));
    assert.deepEqual(await lensesOf(uri), [
      '8 $(play) Run in Sandbox coderunner.run',
      '8 with Arguments… coderunner.runWithArguments',
    ]);
  });

  it('puts the error of the last run on its line, which it follows until the next run', async () => {
    const uri = file('wrong.py');
    const { document } = await window.showTextDocument(uri);
    await commands.executeCommand('coderunner.run', uri);
    const [error] = await diagnosed(uri, ({ length }) => length > 0);
    assert.equal(error?.message, 'ZeroDivisionError: division by zero');
    assert.equal(document.getText(error?.range), 'return a / b');

    const above = new WorkspaceEdit();
    above.insert(uri, new Position(0, 0), '"""Divides."""\n\n');
    await workspace.applyEdit(above);
    const [moved] = await diagnosed(uri, ([first]) => first?.range.start.line === 3);
    assert.equal(document.getText(moved?.range), 'return a / b');

    const entry = document
      .getText()
      .split('\n')
      .findIndex((line) => line.startsWith('def'));
    const hovers = await commands.executeCommand<Hover[]>('vscode.executeHoverProvider', uri, new Position(entry, 0));
    const text = hovers.flatMap(({ contents }) =>
      contents.map((part) => (typeof part === 'string' ? part : part.value)),
    );
    assert.match(text.join().replaceAll('&nbsp;', ' '), /Last run in the sandbox: Exit code 1\s+.*CPU .*memory /);

    const mended = new WorkspaceEdit();
    mended.replace(uri, document.lineAt(3).range, '    return a');
    await workspace.applyEdit(mended);
    await commands.executeCommand('coderunner.run', uri);
    await diagnosed(uri, ({ length }) => length === 0);
    await commands.executeCommand('workbench.action.files.revert');
  });
});
