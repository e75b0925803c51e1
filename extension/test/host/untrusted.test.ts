/** A folder that is not trusted: running its programs is what the sandbox is for, but its settings raise no limits. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { ConfigurationTarget, commands, Uri, workspace } from 'vscode';
import { activated, shown } from './observe.ts';

const file = (name: string) => Uri.joinPath(workspace.workspaceFolders?.[0]?.uri as Uri, name);

describe('A folder that is not trusted', () => {
  const settings = () => workspace.getConfiguration('coderunner');
  before(async () => {
    await activated();
    await settings().update('view', 'output', ConfigurationTarget.Workspace);
  });

  it('has its programs run', async () => {
    assert.equal(workspace.isTrusted, false);
    await commands.executeCommand('coderunner.run', file('hello.py'));
    await shown(/running in a sandbox of its own/);
  });

  it('cannot raise what a run may use, nor say where it runs or what program is started', async () => {
    await settings().update('environment', { FROM: 'the folder' }, ConfigurationTarget.Workspace);
    const text = JSON.stringify({
      'coderunner.view': 'output',
      'coderunner.environment': { FROM: 'the folder' },
      'coderunner.memoryMiB': 512,
      'coderunner.wallTimeSeconds': 7,
      'coderunner.maxFiles': 99_999,
      'coderunner.daemon.url': 'https://elsewhere.example.com',
      'coderunner.daemon.node': '/tmp/anything',
    });
    const changed = new Promise<void>((resolve) => {
      const listener = workspace.onDidChangeConfiguration(() => {
        if (JSON.stringify(settings().get('environment')) !== '{"FROM":"the folder"}') return;
        listener.dispose();
        resolve();
      });
    });
    await settings().update('environment', undefined, ConfigurationTarget.Workspace);
    await writeFile(file('.vscode/settings.json').fsPath, text);
    await changed;
    for (const name of ['memoryMiB', 'wallTimeSeconds', 'daemon.url', 'daemon.node', 'maxFiles'])
      assert.equal(settings().get(name), settings().inspect(name)?.defaultValue, name);

    await writeFile(file('limits.py').fsPath, 'import os\nprint("variable", os.environ["FROM"])\n');
    await commands.executeCommand('coderunner.run', file('limits.py'));
    await shown(/variable the folder/);
  });
});
