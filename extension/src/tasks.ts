/** Tasks of type `coderunner`: a run in a terminal of VS Code's own, for tasks.json, build chains and keybindings. */
import { basename, isAbsolute, join, relative, sep } from 'node:path';
import {
  CustomExecution,
  type Disposable,
  EventEmitter,
  l10n,
  type Pseudoterminal,
  Task,
  type TaskDefinition,
  TaskGroup,
  type TaskProvider,
  TaskScope,
  type TerminalDimensions,
  tasks,
  Uri,
  type WorkspaceFolder,
  window,
  workspace,
} from 'vscode';
import type { Daemon } from './daemon/daemon.ts';
import { HashCache } from './run/collect.ts';
import { type Program, projectOf } from './run/program.ts';
import { Session } from './run/session.ts';

interface Definition extends TaskDefinition {
  type: 'coderunner';
  /** From the folder on. */
  file: string;
  args?: string[];
}

const CANNOT_RUN = 125;

export function registerTasks(daemon: Daemon): Disposable {
  return tasks.registerTaskProvider('coderunner', new Provider(daemon));
}

class Provider implements TaskProvider {
  readonly #daemon: Daemon;
  readonly #hashes = new HashCache();

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  /** The marked entries, and the file in the editor. */
  provideTasks(): Task[] {
    const found = (workspace.workspaceFolders ?? []).flatMap((folder) => {
      const entry = projectOf(folder.uri);
      return entry ? [this.#task(folder, { type: 'coderunner', file: below(folder, entry) })] : [];
    });
    const document = window.activeTextEditor?.document;
    const folder = document && workspace.getWorkspaceFolder(document.uri);
    if (document && folder && document.uri.scheme === 'file')
      found.push(this.#task(folder, { type: 'coderunner', file: below(folder, document.uri) }));
    return found;
  }

  resolveTask(task: Task): Task | undefined {
    const definition = task.definition as Definition;
    if (typeof definition.file !== 'string') return undefined;
    const { scope } = task;
    const folder = typeof scope === 'object' ? scope : workspace.workspaceFolders?.[0];
    return folder && this.#task(folder, definition);
  }

  #task(folder: WorkspaceFolder, definition: Definition): Task {
    const execution = new CustomExecution(async (resolved) => {
      const { file, args } = resolved as Definition;
      const full = isAbsolute(file) ? file : join(folder.uri.fsPath, file);
      const uri = Uri.file(full);
      const program: Program = {
        key: `task:${uri}`,
        uri: uri.toString(),
        title: basename(full),
        root: folder.uri.fsPath,
        entry: relative(folder.uri.fsPath, full).split(sep).join('/'),
        args: args ?? [],
      };
      return new RunTerminal(program, this.#daemon, this.#hashes);
    });
    const task = new Task(definition, folder ?? TaskScope.Workspace, definition.file, 'CodeRunner', execution, []);
    task.group = TaskGroup.Test;
    task.detail = l10n.t('Runs {0} in a sandbox', definition.file);
    return task;
  }
}

function below(folder: WorkspaceFolder, uri: Uri): string {
  return relative(folder.uri.fsPath, uri.fsPath).split(sep).join('/');
}

class RunTerminal implements Pseudoterminal {
  readonly #program: Program;
  readonly #daemon: Daemon;
  readonly #hashes: HashCache;
  readonly #written = new EventEmitter<string>();
  readonly #closed = new EventEmitter<number>();
  readonly onDidWrite = this.#written.event;
  readonly onDidClose = this.#closed.event;
  #session: Session | undefined;

  constructor(program: Program, daemon: Daemon, hashes: HashCache) {
    this.#program = program;
    this.#daemon = daemon;
    this.#hashes = hashes;
  }

  open(dimensions: TerminalDimensions | undefined): void {
    const size = { rows: dimensions?.rows ?? 24, cols: dimensions?.columns ?? 80 };
    const session = new Session({ id: 0, program: this.#program, daemon: this.#daemon, hashes: this.#hashes, size });
    this.#session = session;
    const decoder = new TextDecoder();
    session.onDidPrint(({ data }) => {
      const text = decoder.decode(data, { stream: true });
      // A terminal makes its own line ends; pipes have none.
      this.#written.fire(session.view.tty ? text : text.replace(/\r?\n/g, '\r\n'));
    });
    void session.over.then(() => {
      const { message, hint, exitCode } = session.view;
      for (const line of [message, hint]) if (line !== null) this.#written.fire(`\r\n${line}\r\n`);
      this.#closed.fire(exitCode ?? CANNOT_RUN);
    });
  }

  close(): void {
    this.#session?.stop();
  }

  handleInput(data: string): void {
    this.#session?.type(data);
  }

  setDimensions({ rows, columns }: TerminalDimensions): void {
    this.#session?.resize({ rows, cols: columns });
  }
}
