/** The language server as editors have it: the built command, spoken to over its stdin and stdout. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import {
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-jsonrpc/node';
import type { CodeAction, CodeLens, Diagnostic, Hover, PublishDiagnosticsParams } from 'vscode-languageserver';
import { Cli, type Running } from '../support/cli.ts';
import { until } from '../support/test-pool.ts';

const RUBY = fileURLToPath(new URL('../../../examples/runtimes/ruby', import.meta.url));

const PATIENCE_MS = 60_000;

/** An editor with one server. */
class Editor implements AsyncDisposable {
  readonly running: Running;
  readonly connection: MessageConnection;
  readonly folder: string;
  readonly #published = new Map<string, PublishDiagnosticsParams>();
  readonly #waiting = new Set<() => void>();
  readonly messages: string[] = [];

  private constructor(cli: Cli) {
    this.folder = cli.folder;
    this.running = cli.spawn('lsp', '--stdio');
    const { stdout, stdin } = this.running.child;
    this.connection = createMessageConnection(new StreamMessageReader(stdout), new StreamMessageWriter(stdin));
    this.connection.onNotification('textDocument/publishDiagnostics', (params: PublishDiagnosticsParams) => {
      this.#published.set(params.uri, params);
      for (const look of this.#waiting) look();
    });
    this.connection.onNotification('window/showMessage', ({ message }: { message: string }) => {
      this.messages.push(message);
    });
    // The server's requests of the client, such as to show messages with buttons.
    this.connection.onRequest((method, params) => {
      if (method === 'window/showMessageRequest') this.messages.push((params as { message: string }).message);
      return null;
    });
    this.connection.listen();
  }

  static async open(cli: Cli, initializationOptions: object = {}): Promise<Editor> {
    const editor = new Editor(cli);
    await editor.connection.sendRequest('initialize', {
      processId: process.pid,
      rootUri: null,
      workspaceFolders: [{ uri: pathToFileURL(cli.folder).href, name: 'work' }],
      capabilities: { workspace: { workspaceEdit: { documentChanges: true, resourceOperations: ['create'] } } },
      initializationOptions,
    });
    await editor.connection.sendNotification('initialized', {});
    return editor;
  }

  uri(path: string): string {
    return pathToFileURL(join(this.folder, path)).href;
  }

  /** @returns the document's URI */
  async show(path: string, text: string, languageId = 'python'): Promise<string> {
    const uri = this.uri(path);
    await this.tell('textDocument/didOpen', { textDocument: { uri, languageId, version: 1, text } });
    return uri;
  }

  tell(method: string, params: object): Promise<void> {
    return this.connection.sendNotification(method, params);
  }

  ask<T>(method: string, uri: string, more: object = {}): Promise<T> {
    return this.connection.sendRequest(`textDocument/${method}`, { textDocument: { uri }, ...more });
  }

  /** Resolves with a document's diagnostics once they fulfil a condition. @throws Error with what there is instead, after a long time */
  diagnosed(uri: string, holds: (diagnostics: Diagnostic[]) => boolean): Promise<Diagnostic[]> {
    return new Promise((resolve, reject) => {
      const settled = () => {
        clearTimeout(limit);
        this.#waiting.delete(look);
      };
      const look = () => {
        const diagnostics = this.#published.get(uri)?.diagnostics;
        if (!diagnostics || !holds(diagnostics)) return;
        settled();
        resolve(diagnostics);
      };
      // Sooner than the test's own, after which nothing would end the server.
      const limit = setTimeout(() => {
        settled();
        reject(new Error(`There are other diagnostics: ${JSON.stringify(this.#published.get(uri))}`));
      }, PATIENCE_MS);
      this.#waiting.add(look);
      look();
    });
  }

  /** Ends the server as editors do. @returns its exit code */
  async close(): Promise<number | null> {
    await this.connection.sendRequest('shutdown');
    await this.connection.sendNotification('exit');
    return (await this.running.ended).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.running.child.kill();
    await this.running.ended;
    this.connection.dispose();
  }
}

const titles = (lenses: CodeLens[]) => lenses.map(({ command, range }) => `${range.start.line} ${command?.title}`);
const PROGRAM = 'import socket\n\n\ndef fail():\n    1 / 0\n\n\nif __name__ == "__main__":\n    fail()\n';
const FAILED = `Traceback (most recent call last):\r
  File "/workspace/main.py", line 9, in <module>\r
    fail()\r
  File "/workspace/main.py", line 5, in fail\r
    1 / 0\r
ZeroDivisionError: division by zero\r
`;

describe('coderunner lsp', () => {
  let cli: Cli;
  before(async () => {
    cli = await Cli.create();
  });
  after(() => cli[Symbol.asyncDispose]());

  it('needs no daemon, and goes when the editor does', async () => {
    await using editor = await Editor.open(cli);
    const uri = await editor.show('main.py', PROGRAM);
    assert.deepEqual(titles(await editor.ask('codeLens', uri)), ['7 ▶ Run in Sandbox']);
    assert.equal(await editor.close(), 0);
    assert.equal((await cli.run(['status'])).code, 125);
  });

  it('ends when its client is gone', async () => {
    await using editor = await Editor.open(cli);
    editor.running.child.stdin.end();
    await once(editor.running.child, 'exit');
  });

  it('tells of the last run, from its beginning to the next', async () => {
    await using editor = await Editor.open(cli, { clientRuns: true, hints: false });
    const uri = await editor.show('main.py', PROGRAM);
    assert.deepEqual(titles(await editor.ask('codeLens', uri)), ['7 ▶ Run in Sandbox', '7 with Arguments…']);

    await editor.tell('coderunner/runStarted', { uri });
    assert.deepEqual(titles(await editor.ask('codeLens', uri)), ['7 ↻ Run Again', '7 ■ Stop']);

    const root = pathToFileURL(cli.folder).href;
    const measures = { wallMs: 1_200, cpuMs: 300, peakMemoryBytes: 12 * 2 ** 20 };
    const ended = { uri, root, entry: 'main.py', output: FAILED, verdict: 'Exit code 1', ...measures };
    await editor.tell('coderunner/runEnded', ended);
    const [error] = await editor.diagnosed(uri, ({ length }) => length > 0);
    assert.equal(error?.message, 'ZeroDivisionError: division by zero');
    assert.deepEqual(error?.range, { start: { line: 4, character: 4 }, end: { line: 4, character: 9 } });
    const hover = await editor.ask<Hover | null>('hover', uri, { position: { line: 7, character: 3 } });
    assert.deepEqual(hover?.contents, {
      kind: 'plaintext',
      value: 'Last run in the sandbox: Exit code 1\n1.2 s · CPU 300 ms · memory 12 MiB',
    });
    assert.equal(await editor.ask('hover', uri, { position: { line: 0, character: 3 } }), null);

    const range = { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } };
    await editor.tell('textDocument/didChange', {
      textDocument: { uri, version: 2 },
      contentChanges: [{ range, text: '# about\r\n' }],
    });
    await editor.diagnosed(uri, ([first]) => first?.range.start.line === 5);

    await editor.tell('coderunner/runStarted', { uri });
    await editor.diagnosed(uri, ({ length }) => length === 0);
  });

  it('says where a failed program should be looked at first, in a client that runs programs, and follows its text', async () => {
    const strings = { 'The program failed here.': 'Hier ging es schief.', 'CPU {0}': 'Prozessor {0}' };
    await using editor = await Editor.open(cli, { clientRuns: true, strings });
    const uri = await editor.show('main.py', PROGRAM);
    const problems: unknown[] = [];
    let told = () => {};
    editor.connection.onNotification('coderunner/problem', (params) => {
      problems.push(params);
      told();
    });
    const next = (count: number) =>
      new Promise<void>((resolve) => {
        told = () => problems.length >= count && resolve();
        told();
      });
    const ended = { uri, root: pathToFileURL(cli.folder).href, entry: 'main.py', verdict: 'Exit code 1' };
    const measures = { wallMs: null, cpuMs: 300, peakMemoryBytes: null };
    await editor.tell('coderunner/runEnded', { ...ended, ...measures, output: FAILED });
    await next(1);
    const hover = await editor.ask<Hover | null>('hover', uri, { position: { line: 7, character: 3 } });
    assert.match(JSON.stringify(hover?.contents), /Prozessor 300 ms/);
    const change = (line: number, to: number, text: string) =>
      editor.tell('textDocument/didChange', {
        textDocument: { uri, version: 2 },
        contentChanges: [{ range: { start: { line, character: 0 }, end: { line: to, character: 0 } }, text }],
      });
    await change(0, 0, '# about\n');
    await next(2);
    await change(5, 6, '');
    await next(3);
    const at = (line: number) => ({ uri, problem: { uri, line, character: null } });
    assert.deepEqual(problems, [at(4), at(5), { uri, problem: null }]);
  });

  it('goes on after messages that are none', async () => {
    await using editor = await Editor.open(cli, { clientRuns: 'yes', languageIds: 7 });
    const uri = await editor.show('main.py', PROGRAM);
    for (const params of [{}, { uri: 7 }, { uri: 'file://%' }]) await editor.tell('coderunner/runStarted', params);
    for (const params of [{}, { uri }, { uri, root: 1, entry: [], output: null }])
      await editor.tell('coderunner/runEnded', params);
    await editor.tell('textDocument/didChange', {
      textDocument: { uri: 'file:///never/opened', version: 1 },
      contentChanges: [],
    });
    await editor.tell('textDocument/didOpen', {
      textDocument: { uri: 'file:///%', languageId: 'python', version: 1, text: 'import numpy' },
    });
    await editor.diagnosed('file:///%', ([hint]) => hint?.code === 'not-listed');
    assert.equal(titles(await editor.ask('codeLens', uri)).length, 1);
    assert.equal(await editor.close(), 0);
  });

  it('sees languages come and go', async () => {
    await using editor = await Editor.open(cli);
    const uri = await editor.show('main.rb', 'puts 1\n', 'ruby');
    const lenses = async () => titles(await editor.ask('codeLens', uri)).length;
    assert.equal(await lenses(), 0);
    const ruby = join(cli.dataDir, 'runtimes/ruby');
    await cp(RUBY, ruby, { recursive: true });
    await until(async () => (await lenses()) === 1);
    await rm(ruby, { recursive: true });
    await until(async () => (await lenses()) === 0);
    assert.equal(await editor.close(), 0);
  });

  it('marks a package that is not listed, until it is added', async () => {
    await using editor = await Editor.open(cli);
    const uri = await editor.show('main.py', 'import yaml\n');
    const [hint] = await editor.diagnosed(uri, ({ length }) => length > 0);
    assert.equal(hint?.message, 'There is no requirements.txt that names `pyyaml`: the sandbox will not have it.');

    const actions = () =>
      editor.ask<CodeAction[]>('codeAction', uri, { range: hint?.range, context: { diagnostics: [hint] } });
    const [create] = await actions();
    assert.equal(create?.title, 'Add pyyaml to requirements.txt');
    assert.deepEqual(create?.edit?.documentChanges?.[0], {
      kind: 'create',
      uri: editor.uri('requirements.txt'),
      options: { ignoreIfExists: true },
    });

    const requirements = await editor.show('requirements.txt', 'numpy', 'pip-requirements');
    await editor.diagnosed(
      uri,
      ([first]) => first?.message === '`pyyaml` is not in requirements.txt: the sandbox will not have it.',
    );
    const edits = (await actions())[0]?.edit?.changes?.[requirements];
    assert.deepEqual(edits, [
      { range: { start: { line: 0, character: 5 }, end: { line: 0, character: 5 } }, newText: '\npyyaml\n' },
    ]);
    await editor.tell('textDocument/didChange', {
      textDocument: { uri: requirements, version: 2 },
      contentChanges: edits?.map(({ range, newText }) => ({ range, text: newText })) ?? [],
    });
    await editor.diagnosed(uri, ({ length }) => length === 0);
  });

  it('says which documents it cannot run', async () => {
    await using editor = await Editor.open(cli);
    const uri = await editor.show('no such folder/main.py', PROGRAM);
    for (const argument of [uri, 'untitled:Untitled-1', 7])
      await editor.connection.sendRequest('workspace/executeCommand', {
        command: 'coderunner.run',
        arguments: [argument],
      });
    const sentence = 'Only a document that is saved in a file can be run from here.';
    assert.deepEqual(editor.messages, [sentence, sentence, sentence]);
    assert.deepEqual(titles(await editor.ask('codeLens', uri)), ['7 ▶ Run in Sandbox']);
  });

  it('runs the file itself for an editor that does not', async () => {
    await using editor = await Editor.open(cli, { hints: false });
    await cli.file('main.py', PROGRAM);
    const uri = await editor.show('main.py', PROGRAM);
    await editor.connection.sendRequest('workspace/executeCommand', { command: 'coderunner.run', arguments: [uri] });
    const [error] = await editor.diagnosed(uri, ({ length }) => length > 0);
    assert.equal(error?.message, 'ZeroDivisionError: division by zero');
    assert.equal(error?.range.start.line, 4);
    const hover = await editor.ask<Hover>('hover', uri, { position: { line: 7, character: 0 } });
    assert.match((hover.contents as { value: string }).value, /: Exit code 1\n/);
  });
});
