/**
 * What the extension and the console's page say to each other: the only thing they share. The page imports the types; the
 * extension checks with `parseFromPage` what comes from the page, because a program's output is drawn there.
 *
 * A **tab** stays while its program is run again and again; each of those runs has a number of its own, and what is said about a
 * run that is no longer in its tab is ignored by both sides.
 *
 * Flow control: the page acknowledges the bytes that it has drawn (`ack`). The extension has at most `PAGE_WINDOW_BYTES` of a run
 * on their way to the page, and credits the daemon's stream only for what was drawn; so a flood waits in the program itself.
 */
import type { ProducedFile, Run, StatementResult } from '@coderunner/daemon/protocol';

/** Bytes of a run that may be on their way to the page, unacknowledged. */
export const PAGE_WINDOW_BYTES = 512 * 1024;

/** What a run is doing: its daemon's states, and the work in the editor that comes before. */
export type Phase = 'collecting' | 'connecting' | 'building' | Run['state'];

/** What a statement gave, as the page draws it. */
export type Result = StatementResult;

/** A way out of a failure, shown as a button; `id` comes back in `action`. */
export interface Action {
  id: string;
  label: string;
}

/** All that is told about a run, apart from its output. Sent whole at every change. */
export interface RunView {
  /** Unique in this window; the key of every message about the run. */
  id: number;
  phase: Phase;
  /** Whether it is over: `phase` will not change any more. */
  ended: boolean;
  /** Milliseconds since the program started, at the time of sending; null before. The page counts on until `ended`. */
  elapsedMs: number | null;
  /** One sentence: what it waits for, the verdict ("Stopped: used more than 256 MB"), or what went wrong. */
  message: string | null;
  /** What can be done about a failure. */
  hint: string | null;
  actions: Action[];
  exitCode: number | null;
  signal: string | null;
  cpuMs: number | null;
  peakMemoryBytes: number | null;
  /** Whether typed input reaches the program. */
  acceptsInput: boolean;
  /** The program has a terminal (else pipes: the page echoes and edits the typed line, and turns `\n` into `\r\n` itself). */
  tty: boolean;
  /** Where a program that failed should be looked at first: a file of its folder, and a line from 1 on. Moves with edits. */
  problem: { path: string; line: number } | null;
  /** Produced files; the contents are asked for with `file`. */
  files: ProducedFile[];
  /** It gave tables; they are asked for with `results`. */
  hasResults: boolean;
}

export interface Tab {
  id: number;
  /** Such as `main.py`. */
  title: string;
  /** The entry's path within its folder, and its language, for the tooltip. */
  description: string;
  run: RunView;
}

/** The editor's settings that the page cannot read from the theme's CSS variables. */
export interface ConsoleSettings {
  fontFamily: string;
  /** Pixels. */
  fontSize: number;
  /** A factor of the font's size. */
  lineHeight: number;
  /** Lines kept above the screen. */
  scrollback: number;
  cursorBlink: boolean;
  cursorStyle: 'block' | 'underline' | 'bar';
  /** Whether a screen reader is to be served. */
  screenReader: boolean;
  /** A run that begins in a tab empties it first; otherwise a line separates it from the one before. */
  clearBeforeRun: boolean;
}

/** From the extension to the page. */
export type ToPage =
  /** Answers `ready`; the output so far of every tab follows as `output`. `strings` translates the page's English texts. */
  | {
      type: 'init';
      settings: ConsoleSettings;
      strings: Record<string, string>;
      language: string;
      tabs: Tab[];
      active: number | null;
    }
  | { type: 'settings'; settings: ConsoleSettings }
  /** A new tab, a new run in a tab (its `run.id` differs), or news of its run. */
  | { type: 'tab'; tab: Tab }
  | { type: 'closed'; tab: number }
  /** Show this tab; with `focus` the keyboard goes to its terminal. */
  | { type: 'activate'; tab: number; focus: boolean }
  /**
   * What the run printed before the offset `to` follows a second time, for a page that was loaded again: what its program asked
   * the terminal there (where the cursor is, which colours) was answered then.
   */
  | { type: 'replay'; run: number; to: number }
  /** `seq` is the offset of the first byte of `data` in all that the run prints. */
  | { type: 'output'; run: number; seq: number; channel: 'stdout' | 'stderr'; data: Uint8Array }
  /** These bytes came faster than they could be kept, and are missing. */
  | { type: 'gap'; run: number; from: number; to: number }
  /** A line of ours among the output, such as a step of an image's build. */
  | { type: 'notice'; run: number; text: string }
  /** Answers `file`; `mediaType` is one that the page may show as an image, or null. */
  | { type: 'file'; run: number; path: string; mediaType: string | null; data: Uint8Array }
  | { type: 'fileFailed'; run: number; path: string; message: string }
  /** Answers `results`: a `Result` a line, as the sandbox wrote them. */
  | { type: 'results'; run: number; data: Uint8Array }
  /** Empty the tab's screen and what is above it. */
  | { type: 'clear'; tab: number }
  /** Open the search of the active tab. */
  | { type: 'find' }
  /** Do with the active tab's text what its buttons do: the page answers with `copy` or `save`. */
  | { type: 'request'; what: 'copy' | 'save' };

