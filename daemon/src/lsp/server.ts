/**
 * The language server: CodeLens and hover at the entry point, errors of the last run on their lines, and hints on what the sandbox will
 * refuse. It works on text and on what it is told of runs, so it needs no daemon.
 *
 * Start reading here. `document.ts`, `hints.ts` and `problems.ts` know no protocol: they take text and return what is in it.
 */
import { existsSync } from 'node:fs';
import { Compile } from 'typebox/compile';
import {
  type CodeAction,
  CodeActionKind,
  type CodeLens,
  CodeLensRefreshRequest,
  type Connection,
  type Diagnostic,
  DiagnosticSeverity,
  DidChangeTextDocumentNotification,
  DidChangeWatchedFilesNotification,
  DidCloseTextDocumentNotification,
  DidOpenTextDocumentNotification,
  type Hover,
  type InitializeParams,
  type InitializeResult,
  MarkupKind,
  type Range,
  TextDocumentSyncKind,
  TextDocuments,
  type WorkspaceEdit,
} from 'vscode-languageserver';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { formatBytes, formatDuration } from '../protocol/units.ts';
import { VERSION } from '../version.ts';
import { outlineOf } from './document.ts';
import { editOf } from './edits.ts';
import { type Hint, hintsFor } from './hints.ts';
import { type LanguageData, Languages } from './language.ts';
import { LastRuns } from './last-runs.ts';
import { formatOf } from './manifests.ts';
import { COMMANDS, PROBLEM, type ProblemMoved, RUN_ENDED, RUN_STARTED, TITLES } from './messages.ts';
import type { Severity } from './problems.ts';
import { surroundingsOf } from './project.ts';
import { RunEnded, RunStarted, ServerOptions } from './schemas.ts';
import { type Say, speaker } from './texts.ts';
import { canonical, pathOf, uriOf } from './uris.ts';

const SOURCE = 'CodeRunner';
/** Hints wait until nobody has typed for as long. */
const SETTLES_AFTER_MS = 150;
/** Further to the right than any line; clients take the line's end. */
const LINE_END = 2 ** 31 - 1;

const SEVERITIES: Record<Severity, DiagnosticSeverity> = {
  error: DiagnosticSeverity.Error,
  warning: DiagnosticSeverity.Warning,
  information: DiagnosticSeverity.Information,
};

const isServerOptions = Compile(ServerOptions);
const isRunStarted = Compile(RunStarted);
const isRunEnded = Compile(RunEnded);

/**
 * Runs a file, for editors that do not run programs themselves.
 * @param signal ends it
 * @returns how it ended; rejects, with a sentence for the person, where it could not be run
 */
export type Launch = (path: string, signal: AbortSignal) => Promise<Omit<RunEnded, 'uri'>>;

/**
 * Serves one client. Listens as soon as this returns.
 * @returns to be told when there are other languages
 * @throws CodeRunnerError bad_runtime
 */
export function serveLanguages(
  connection: Connection,
  data: readonly LanguageData[],
  launch: Launch,
): (data: readonly LanguageData[]) => void {
  const server = new Server(connection, data, launch);
  connection.listen();
  return (now) => server.update(now);
}

class Server {
  readonly #connection: Connection;
  #languages: Languages;
  #manifests: readonly string[];
  readonly #launch: Launch;
  readonly #documents: TextDocuments<TextDocument>;
  readonly #runs = new LastRuns((uri) => this.#openDocument(uri) !== undefined || existsSync(pathOf(uri) ?? ''));
  /** By canonical URI, as are the others. */
  readonly #hints = new Map<string, Hint[]>();
  readonly #settling = new Map<string, NodeJS.Timeout>();
  /** Programs that this server runs. */
  readonly #launched = new Map<string, AbortController>();
  /** What the client was last told of where each program's problem is. */
  readonly #pointed = new Map<string, string>();
  #say: Say = speaker();
  #folders: string[] = [];
  #options: ServerOptions = {};
  #canRefreshLenses = false;
  #canWatchFiles = false;
  #canSynchronize = false;
  #canCreateFiles = false;

