/**
 * The programs that were run, one tab each. A tab holds its program's latest run; running it again stops the one before. What is running is
 * remembered in the workspace, so that a window that was loaded again goes on showing it.
 */
import { CodeRunnerError, isEnd, type Run, type TtySize } from '@coderunner/daemon/protocol';
import { type Disposable, EventEmitter, type Memento } from 'vscode';
import type { Tab as TabView } from '../console/messages.ts';
import type { Daemon } from '../daemon/daemon.ts';
import { Later } from '../later.ts';
import { HashCache } from './collect.ts';
import type { Program } from './program.ts';
import { Session } from './session.ts';

const STATE = 'coderunner.tabs';
const PROGRAMS = 'coderunner.programs';
/** Programs that can be run again from the history, the latest. */
const MOST_PROGRAMS = 100;
/** A larger text is not kept for another time. */
const LONGEST_TEXT = 64 * 1024;
/** Programs that are remembered; beyond it, those that ended longest ago go. */
const MOST_TABS = 20;
const USUAL_SIZE: TtySize = { rows: 24, cols: 80 };

export interface Tab {
  readonly id: number;
  program: Program;
  session: Session;
}

interface Remembered {
  program: Program;
  runId: string;
  /** The team's daemon that it is on; none for this machine's. */
  url?: string;
  /** It was in front. */
  latest?: true;
  /** Its end has not been shown. */
  running?: true;
}

/** A program that ran when the window was left, and whose end nobody saw. */
export interface Missed {
  program: Program;
  /** As its daemon tells it; `gone` where no daemon knows it any more, `unknown` where the daemon does not answer. */
  end: Run | 'gone' | 'unknown';
  /** The tab that shows it, where there is something to show. */
  tab: Tab | undefined;
}

export class Tabs implements Disposable {
  readonly #daemon: Daemon;
  readonly #memory: Memento;
  readonly #hashes = new HashCache();
  readonly #tabs = new Map<number, Tab>();
  readonly #opened = new EventEmitter<Tab>();
  readonly #changed = new EventEmitter<Tab>();
  readonly #closed = new EventEmitter<Tab>();
  readonly #missed = new EventEmitter<Missed>();
  /** Of an earlier window, and not found out about yet. */
  #unknown: Remembered[] = [];
  /** Programs of runs that the history has not been told of yet. */
  #begun: [string, Program][] = [];
  readonly #rememberLater = new Later(() => this.#remember());
  #ids = 0;
  #latest: Tab | undefined;
  /** Of the console; programs start with it. */
  size = USUAL_SIZE;

  /** A run begins in this tab: a new one, or one that had a run before. */
  readonly onDidOpen = this.#opened.event;
  /** Its run has news. */
  readonly onDidChange = this.#changed.event;
  readonly onDidClose = this.#closed.event;
  /** Told once of each. */
  readonly onDidMiss = this.#missed.event;

  constructor(daemon: Daemon, memory: Memento) {
    this.#daemon = daemon;
    this.#memory = memory;
  }

