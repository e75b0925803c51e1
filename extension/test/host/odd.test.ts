/** What people do that is not in the book, and what a page may say that is not in the protocol. */
import assert from 'node:assert/strict';
import { symlink, truncate, writeFile } from 'node:fs/promises';
import {
  ConfigurationTarget,
  commands,
  Disposable,
  EventEmitter,
  FileSystemError,
  type FileSystemProvider,
  FileType,
  Uri,
  type Webview,
  type WebviewView,
  window,
  workspace,
} from 'vscode';
import type { ToPage } from '../../src/console/messages.ts';
import { Console } from '../../src/console/view.ts';
import { Daemon } from '../../src/daemon/daemon.ts';
import { LocalDaemon } from '../../src/daemon/local.ts';
import { Tabs } from '../../src/run/tabs.ts';
import { activated, runs, shown } from './observe.ts';
import { Person } from './person.ts';

const file = (name: string) => Uri.joinPath(workspace.workspaceFolders?.[0]?.uri as Uri, name);
const configure = (name: string, value: unknown) =>
  workspace.getConfiguration('coderunner').update(name, value, ConfigurationTarget.Workspace);

describe('What is odd', () => {
  before(async () => {
    await activated();
    await configure('view', 'output');
  });
  after(() => configure('view', undefined));

  it('a binary file is no program', async () => {
    await writeFile(file('picture.py').fsPath, Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 0, 0, 0]));
    using person = new Person();
    await commands.executeCommand('coderunner.run', file('picture.py'));
    await person.hears(/picture\.py cannot be read as text/);
    await workspace.fs.delete(file('picture.py'));
  });

  it('a file of an unknown language can be said to be in one that there is', async () => {
    await writeFile(file('script.unknown').fsPath, 'print("in Python after all")\n');
    using _ = new Person(
      [
        ['is in no language that runs here', 'Choose Language'],
        ['In which language is script.unknown', 'Python'],
      ].map(([question, answer]) => [new RegExp(question as string), answer as string]),
    );
    await commands.executeCommand('coderunner.run', file('script.unknown'));
    await shown(/in Python after all/);
  });

  it('links in circles, and gigabytes that are excluded when that is offered, keep nothing from running', async () => {
    await workspace.fs.createDirectory(file('loop'));
    await symlink('..', file('loop/up').fsPath);
    await symlink('self', file('loop/self').fsPath);
    await writeFile(file('model.bin').fsPath, '');
    await truncate(file('model.bin').fsPath, 2 * 2 ** 30);
    using person = new Person([
      [/2(\.0)? GiB of files.* Most is in model\.bin/, 'Exclude Folders'],
      [/What does the program not need/, 'model.bin'],
    ]);
    await runs('without the model');
    assert.equal(person.heard.length, 2);
    assert.ok(workspace.getConfiguration('coderunner').get<string[]>('exclude')?.includes('model.bin'));
    await configure('exclude', undefined);
    await workspace.fs.delete(file('model.bin'));
    await workspace.fs.delete(file('loop'), { recursive: true });
  });

  it('a choice that a language does not have is refused by name', async () => {
    for (const [setting, value, sentence] of [
      ['options', { python: { colour: 'red' } }, /colour/],
      ['services', { python: ['oracle'] }, /oracle/],
    ] as const) {
      await configure(setting, value);
      using person = new Person();
      await commands.executeCommand('coderunner.run', file('hello.py'));
      await person.hears(sentence);
      await configure(setting, undefined);
    }
  });

  it('settings of a wrong kind count as not set', async () => {
    for (const [setting, value] of [
      ['options', { python: 'fast' }],
      ['services', 'mariadb'],
      ['memoryMiB', -1],
      ['maxFiles', 'many'],
    ] as const) {
      await configure(setting, value);
      await runs(`whatever ${setting} is`);
      await configure(setting, undefined);
    }
  });

  it('a file of a virtual workspace runs alone, as the editor has it', async () => {
    const text = Buffer.from('import os\nprint("virtual", sorted(os.listdir(".")))\n');
    const files = memory({ '/folder/main.py': text, '/folder/other.py': text });
    const registered = workspace.registerFileSystemProvider('memory', files);
    try {
      await window.showTextDocument(Uri.parse('memory:/folder/main.py'));
      await commands.executeCommand('coderunner.run');
      await shown(/virtual \['main\.py'\]/);
    } finally {
      registered.dispose();
    }
  });
});

