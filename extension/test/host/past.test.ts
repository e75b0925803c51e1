/** Runs of the past: those of an earlier window, and those of the history; and where people begin. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Client, discover } from '@coderunner/daemon/client';
import type { Run } from '@coderunner/daemon/protocol';
import { ConfigurationTarget, commands, extensions, type Memento, Uri, workspace } from 'vscode';
import { findBundle } from '../../src/daemon/bundle.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { LocalDaemon } from '../../src/daemon/local.ts';
import type { Program } from '../../src/run/program.ts';
import { type Missed, Tabs } from '../../src/run/tabs.ts';
import { RunTree } from '../../src/views/history.ts';
import { activated, shown } from './observe.ts';

const file = (name: string) => Uri.joinPath(workspace.workspaceFolders?.[0]?.uri as Uri, name);
const configure = (value: string | undefined) =>
  workspace.getConfiguration('coderunner').update('view', value, ConfigurationTarget.Workspace);

/** What VS Code keeps for a workspace. */
class Memory implements Memento {
  readonly #values = new Map<string, string>();
  keys = () => [...this.#values.keys()];
  get<T>(key: string, usual?: T): T {
    const text = this.#values.get(key);
    return (text === undefined ? usual : JSON.parse(text)) as T;
  }
  async update(key: string, value: unknown): Promise<void> {
    this.#values.set(key, JSON.stringify(value));
  }
}

const { cli } = findBundle(join(__dirname, '../..'));

/** A window of this workspace, as far as runs are concerned. */
function aWindow(memory: Memory) {
  const local = new LocalDaemon({ cli, version: '0.1.0', node: () => '' });
  const daemon = new Daemon(local, { get: async () => undefined } as never);
  const tabs = new Tabs(daemon, memory);
  const missed: Missed[] = [];
  tabs.onDidMiss((one) => missed.push(one));
  const close = () => {
    tabs.dispose();
    daemon.dispose();
  };
  return { tabs, daemon, missed, close };
}

const program = (name: string, text: string): Program => ({
  key: name,
  title: name,
  uri: `untitled:${name}`,
  entry: name,
  text,
});

/** Resolves when the program has printed a text. */
function printed({ session }: ReturnType<Tabs['run']>, text: string): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (session.transcript.tail(1_000).includes(text)) resolve();
    };
    session.onDidPrint(look);
    // What comes after it has been put into the transcript.
    session.onDidChange(look);
    session.onDidPrint(() => setImmediate(look));
    look();
  });
}

describe('A window that is loaded again', () => {
  const WAITS = 'print("ready", flush=True)\nprint("got", input())\n';

  it('goes on showing what runs, and takes its input', async () => {
    const memory = new Memory();
    const before = aWindow(memory);
    const tab = before.tabs.run(program('waits.py', WAITS));
    await printed(tab, 'ready');
    before.close();
    const after = aWindow(memory);
    await after.tabs.restore();
    const [again] = after.tabs.all;
    assert.ok(again);
    await printed(again, 'ready');
    again.session.type('it\n');
    await again.session.over;
    assert.match(again.session.transcript.tail(1_000), /got it/);
    assert.deepEqual(after.missed, []);
    after.close();
  });

  it('says once what has ended meanwhile, and shows what it printed', async () => {
    const memory = new Memory();
    const before = aWindow(memory);
    const tab = before.tabs.run(program('ends.py', WAITS));
    await printed(tab, 'ready');
    const { runId } = tab.session;
    assert.ok(runId);
    before.close();
    const after = aWindow(memory);
    await after.daemon.client.api.stdin(runId, Buffer.from('this\n'));
    // Following it to its end is waiting for it.
    await (await after.daemon.client.follow(runId, { onOutput: () => undefined })).done;
    await after.tabs.restore();
    const [missed, ...more] = after.missed;
    assert.ok(missed?.tab);
    assert.equal(missed.program.title, 'ends.py');
    assert.equal((missed.end as Run).state, 'succeeded');
    assert.deepEqual(more, []);
    await missed.tab.session.over;
    assert.match(missed.tab.session.transcript.tail(1_000), /got this/);
    after.close();
    const third = aWindow(memory);
    await third.tabs.restore();
    assert.deepEqual(third.missed, [], 'it was said');
    third.close();
  });

  it('says that a program is lost whose daemon has ended', async () => {
    const memory = new Memory();
    const before = aWindow(memory);
    const tab = before.tabs.run(program('lost.py', WAITS));
    await printed(tab, 'ready');
    before.close();
    await before.daemon.local.stop(true);
    const after = aWindow(memory);
    await after.tabs.restore();
    assert.deepEqual(
      after.missed.map(({ program: { title }, end }) => [title, end]),
      [['lost.py', 'gone']],
    );
    await after.tabs.restore();
    assert.equal(after.missed.length, 1);
    after.close();
  });
});

describe('The history', () => {
  before(async () => {
    await activated();
    await configure('output');
  });
  after(() => configure(undefined));

  it('lists runs with how they ended, shows their output, and runs them again with their arguments', async () => {
    await workspace.fs.writeFile(file('echo.py'), Buffer.from('import sys\nprint("echo", sys.argv[1:])\n'));
    await commands.executeCommand('coderunner.run', file('echo.py'));
    await shown(/echo \[\].*— /s);
    await using client = new Client({
      locate: async () => {
        const found = await discover(process.env.CODERUNNER_DATA_DIR as string);
        assert.ok(found);
        return found;
      },
    });
    // From another window: this one does not know it.
    const files = [{ path: 'echo.py', content: Buffer.from('print("elsewhere")\n') }];
    const run = await (
      await client.start({ files, entry: 'echo.py', args: ['two words', 'x'] }, { onOutput: () => undefined })
    ).done;

    const window = aWindow(new Memory());
    const tree = new RunTree(window.daemon);
    const [newest, before] = await tree.getChildren();
    assert.ok(newest && before);
    const item = tree.getTreeItem(newest);
    assert.equal(item.label, 'echo.py two words x');
    assert.match(String(item.tooltip), /^succeeded\n/);
    assert.equal(tree.getTreeItem(before).label, 'echo.py');
    window.close();

    await commands.executeCommand('coderunner.history.open', run);
    await shown(/elsewhere/);
    await commands.executeCommand('coderunner.history.rerun', run);
    await shown(/echo \['two words', 'x'\]/);
  });
});

describe('The walkthrough', () => {
  it('opens, and leads only to commands that there are', async () => {
    const extension = extensions.getExtension('coderunner.coderunner');
    assert.ok(extension);
    const texts = JSON.parse(await readFile(join(extension.extensionPath, 'package.nls.json'), 'utf8'));
    const known = new Set(await commands.getCommands(true));
    const links = Object.entries<string>(texts)
      .filter(([key]) => key.startsWith('walkthrough.'))
      .flatMap(([, text]) => [...text.matchAll(/\(command:([\w.]+)/g)].map(([, id]) => id as string));
    assert.ok(links.length > 0);
    assert.deepEqual(
      links.filter((id) => !known.has(id)),
      [],
    );
    await commands.executeCommand('workbench.action.openWalkthrough', 'coderunner.coderunner#start');
  });
});
