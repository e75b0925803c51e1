/** A window without a folder: files and unsaved texts run all the same, alone. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationTarget, commands, Uri, window, workspace } from 'vscode';
import { activated, shown } from './observe.ts';
import { Person } from './person.ts';

describe('A window without a folder', () => {
  const configure = (value: string | undefined) =>
    workspace.getConfiguration('coderunner').update('view', value, ConfigurationTarget.Global);
  before(async () => {
    await activated();
    await configure('output');
  });
  after(() => configure(undefined));

  it('says what to do where nothing is open', async () => {
    using person = new Person();
    await commands.executeCommand('coderunner.run');
    await person.hears(/Open the file that is to be run/);
    await commands.executeCommand('coderunner.runProject');
    await person.hears(/no folder open whose program could be run/);
  });

  it('runs the example of the walkthrough', async () => {
    await commands.executeCommand('coderunner.openExample');
    await commands.executeCommand('coderunner.run');
    await shown(/What is your name\?/);
    await commands.executeCommand('coderunner.stop');
    await shown(/What is your name\?.*— .*(cancel|stop)/is);
  });

  it('runs a file alone, whatever is beside it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'coderunner-alone-'));
    try {
      await writeFile(join(folder, 'secret.txt'), 'not for the sandbox');
      await writeFile(join(folder, 'alone.py'), 'import os\nprint(sorted(os.listdir(".")))\n');
      await window.showTextDocument(Uri.file(join(folder, 'alone.py')));
      await commands.executeCommand('coderunner.run');
      await shown(/\['alone\.py'\]/);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
