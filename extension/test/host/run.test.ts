import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationTarget, commands, extensions, Selection, tasks, Uri, window, workspace } from 'vscode';
import { shown } from './observe.ts';

const folder = () => workspace.workspaceFolders?.[0]?.uri as Uri;
const file = (name: string) => Uri.joinPath(folder(), name);
const configure = (name: string, value: unknown) =>
  workspace.getConfiguration('coderunner').update(name, value, ConfigurationTarget.Workspace);
/** How the channel says that a run is over. */
const ENDED = '— .*CPU';

describe('Run in Sandbox', () => {
  before(async () => {
    await extensions.getExtension('coderunner.coderunner')?.activate();
    await configure('view', 'output');
  });
  after(() => configure('view', undefined));

  it('runs a file, and says how it ended', async () => {
    await commands.executeCommand('coderunner.run', file('hello.py'));
    await shown(new RegExp(`running in a sandbox of its own\\..*${ENDED}`, 's'));
  });

  it('runs unsaved changes as they stand', async () => {
    const editor = await window.showTextDocument(file('hello.py'));
    await editor.edit((edit) => edit.insert(editor.document.lineAt(0).range.start, 'print("never saved")\n'));
    await commands.executeCommand('coderunner.run');
    await shown(new RegExp(`never saved.*${ENDED}`, 's'));
    assert.ok(editor.document.isDirty);
    await commands.executeCommand('workbench.action.files.revert');
  });

  it('saves before it runs where that is wanted', async () => {
    await configure('saveBeforeRun', 'file');
    const editor = await window.showTextDocument(file('hello.py'));
    const text = editor.document.getText();
    await editor.edit((edit) => edit.insert(editor.document.lineAt(0).range.start, 'print("saved")\n'));
    await commands.executeCommand('coderunner.run');
    await shown(new RegExp(`^saved.*${ENDED}`, 'ms'));
    assert.ok(!editor.document.isDirty);
    await configure('saveBeforeRun', undefined);
    await writeFile(file('hello.py').fsPath, text);
  });

  it('runs a document that is in no file', async () => {
    const document = await workspace.openTextDocument({ language: 'python', content: 'print(6 * 7)\n' });
    await window.showTextDocument(document);
    await commands.executeCommand('coderunner.run');
    await shown(/^42$/m);
  });

  it('runs what is selected, without its indentation', async () => {
    const content = 'def f():\n    print("one")\n    print("two")\n    print("three")\n';
    const document = await workspace.openTextDocument({ language: 'python', content });
    const editor = await window.showTextDocument(document);
    editor.selection = new Selection(1, 4, 2, 16);
    await commands.executeCommand('coderunner.runSelection');
    assert.doesNotMatch(await shown(new RegExp(`one\r?\ntwo.*${ENDED}`, 's')), /three/);
  });

  it('sends the files of the folder along', async () => {
    await writeFile(file('helper.py').fsPath, 'GREETING = "from a neighbour"\n');
    await writeFile(file('uses_helper.py').fsPath, 'import helper\nprint(helper.GREETING)\n');
    await commands.executeCommand('coderunner.run', file('uses_helper.py'));
    await shown(/from a neighbour/);
  });

  it('runs the marked entry of the folder', async () => {
    await commands.executeCommand('coderunner.setEntry', file('uses_helper.py'));
    assert.equal(workspace.getConfiguration('coderunner', folder()).get('entry'), 'uses_helper.py');
    await window.showTextDocument(file('hello.py'));
    await commands.executeCommand('coderunner.runProject');
    await shown(/— uses_helper\.py.*from a neighbour/s);
    await configure('entry', undefined);
  });

  it('stops an endless program', async () => {
    await commands.executeCommand('coderunner.run', file('endless.py'));
    await shown(/It begins\./);
    await commands.executeCommand('coderunner.stop');
    await shown(/It begins\..*— .*(cancel|stop)/is);
  });

  it('runs again what ran last, as it is now', async () => {
    await writeFile(file('changing.py').fsPath, 'print("before")\n');
    await commands.executeCommand('coderunner.run', file('changing.py'));
    await shown(new RegExp(`^before.*${ENDED}`, 'ms'));
    await writeFile(file('changing.py').fsPath, 'print("afterwards")\n');
    await commands.executeCommand('coderunner.rerun');
    await shown(/^afterwards/m);
  });

  it('refuses a folder with too many files by naming where they are', async () => {
    await workspace.fs.createDirectory(file('heap'));
    await Promise.all(Array.from({ length: 30 }, (_, n) => writeFile(file(`heap/${n}.txt`).fsPath, '')));
    await configure('maxFiles', 20);
    await commands.executeCommand('coderunner.run', file('hello.py'));
    await shown(/more than 20 files.*heap/s);
    await configure('maxFiles', undefined);
  });

  it('refuses what is in no language that it knows, naming those that it does', async () => {
    await writeFile(file('notes.xyz').fsPath, 'just notes');
    await commands.executeCommand('coderunner.run', file('notes.xyz'));
    await shown(/notes\.xyz is in no language that runs here\. There are: .*Python/);
  });

  it('goes on when the file of a running program is deleted, and says that it is gone when it is to run again', async () => {
    await writeFile(file('fleeting.py').fsPath, 'print("here", flush=True)\nprint(input())\n');
    await commands.executeCommand('coderunner.run', file('fleeting.py'));
    await shown(/^here/m);
    await workspace.fs.delete(file('fleeting.py'));
    await commands.executeCommand('coderunner.rerun');
    await shown(/no file fleeting\.py any more/);
  });

  it('runs a file that is in no open folder, alone', async () => {
    const alone = Uri.file(join(await mkdtemp(join(tmpdir(), 'coderunner-alone-')), 'alone.py'));
    await writeFile(alone.fsPath, 'import os\nprint(sorted(os.listdir(".")))\n');
    await commands.executeCommand('coderunner.run', alone);
    await shown(/\['alone\.py'\]/);
    await workspace.fs.delete(Uri.joinPath(alone, '..'), { recursive: true });
  });

  it('runs tasks of its own type, whose exit code is the program’s', async () => {
    await writeFile(file('seven.py').fsPath, 'import sys\nsys.exit(7)\n');
    await window.showTextDocument(file('seven.py'));
    const found = await tasks.fetchTasks({ type: 'coderunner' });
    const task = found.find(({ definition }) => definition.file === 'seven.py');
    assert.ok(task);
    const ended = new Promise<number | undefined>((resolve) => {
      const listener = tasks.onDidEndTaskProcess(({ execution, exitCode }) => {
        if (execution.task.definition.file !== 'seven.py') return;
        listener.dispose();
        resolve(exitCode);
      });
    });
    await tasks.executeTask(task);
    assert.equal(await ended, 7);
  });
});