  get all(): Tab[] {
    return [...this.#tabs.values()];
  }

  /** The one that ran last. */
  get latest(): Tab | undefined {
    return this.#latest;
  }

  get running(): Tab[] {
    return this.all.filter(({ session }) => !session.ended);
  }

  get(id: number): Tab | undefined {
    return this.#tabs.get(id);
  }

  /** What a command was given: the id of a tab, or nothing. */
  named(id: unknown): Tab | undefined {
    return typeof id === 'number' ? this.#tabs.get(id) : undefined;
  }

  /** The tab whose present run has this number. */
  ofRun(id: number): Tab | undefined {
    return this.all.find(({ session }) => session.id === id);
  }

  /** Runs a program. One with the same key that still runs is stopped, and makes way. */
  run(program: Program): Tab {
    const before = this.all.find((tab) => tab.program.key === program.key);
    if (before) {
      if (!before.session.ended) before.session.stop();
      before.session.leave();
    }
    const tab = this.#open(program, before);
    this.#trim();
    return tab;
  }

  /** Shows a run of the past, or of another window, in a tab. */
  show(runId: string, title: string): Tab {
    const known = this.all.find(({ session }) => session.runId === runId);
    if (known) return known;
    const program = this.programOf(runId) ?? { title, uri: '', entry: title };
    return this.#open({ ...program, key: `run:${runId}` }, undefined, runId);
  }

  /** What a run of this workspace ran, if that is remembered. */
  programOf(runId: string): Program | undefined {
    return this.#programs.find(([id]) => id === runId)?.[1];
  }

  rerun(tab: Tab): Tab {
    return this.run(tab.program);
  }

  close(tab: Tab): void {
    if (!tab.session.ended) tab.session.stop();
    tab.session.leave();
    tab.session.transcript.detach();
    this.#tabs.delete(tab.id);
    if (this.#latest === tab) this.#latest = this.all.at(-1);
    this.#closed.fire(tab);
    this.#rememberLater.ask();
  }

  /** Takes up what an earlier window of this workspace was showing, where the daemon still knows it. */
  async restore(): Promise<void> {
    const here = this.#memory.get<Remembered[]>(STATE, []).filter(({ url }) => url === this.#daemon.url);
    if (here.length === 0) return;
    if (!(await this.#daemon.reachable())) {
      // A daemon of this machine that is not there has ended, and what it ran with it; a team's may only be out of reach.
      const end = this.#daemon.url === undefined ? 'gone' : 'unknown';
      if (end === 'unknown') this.#unknown = here;
      for (const { program, running } of here) if (running) this.#missed.fire({ program, end, tab: undefined });
      this.#remember();
      return;
    }
    this.#unknown = [];
    // What is opened last is in front.
    here.sort((a, b) => Number(a.latest ?? false) - Number(b.latest ?? false));
    for (const { program, runId, running } of here) {
      if (this.all.some((tab) => tab.program.key === program.key)) continue;
      const run = await this.#find(runId);
      const tab = run && this.#open(program, undefined, runId);
      if (running && (!run || isEnd(run.state))) this.#missed.fire({ program, end: run ?? 'gone', tab });
    }
    this.#remember();
  }

  /** The window is closed or loaded again: programs go on, and are taken up by `restore`. */
  dispose(): void {
    this.#rememberLater.now();
    for (const { session } of this.#tabs.values()) session.leave();
    for (const emitter of [this.#opened, this.#changed, this.#closed, this.#missed]) emitter.dispose();
  }

  #open(program: Program, before?: Tab, resume?: string): Tab {
    const session = new Session({
      id: ++this.#ids,
      program,
      daemon: this.#daemon,
      hashes: this.#hashes,
      size: this.size,
      ...(resume === undefined ? {} : { resume }),
    });
    const tab: Tab = before ?? { id: ++this.#ids, program, session };
    tab.program = program;
    tab.session = session;
    this.#tabs.set(tab.id, tab);
    this.#latest = tab;
    let known = resume !== undefined;
    session.onDidChange(() => {
      this.#changed.fire(tab);
      this.#rememberLater.ask();
      if (known || session.runId === undefined) return;
      known = true;
      if ((program.text?.length ?? 0) + (program.stdin?.length ?? 0) <= LONGEST_TEXT)
        this.#begun.push([session.runId, program]);
    });
    this.#opened.fire(tab);
    return tab;
  }

  /** @returns undefined where the daemon does not know it: it forgets old runs */
  async #find(runId: string): Promise<Run | undefined> {
    try {
      return await this.#daemon.client.api.run(runId);
    } catch (error) {
      if (error instanceof CodeRunnerError && error.code === 'not_found') return undefined;
      throw error;
    }
  }

  #trim(): void {
    const ended = this.all.filter((tab) => tab.session.ended && tab !== this.#latest);
    for (const tab of ended.slice(0, Math.max(0, this.#tabs.size - MOST_TABS))) this.close(tab);
  }

  get #programs(): [string, Program][] {
    return [...this.#memory.get<[string, Program][]>(PROGRAMS, []), ...this.#begun].slice(-MOST_PROGRAMS);
  }

  #remember(): void {
    if (this.#begun.length > 0) {
      void this.#memory.update(PROGRAMS, this.#programs);
      this.#begun = [];
    }
    const url = this.#daemon.url;
    const open = this.all.flatMap<Remembered>((tab) => {
      const { runId, ended } = tab.session;
      if (runId === undefined) return [];
      const flags: Pick<Remembered, 'latest' | 'running'> = {};
      if (tab === this.#latest) flags.latest = true;
      if (!ended) flags.running = true;
      return [{ program: tab.program, runId, ...(url === undefined ? {} : { url }), ...flags }];
    });
    const remembered = [...this.#unknown, ...open];
    // Most changes of a state change nothing of it.
    if (JSON.stringify(remembered) !== JSON.stringify(this.#memory.get(STATE, [])))
      void this.#memory.update(STATE, remembered);
  }
}

/** As the console's page is told. */
export function viewOf({ id, program, session }: Tab): TabView {
  return {
    id,
    title: program.title,
    description: [program.root, program.entry, ...(program.args ?? [])].filter(Boolean).join(' '),
    run: session.view,
  };
}
