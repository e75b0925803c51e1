/** Runs a document in the sandbox and shows what it prints. */
import { type ChildProcess, spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { type Disposable, type OutputChannel, type TextDocument, window } from 'vscode';

export class Runner implements Disposable {
  readonly #cli: string;
  readonly #running = new Set<ChildProcess>();
  #output: OutputChannel | undefined;

  /** @param cli path of CodeRunner's command line */
  constructor(cli: string) {
    this.#cli = cli;
  }

  /** Saves the document and runs it; what it prints appears in the output channel as it comes. */
  async run(document: TextDocument): Promise<void> {
    if (document.uri.scheme !== 'file' || !(await document.save())) {
      window.showErrorMessage('CodeRunner runs files: save this one to a folder first.');
      return;
    }
    this.#output ??= window.createOutputChannel('CodeRunner');
    const output = this.#output;
    output.show(true);
    const child = spawn(process.execPath, [this.#cli, 'run', document.fileName], {
      cwd: dirname(document.fileName),
      // VS Code's own program is a Node of the version that the command line needs.
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#running.add(child);
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => output.append(text));
    child.on('error', ({ message }) => output.appendLine(`CodeRunner could not be started: ${message}`));
    child.on('close', (code, signal) => {
      this.#running.delete(child);
      output.appendLine(`\n${document.fileName} ended with ${signal ?? `exit code ${code}`}.`);
    });
  }

  dispose(): void {
    for (const child of this.#running) child.kill('SIGINT');
    this.#output?.dispose();
  }
}
