import assert from 'node:assert/strict';
import { ConfigurationTarget, commands, extensions, Uri, window, workspace } from 'vscode';
import { shown } from './observe.ts';

const folder = () => workspace.workspaceFolders?.[0]?.uri as Uri;
const file = (name: string) => Uri.joinPath(folder(), name);

describe('Run in Sandbox', () => {
  before(async () => {
    await extensions.getExtension('coderunner.coderunner')?.activate();
    await workspace.getConfiguration('coderunner').update('view', 'output', ConfigurationTarget.Workspace);
  });

  it('runs a file, and says how it ended', async () => {
    await commands.executeCommand('coderunner.run', file('hello.py'));
    await shown(/running in a sandbox of its own\..*— .*CPU/s);
  });

  it('runs unsaved changes as they stand', async () => {
    const editor = await window.showTextDocument(file('hello.py'));
    await editor.edit((edit) => edit.insert(editor.document.lineAt(0).range.start, 'print("never saved")\n'));
    await commands.executeCommand('coderunner.run');
    await shown(/never saved.*— .*CPU/s);
    assert.ok(editor.document.isDirty);
    await commands.executeCommand('workbench.action.files.revert');
  });

  it('runs a document that is in no file', async () => {
    const document = await workspace.openTextDocument({ language: 'python', content: 'print(6 * 7)\n' });
    await window.showTextDocument(document);
    await commands.executeCommand('coderunner.run');
    await shown(/^42$/m);
  });
});
