/**
 * The language server: when it is there, and what it is told of runs. Its client is a large part of the extension, so it is loaded when a
 * document that can be run, or a run, first needs it.
 */
import { type ProblemMoved, RUN_ENDED, RUN_STARTED, type RunEnded, type RunStarted } from '@coderunner/daemon/lsp';
import { type Disposable, type LogOutputChannel, Uri, workspace } from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';
import { setting } from '../configuration.ts';
import type { LocalDaemon } from '../daemon/local.ts';
import { Later } from '../later.ts';
import type { Languages } from '../run/languages.ts';
import type { Tab, Tabs } from '../run/tabs.ts';
import { verdictOf } from '../run/verdict.ts';
import type { SettingName } from '../settings.ts';

/** Errors stand at the end of what a program prints. */
const OUTPUT_BYTES = 128 * 1024;
/** What it is started with, or shown by. */
const SETTINGS: readonly SettingName[] = ['codeLens', 'hints', 'daemon.node'];

export class LanguageServer implements Disposable {
  readonly #local: LocalDaemon;
  readonly #tabs: Tabs;
  readonly #languages: Languages;
  readonly #log: LogOutputChannel;
  readonly #watching: Disposable[];
  /** Whose runs it has not been told the news of. */
  readonly #news = new Set<Tab>();
  readonly #tellLater = new Later(() => this.#tellNews());
  #client: LanguageClient | undefined;
  #needed = false;
  /** Starts and stops come one after the other. */
  #queue: Promise<void> = Promise.resolve();

  constructor(local: LocalDaemon, tabs: Tabs, languages: Languages, log: LogOutputChannel) {
    this.#local = local;
    this.#tabs = tabs;
    this.#languages = languages;
    this.#log = log;
    this.#watching = [
      this.#tellLater,
      workspace.onDidOpenTextDocument(({ languageId }) => this.#opened(languageId)),
      languages.onDidChange(() => this.#restart()),
      workspace.onDidChangeConfiguration((event) => {
        if (SETTINGS.some((name) => event.affectsConfiguration(`coderunner.${name}`))) this.#restart();
      }),
      tabs.onDidOpen((tab) => this.#follow(tab)),
    ];
  }

  dispose(): void {
    for (const disposable of this.#watching) disposable.dispose();
    this.#needed = false;
    void this.#enqueue(() => this.#stop());
  }

  #opened(languageId: string): void {
    if (this.#needed || !this.#languages.ids.includes(languageId)) return;
    this.#needed = true;
    void this.#enqueue(() => this.#start());
  }

  /** Its settings are others, or there are other languages; which may be what the open documents are in. */
  #restart(): void {
    if (this.#needed) void this.#enqueue(() => this.#stop().then(() => this.#start()));
    else for (const { languageId } of workspace.textDocuments) this.#opened(languageId);
  }

  #enqueue(step: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(step).catch((error: unknown) => this.#log.error('The language server:', error));
    return this.#queue;
  }

  async #start(): Promise<void> {
    if (!this.#needed) return;
    const { createClient } = await import('./client.ts');
    const client = createClient({
      spawn: () => this.#local.spawn(['lsp', '--stdio'], 'pipe'),
      languageIds: this.#languages.ids,
      hints: setting('hints'),
      log: this.#log,
      onRunning: () => this.#tellAll(),
      onProblem: (moved) => this.#point(moved),
    });
    this.#client = client;
    await client.start();
  }

  async #stop(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    // One that failed to start, or whose server is gone, has nothing to end.
    if (client?.isRunning()) await client.dispose();
  }

  /** It begins knowing nothing, also after a crash. */
  #tellAll(): void {
    for (const tab of this.#tabs.all) this.#tell(tab);
  }

  #follow(tab: Tab): void {
    const { session } = tab;
    this.#opened(tab.program.languageId ?? '');
    const hasNews = () => {
      this.#news.add(tab);
      this.#tellLater.ask();
    };
    hasNews();
    void session.over.then(() => {
      if (tab.session === session) hasNews();
    });
  }

  #tellNews(): void {
    for (const tab of this.#news) this.#tell(tab);
    this.#news.clear();
  }

  #point({ uri, problem }: ProblemMoved): void {
    const key = Uri.parse(uri).toString();
    const session = this.#tabs.all.find(({ program }) => program.key === key)?.session;
    // A run that has begun meanwhile has no problem yet.
    if (session?.ended) session.problem = problem ? { ...problem, uri: Uri.parse(problem.uri) } : undefined;
  }

  #tell({ program, session }: Tab): void {
    // The lines of a selection are not the document's.
    if (program.uri === '' || program.key !== program.uri || !this.#client?.isRunning()) return;
    const { uri, root, entry } = program;
    const { ended, elapsedMs, cpuMs, peakMemoryBytes } = session.view;
    const told = ended
      ? this.#client.sendNotification(RUN_ENDED, {
          uri,
          root: root === undefined ? null : Uri.file(root).toString(),
          entry,
          output: session.transcript.tail(OUTPUT_BYTES),
          verdict: verdictOf(session.view),
          wallMs: elapsedMs,
          cpuMs,
          peakMemoryBytes,
        } satisfies RunEnded)
      : this.#client.sendNotification(RUN_STARTED, { uri } satisfies RunStarted);
    told.catch((error: unknown) => this.#log.warn('The language server was not told of a run:', error));
  }
}
