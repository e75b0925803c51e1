/** A workspace of several folders: each has its own files, its own entry and its own settings. */
import assert from 'node:assert/strict';
import { ConfigurationTarget, commands, Uri, type WorkspaceFolder, window, workspace } from 'vscode';
import { activated, shown } from './observe.ts';

const folder = (index: number) => workspace.workspaceFolders?.[index] as WorkspaceFolder;
const file = (index: number, name: string) => Uri.joinPath(folder(index).uri, name);

describe('A workspace of several folders', () => {
  before(async () => {
    await activated();
    await workspace.getConfiguration('coderunner').update('view', 'output', ConfigurationTarget.Workspace);
  });

  it('sends along the files of the program’s own folder, and says which that is', async () => {
    for (const index of [0, 1]) {
      await commands.executeCommand('coderunner.run', file(index, 'main.py'));
      await shown(new RegExp(`— ${folder(index).name}: main\\.py\\s+from folder ${index + 1}`));
    }
  });

  it('has an entry file for each folder', async () => {
    for (const index of [0, 1]) {
      await workspace.fs.writeFile(file(index, `start${index}.py`), Buffer.from(`print("entry ${index}")\n`));
      await commands.executeCommand('coderunner.setEntry', file(index, `start${index}.py`));
    }
    for (const index of [0, 1]) {
      const entry = workspace.getConfiguration('coderunner', folder(index).uri).get('entry');
      assert.equal(entry, `start${index}.py`, 'kept in the folder');
      await window.showTextDocument(file(index, 'main.py'));
      await commands.executeCommand('coderunner.runProject');
      await shown(new RegExp(`start${index}\\.py\\s+entry ${index}`));
    }
  });

  it('has settings for each folder', async () => {
    const settings = workspace.getConfiguration('coderunner', folder(1).uri);
    await settings.update('environment', { WHERE: 'the second' }, ConfigurationTarget.WorkspaceFolder);
    for (const index of [0, 1]) {
      const uri = file(index, 'where.py');
      await workspace.fs.writeFile(uri, Buffer.from('import os\nprint("it is", os.environ.get("WHERE"))\n'));
      await commands.executeCommand('coderunner.run', uri);
      await shown(new RegExp(`^it is ${index === 0 ? 'None' : 'the second'}`, 'm'));
    }
  });
});