/** A file system that is nowhere but in here. */
function memory(files: Record<string, Uint8Array>): FileSystemProvider {
  const changed = new EventEmitter<never[]>();
  const contents = ({ path }: Uri) => {
    const found = files[path];
    if (!found) throw FileSystemError.FileNotFound(path);
    return found;
  };
  const refuse = () => {
    throw FileSystemError.NoPermissions();
  };
  return {
    onDidChangeFile: changed.event,
    watch: () => new Disposable(() => {}),
    stat: (uri) => ({ type: FileType.File, ctime: 0, mtime: 0, size: contents(uri).length }),
    readFile: contents,
    readDirectory: refuse,
    createDirectory: refuse,
    writeFile: refuse,
    delete: refuse,
    rename: refuse,
  };
}

describe('The console’s page', () => {
  /** The extension's side of the page, with a page that says what the test says. */
  function aConsole() {
    const log = window.createOutputChannel('CodeRunner Page Test', { log: true });
    const logged: string[] = [];
    log.warn = (message) => logged.push(message);
    const local = new LocalDaemon({ cli: 'none', version: '0.1.0', node: () => '' });
    const memento = { keys: () => [], get: <T>(_: string, usual?: T) => usual as T, update: async () => {} };
    const daemon = new Daemon(local, { get: async () => undefined } as never);
    const tabs = new Tabs(daemon, memento);
    const console = new Console(tabs, '/', log);
    const said = new EventEmitter<unknown>();
    const never = new EventEmitter<never>();
    const posted: string[] = [];
    const webview: Partial<Webview> = {
      options: {},
      html: '',
      cspSource: 'none',
      asWebviewUri: (uri) => uri,
      onDidReceiveMessage: said.event,
      postMessage: async ({ type }: ToPage) => posted.push(type) > 0,
    };
    const view: Partial<WebviewView> = {
      webview: webview as Webview,
      visible: true,
      onDidChangeVisibility: never.event,
      onDidDispose: never.event,
    };
    console.resolveWebviewView(view as WebviewView);
    const dispose = () => {
      for (const part of [console, tabs, daemon, log]) part.dispose();
    };
    return { say: (message: unknown) => said.fire(message), posted, logged, [Symbol.dispose]: dispose };
  }

  it('may say anything: what makes no sense is logged and otherwise ignored', () => {
    using page = aConsole();
    const nonsense = [null, 7, 'ready', [], { type: 'eval', code: '1' }, { type: 'input', run: 'one', data: 'x' }];
    for (const message of nonsense) page.say(message);
    assert.equal(page.logged.length, nonsense.length);
    assert.deepEqual(page.posted, []);
    page.say({ type: 'ready' });
    assert.deepEqual(page.posted, ['init']);
  });

  it('may speak of runs that there are not, and name no commands but those that were offered', async () => {
    using page = aConsole();
    using person = new Person();
    page.say({ type: 'ready' });
    for (const message of [
      { type: 'input', run: 99, data: 'x' },
      { type: 'stop', tab: 99 },
      { type: 'openProblem', run: 99 },
      { type: 'openFile', run: 99, path: '/etc/passwd', line: 1 },
      { type: 'saveFile', run: 99, path: '../../x' },
      { type: 'action', run: 99, id: 'workbench.action.closeWindow' },
      { type: 'openUrl', url: 'command:workbench.action.closeWindow' },
      { type: 'openUrl', url: 'file:///etc/passwd' },
    ])
      page.say(message);
    assert.deepEqual(page.logged, []);
    assert.deepEqual(person.heard, []);
    assert.deepEqual(page.posted, ['init']);
  });
});