  constructor(connection: Connection, data: readonly LanguageData[], launch: Launch) {
    this.#connection = connection;
    this.#languages = new Languages(data);
    this.#manifests = manifestsOf(data);
    this.#launch = launch;
    this.#documents = new TextDocuments({
      create: TextDocument.create,
      update: (document, changes, version) => {
        for (const change of changes) this.#runs.edited(canonical(document.uri), editOf(change));
        return TextDocument.update(document, changes, version);
      },
    });
    connection.onInitialize((params) => this.#initialize(params));
    connection.onCodeLens(({ textDocument }) => this.#lenses(textDocument.uri));
    connection.onHover(({ textDocument, position }) => this.#hover(textDocument.uri, position.line));
    connection.onCodeAction(({ textDocument, range }) => this.#actions(textDocument.uri, range));
    connection.onExecuteCommand(({ command, arguments: [uri] = [] }) => this.#execute(command, uri));
    connection.onNotification(RUN_STARTED, (message: unknown) => {
      if (isRunStarted.Check(message)) this.#started(canonical(message.uri));
    });
    connection.onNotification(RUN_ENDED, (message: unknown) => {
      if (isRunEnded.Check(message)) this.#ended({ ...message, uri: canonical(message.uri) });
    });
    connection.onDidChangeWatchedFiles(() => this.#settleAll());
    this.#documents.onDidChangeContent(({ document }) =>
      this.#isManifest(document.uri) ? this.#settleAll() : this.#settle(document.uri),
    );
    this.#documents.onDidClose(({ document }) => this.#forget(document.uri));
    this.#documents.listen(connection);
  }

  /** Takes other languages. */
  update(data: readonly LanguageData[]): void {
    this.#languages = new Languages(data);
    this.#languages.add(this.#options.languageIds ?? []);
    const before = this.#manifests;
    this.#manifests = manifestsOf(data);
    this.#followManifests(this.#manifests.filter((name) => !before.includes(name)));
    this.#settleAll();
    this.#refreshLenses();
  }

  #initialize({ capabilities, initializationOptions, workspaceFolders, rootUri }: InitializeParams): InitializeResult {
    if (isServerOptions.Check(initializationOptions)) this.#options = initializationOptions;
    this.#say = speaker(this.#options.strings);
    this.#languages.add(this.#options.languageIds ?? []);
    this.#folders = workspaceFolders?.map(({ uri }) => canonical(uri)) ?? (rootUri ? [canonical(rootUri)] : []);
    const { workspace, textDocument } = capabilities;
    this.#canRefreshLenses = workspace?.codeLens?.refreshSupport === true;
    this.#canCreateFiles = workspace?.workspaceEdit?.resourceOperations?.includes('create') === true;
    this.#canWatchFiles = workspace?.didChangeWatchedFiles?.dynamicRegistration === true;
    this.#canSynchronize = textDocument?.synchronization?.dynamicRegistration === true;
    this.#connection.onInitialized(() => {
      if (workspace?.workspaceFolders === true) this.#followFolders();
      this.#followManifests(this.#manifests);
    });
    return {
      serverInfo: { name: 'coderunner', version: VERSION },
      capabilities: {
        textDocumentSync: { openClose: true, change: TextDocumentSyncKind.Incremental },
        codeLensProvider: { resolveProvider: false },
        hoverProvider: true,
        codeActionProvider: { codeActionKinds: [CodeActionKind.QuickFix] },
        // A client that has these commands itself must not hear of them: it would send them here.
        ...(this.#options.clientRuns ? {} : { executeCommandProvider: { commands: [COMMANDS.run, COMMANDS.stop] } }),
        workspace: { workspaceFolders: { supported: true, changeNotifications: true } },
      },
    };
  }

  #followFolders(): void {
    this.#connection.workspace.onDidChangeWorkspaceFolders(({ added, removed }) => {
      const gone = new Set(removed.map(({ uri }) => canonical(uri)));
      this.#folders = [...this.#folders.filter((uri) => !gone.has(uri)), ...added.map(({ uri }) => canonical(uri))];
      this.#settleAll();
    });
  }

  /** Has the client tell of files that name packages, where it can. */
  #followManifests(names: readonly string[]): void {
    const patterns = names.map((name) => `**/${name}`);
    if (patterns.length === 0) return;
    const register = this.#connection.client;
    const registered: Promise<unknown>[] = [];
    if (this.#canWatchFiles)
      registered.push(
        register.register(DidChangeWatchedFilesNotification.type, {
          watchers: patterns.map((globPattern) => ({ globPattern })),
        }),
      );
    if (this.#canSynchronize) {
      const documentSelector = patterns.map((pattern) => ({ scheme: 'file', pattern }));
      registered.push(
        register.register(DidOpenTextDocumentNotification.type, { documentSelector }),
        register.register(DidChangeTextDocumentNotification.type, {
          documentSelector,
          syncKind: TextDocumentSyncKind.Incremental,
        }),
        register.register(DidCloseTextDocumentNotification.type, { documentSelector }),
      );
    }
    Promise.all(registered).catch((error) => this.#connection.console.warn(`Manifests are not followed: ${error}`));
  }

  #lenses(uri: string): CodeLens[] {
    const entry = this.#entryOf(uri);
    if (entry === undefined) return [];
    const range = lineRange(entry);
    const lens = (title: string, command: string) => ({ range, command: { title, command, arguments: [uri] } });
    if (this.#runs.isRunning(canonical(uri)))
      return [lens(TITLES.runAgain, COMMANDS.run), lens(TITLES.stop, COMMANDS.stop)];
    const run = lens(TITLES.run, COMMANDS.run);
    return this.#options.clientRuns ? [run, lens(TITLES.runWithArguments, COMMANDS.runWithArguments)] : [run];
  }

  #hover(uri: string, line: number): Hover | null {
    const run = this.#runs.of(canonical(uri));
    if (!run || this.#entryOf(uri) !== line) return null;
    const measures = [
      run.wallMs === null ? [] : formatDuration(run.wallMs),
      run.cpuMs === null ? [] : this.#say('cpu', formatDuration(run.cpuMs)),
      run.peakMemoryBytes === null ? [] : this.#say('memory', formatBytes(run.peakMemoryBytes)),
    ];
    // Plain, because parts of it are the program's.
    const value = [this.#say('lastRun', run.verdict), measures.flat().join(' · ')].filter(Boolean).join('\n');
    return { contents: { kind: MarkupKind.PlainText, value }, range: lineRange(line) };
  }

  #actions(uri: string, range: Range): CodeAction[] {
    const key = canonical(uri);
    const within = ({ line }: Hint) => line >= range.start.line && line <= range.end.line;
    const hints = this.#hints.get(key)?.filter(within) ?? [];
    return hints.flatMap((hint) => {
      const edit = hint.package === undefined ? undefined : this.#addition(uri, hint.package);
      if (!edit) return [];
      const { name, ...change } = edit;
      const action: CodeAction = {
        title: this.#say('add', hint.package ?? '', name),
        kind: CodeActionKind.QuickFix,
        diagnostics: [hintDiagnostic(hint)],
        edit: change,
        isPreferred: true,
      };
      return [action];
    });
  }

  /** The edit that adds a package to the manifest of a document's project. */
  #addition(uri: string, name: string): (WorkspaceEdit & { name: string }) | undefined {
    const surroundings = this.#surroundings(uri);
    const path = surroundings?.manifestPath;
    const format = path === undefined ? undefined : formatOf(path);
    if (!surroundings || path === undefined || !format) return undefined;
    const file = path.split(/[/\\]/).at(-1) as string;
    const target = uriOf(path);
    const text = surroundings.manifest?.text ?? '';
    const change = format.add(text, name);
    if (!change) return undefined;
    const before = TextDocument.create(target, '', 0, text);
    const range = { start: before.positionAt(change.from), end: before.positionAt(change.to) };
    const edits = [{ range, newText: change.text }];
    if (surroundings.manifest) return { name: file, changes: { [this.#openDocument(target)?.uri ?? target]: edits } };
    if (!this.#canCreateFiles) return undefined;
    const create = { kind: 'create' as const, uri: target, options: { ignoreIfExists: true } };
    return { name: file, documentChanges: [create, { textDocument: { uri: target, version: null }, edits }] };
  }

  async #execute(command: string, argument: unknown): Promise<void> {
    const path = typeof argument === 'string' ? pathOf(argument) : undefined;
    if (path === undefined || !existsSync(path)) {
      this.#connection.window.showErrorMessage(this.#say('notSaved'));
      return;
    }
    const uri = uriOf(path);
    const before = this.#launched.get(uri);
    before?.abort();
    if (command !== COMMANDS.run) return;
    const stop = new AbortController();
    this.#launched.set(uri, stop);
    this.#started(uri);
    try {
      const run = await this.#launch(path, stop.signal);
      if (this.#launched.get(uri) !== stop) return;
      this.#ended({ ...run, uri });
      this.#connection.window.showInformationMessage(run.verdict);
    } catch (error) {
      if (this.#launched.get(uri) !== stop) return;
      const verdict = (error as Error).message;
      this.#ended({
        uri,
        root: null,
        entry: '',
        output: '',
        verdict,
        wallMs: null,
        cpuMs: null,
        peakMemoryBytes: null,
      });
      this.#connection.window.showErrorMessage(verdict);
    } finally {
      if (this.#launched.get(uri) === stop) this.#launched.delete(uri);
    }
  }

  #started(uri: string): void {
    for (const changed of this.#runs.started(uri)) this.#publish(changed);
    this.#refreshLenses();
  }

  #ended(run: RunEnded): void {
    const language = this.#languages.of(run.entry || run.uri, this.#openDocument(run.uri)?.languageId ?? '');
    for (const changed of this.#runs.ended(run, language?.places ?? [])) this.#publish(changed);
    this.#refreshLenses();
  }

  #refreshLenses(): void {
    if (!this.#canRefreshLenses) return;
    this.#connection
      .sendRequest(CodeLensRefreshRequest.type)
      .catch((error) => this.#connection.console.warn(String(error)));
  }

  #settleAll(): void {
    for (const { uri } of this.#documents.all()) this.#settle(uri);
  }

  #settle(uri: string): void {
    const key = canonical(uri);
    clearTimeout(this.#settling.get(key));
    this.#settling.set(
      key,
      setTimeout(() => {
        this.#settling.delete(key);
        this.#hints.set(key, this.#findHints(uri));
        this.#publish(key);
      }, SETTLES_AFTER_MS),
    );
  }

  #forget(uri: string): void {
    const key = canonical(uri);
    clearTimeout(this.#settling.get(key));
    this.#settling.delete(key);
    this.#hints.delete(key);
    this.#publish(key);
    // What counts now is what its file says.
    if (this.#isManifest(uri)) this.#settleAll();
  }

  #findHints(uri: string): Hint[] {
    const document = this.#documents.get(uri);
    const language = document && this.#languageOf(document);
    if (!document || !language?.imports || this.#options.hints === false) return [];
    const surroundings = this.#surroundings(uri) ?? { isLocal: () => false, manifest: undefined };
    return hintsFor(outlineOf(document.getText(), language).imports, language, surroundings, this.#say);
  }

  #publish(key: string): void {
    const document = this.#openDocument(key);
    const errors = this.#runs.problemsOf(key).map(
      ({ line, character, severity, message }): Diagnostic => ({
        range: document ? textRange(document, line, character) : lineRange(line),
        message: message || this.#say('failedHere'),
        severity: SEVERITIES[severity],
        source: SOURCE,
        code: 'last-run',
      }),
    );
    const hints = (this.#hints.get(key) ?? []).map(hintDiagnostic);
    void this.#connection.sendDiagnostics({
      uri: document?.uri ?? key,
      ...(document ? { version: document.version } : {}),
      diagnostics: [...errors, ...hints],
    });
    this.#point();
  }

  /** Tells a client that shows runs where their problems are by now. */
  #point(): void {
    if (!this.#options.clientRuns) return;
    const ends = this.#runs.ends;
    for (const uri of this.#pointed.keys()) if (!ends.includes(uri)) this.#pointed.delete(uri);
    for (const uri of ends) {
      const found = this.#runs.mainProblem(uri);
      const problem = found ? { uri: found.uri, line: found.line, character: found.character ?? null } : null;
      const told = JSON.stringify(problem);
      if ((this.#pointed.get(uri) ?? 'null') === told) continue;
      this.#pointed.set(uri, told);
      void this.#connection.sendNotification(PROBLEM, { uri, problem } satisfies ProblemMoved);
    }
  }

  #entryOf(uri: string): number | undefined {
    const document = this.#documents.get(uri);
    const language = document && this.#languageOf(document);
    return language && outlineOf(document.getText(), language).entry;
  }

  #languageOf({ uri, languageId }: TextDocument) {
    return this.#isManifest(uri) ? undefined : this.#languages.of(uri, languageId);
  }

  #isManifest(uri: string): boolean {
    return this.#manifests.some((name) => uri.endsWith(`/${name}`));
  }

  #surroundings(uri: string) {
    const document = this.#documents.get(uri);
    const language = document && this.#languageOf(document);
    return (
      language &&
      surroundingsOf(canonical(uri), this.#folders, language, (other) => this.#openDocument(other)?.getText())
    );
  }

  /** @param key canonical */
  #openDocument(key: string): TextDocument | undefined {
    return this.#documents.get(key) ?? this.#documents.all().find(({ uri }) => canonical(uri) === key);
  }
}

function manifestsOf(data: readonly LanguageData[]): string[] {
  return [...new Set(data.flatMap(({ manifests }) => manifests))];
}

function hintDiagnostic({ line, start, end, message, code }: Hint): Diagnostic {
  const range = { start: { line, character: start }, end: { line, character: end } };
  return { range, message, code, severity: DiagnosticSeverity.Information, source: SOURCE };
}

function lineRange(line: number): Range {
  return { start: { line, character: 0 }, end: { line, character: LINE_END } };
}

/** From a character, or from where the line's text begins, to the end of the text. */
function textRange(document: TextDocument, line: number, character: number | undefined): Range {
  const last = Math.min(line, document.lineCount - 1);
  const text = document.getText(lineRange(last)).trimEnd();
  const start = Math.min(character ?? text.length - text.trimStart().length, Math.max(0, text.length - 1));
  return { start: { line: last, character: start }, end: { line: last, character: text.length } };
}