type Check<T> = (value: unknown) => value is T;

const MAX_NAME = 4_096;
/** A paste of many lines; longer ones come in pieces. */
export const MAX_INPUT_CHARS = 1024 * 1024;
/** All of a console's text, when it is copied or saved. */
const MAX_TEXT_CHARS = 64 * 1024 * 1024;

const count: Check<number> = (value): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const size: Check<number> = (value): value is number => count(value) && value >= 1 && value <= 1000;
const string =
  (max: number): Check<string> =>
  (value): value is string =>
    typeof value === 'string' && value.length <= max;
const oneOf =
  <T extends string>(...values: T[]): Check<T> =>
  (value): value is T =>
    values.includes(value as T);
const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value): value is T | undefined =>
    value === undefined || check(value);

/** Every message of the page: its fields, and what they may hold. The types come from here. */
const FROM_PAGE = {
  /** The page listens. Sent once, when it was loaded. */
  ready: {},
  /** Everything before the offset `seq` was drawn. */
  ack: { run: count, seq: count },
  /** Typed or pasted. */
  input: { run: count, data: string(MAX_INPUT_CHARS) },
  /** Ctrl-D where the program has no terminal that would understand it. */
  eof: { run: count },
  /** Ctrl-C where the program has no terminal, and the like. */
  signal: { run: count, signal: oneOf('SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGKILL') },
  /** The tab's terminal has this size now; also sent at `ready`, so that the next run starts with it. */
  resize: { tab: optional(count), rows: size, cols: size },
  stop: { tab: count },
  rerun: { tab: count },
  /** The person emptied the tab: it stays empty when the page is loaded again. */
  clear: { tab: count },
  close: { tab: count },
  activate: { tab: count },
  /** All of the tab's text, for the clipboard, or the selection. */
  copy: { text: string(MAX_TEXT_CHARS) },
  /** All of the tab's text, for a file. */
  save: { tab: count, text: string(MAX_TEXT_CHARS) },
  /** A link `file:line` was followed; the extension opens only files that belong to the run's folder. Lines and columns count from 1. */
  openFile: { run: count, path: string(MAX_NAME), line: count, column: optional(count) },
  /** The link to the problem was followed; only the extension knows where that is. */
  openProblem: { run: count },
  /** A link was followed; the extension asks the editor to open only http, https. */
  openUrl: { url: string(MAX_NAME) },
  /** Wants the contents of a produced file, to show them. */
  file: { run: count, path: string(MAX_NAME) },
  /** Wants the tables that a run gave. */
  results: { run: count },
  /** Wants a produced file saved, or opened in an editor. */
  saveFile: { run: count, path: string(MAX_NAME) },
  openProduced: { run: count, path: string(MAX_NAME) },
  /** A button of a failure. */
  action: { run: count, id: string(100) },
  /** Something went wrong in the page; for the log. */
  failed: { message: string(MAX_NAME) },
} satisfies Record<string, Record<string, Check<unknown>>>;

type FieldsOf<S> = {
  [K in keyof S as S[K] extends Check<infer T> ? (undefined extends T ? never : K) : never]: S[K] extends Check<infer T>
    ? T
    : never;
} & {
  [K in keyof S as S[K] extends Check<infer T> ? (undefined extends T ? K : never) : never]?: S[K] extends Check<
    infer T
  >
    ? T
    : never;
};

/** From the page to the extension. */
export type FromPage = {
  [K in keyof typeof FROM_PAGE]: { type: K } & FieldsOf<(typeof FROM_PAGE)[K]>;
}[keyof typeof FROM_PAGE];

/**
 * Checks a message of the page.
 * @returns the message, or a sentence that says why it is none
 */
export function parseFromPage(value: unknown): FromPage | string {
  if (typeof value !== 'object' || value === null) return 'The console sent something that is not a message.';
  const { type, ...fields } = value as Record<string, unknown>;
  if (typeof type !== 'string' || !Object.hasOwn(FROM_PAGE, type))
    return `The console sent a message of an unknown kind: ${JSON.stringify(type)?.slice(0, 100)}.`;
  const shape: Record<string, Check<unknown>> = FROM_PAGE[type as keyof typeof FROM_PAGE];
  const extra = Object.keys(fields).find((name) => !Object.hasOwn(shape, name));
  if (extra !== undefined) return `The console's message "${type}" has an unknown field "${extra.slice(0, 100)}".`;
  const wrong = Object.entries(shape).find(([name, check]) => !check(fields[name]));
  if (wrong) return `The console's message "${type}" has a wrong "${wrong[0]}".`;
  return value as FromPage;
}
