/**
 * The terminal of a tab. Everything that is to be drawn goes through one queue, in order: the program's bytes, lines of ours, and
 * the line that is being typed where the program has no terminal of its own.
 */
import { FitAddon } from '@xterm/addon-fit';
import { type ISearchOptions, SearchAddon } from '@xterm/addon-search';
import { Unicode11Addon } from '@xterm/addon-unicode11';
import { WebLinksAddon } from '@xterm/addon-web-links';
import { type IMarker, type ITerminalOptions, Terminal } from '@xterm/xterm';
import type { ConsoleSettings } from '../../extension/src/console/messages.ts';
import { filled, linesAround, rangeOf } from './cells.ts';
import { guard, isAstray, plain, restore } from './guard.ts';
import { type KeyUse, useOf } from './keys.ts';
import { t } from './l10n.ts';
import { LineEditor } from './line-editor.ts';
import { type SourceLink, sourceLinks } from './links.ts';
import { contrastOf, cssVariable, searchColors, themeOf } from './theme.ts';

/** What a screen tells its tab. */
export interface ScreenEvents {
  /** Typed, pasted, or a terminal's answer: for the program. */
  input(data: string): void;
  interrupt(): void;
  eof(): void;
  resized(rows: number, cols: number): void;
  /** A key that is the page's own. */
  key(use: 'find' | 'findNext' | 'findPrevious' | 'copy' | 'links'): void;
  openSource(link: SourceLink): void;
  openUrl(url: string): void;
  /** Where a link under the pointer leads; undefined when the pointer left it. */
  hover(target: string | undefined): void;
  found(index: number, count: number): void;
  /** What was written has been taken in. */
  drawn(): void;
  /** It shows other rows than before. */
  scrolled(): void;
}

export interface Mode {
  tty: boolean;
  /** What is typed reaches a program. */
  input: boolean;
}

/** Text, or what to write once everything before has been drawn. */
type Item = { text: string | (() => string); done?: (() => void) | undefined };

/** Empties the screen and what is above it, and goes to the first line. */
const EMPTY = '\x1b[2J\x1b[3J\x1b[H';
/** More matches are found, but not marked. */
const MARKED_MATCHES = 1_000;
const MAC = /mac/i.test(navigator.platform);

export class Screen {
  readonly element: HTMLElement;
  readonly #terminal: Terminal;
  readonly #fit = new FitAddon();
  readonly #search = new SearchAddon({ highlightLimit: MARKED_MATCHES });
  readonly #observer: ResizeObserver;
  readonly #events: ScreenEvents;
  readonly #line = new LineEditor();
  /** Where the typed line begins and where the cursor is in it, while it is drawn. */
  #drawnLine: { start: Position; cursor: Position } | undefined;
  #queue: Item[] = [];
  #busy = false;
  /** Writes that xterm.js has not taken in yet. */
  #untaken = 0;
  #mode: Mode = { tty: false, input: false };
  /** Whether questions of the program are answered. */
  #answers = false;
  /** How many runs have begun here. */
  #runs = 0;
  /** Whether there is a cursor. */
  #cursor = true;
  /** The line at which the last run's output begins. */
  #runStart: IMarker | undefined;
  #fitting = 0;
  #searching = false;

  constructor(container: HTMLElement, settings: ConsoleSettings, events: ScreenEvents) {
    this.#events = events;
    this.element = document.createElement('div');
    this.element.className = 'screen';
    container.append(this.element);
    this.#terminal = new Terminal({
      // The search's marks and the widths of Unicode 11 are still called proposals.
      allowProposedApi: true,
      cursorInactiveStyle: 'outline',
      drawBoldTextInBrightColors: true,
      linkHandler: {
        activate: (event, url) => follow(event, () => events.openUrl(url)),
        // The text of such a link can say anything.
        hover: (_event, url) => events.hover(url),
        leave: () => events.hover(undefined),
      },
      ...look(settings),
    });
    const terminal = this.#terminal;
    guard(terminal, () => this.#answers && this.#mode.tty);
    terminal.loadAddon(this.#fit);
    terminal.loadAddon(this.#search);
    terminal.loadAddon(new Unicode11Addon());
    terminal.unicode.activeVersion = '11';
    terminal.loadAddon(
      new WebLinksAddon((event, url) => follow(event, () => events.openUrl(url)), {
        hover: (_event, url) => events.hover(url),
        leave: () => events.hover(undefined),
      }),
    );
    terminal.registerLinkProvider({ provideLinks: (row, callback) => callback(this.#sourceLinks(row)) });
    terminal.attachCustomKeyEventHandler((event) => this.#onKey(event));
    terminal.onData((data) => this.#typed(data));
    terminal.onResize(({ rows, cols }) => events.resized(rows, cols));
    terminal.onWriteParsed(() => events.drawn());
    terminal.onScroll(() => events.scrolled());
    this.#search.onDidChangeResults(({ resultIndex, resultCount }) => events.found(resultIndex, resultCount));
    terminal.open(this.element);
    this.element.addEventListener('paste', (event) => this.#paste(event), { capture: true });
    this.#observer = new ResizeObserver(() => this.fit());
    this.#observer.observe(this.element);
  }

  /** How the program that runs now is connected. */
  connect(mode: Mode): void {
    this.#mode = mode;
    this.#terminal.options.disableStdin = !mode.input;
    if (!mode.input || mode.tty) this.#line.clear();
    this.#enqueue({
      text: () => {
        this.#terminal.options.convertEol = !mode.tty;
        // Where nobody can type, no cursor says so; a program that runs has shown or hidden its own.
        if (mode.input === this.#cursor) return '';
        this.#cursor = mode.input;
        return cursor(mode.input);
      },
    });
  }

  /** What follows is printed by another run. */
  beginRun(clear: boolean): void {
    // What the last run has asked and is not yet drawn stays without an answer: it would be typed into this one.
    this.#answers = false;
    this.#runs++;
    this.#enqueue({
      text: () => {
        const empty = this.lines().length === 0;
        const { cols } = this.#terminal;
        const rule = `\x1b[2m${'─'.repeat(cols)}\x1b[22m`;
        // Somebody may have looked at an earlier place; xterm.js would stay there.
        this.#terminal.scrollToBottom();
        if (clear || empty) return `${this.#restore()}${EMPTY}`;
        return `${this.#restore()}\r\n${rule}\r\n`;
      },
    });
    this.#enqueue({
      text: () => {
        this.#runStart?.dispose();
        this.#runStart = this.#terminal.registerMarker(0);
        return '';
      },
    });
  }

  set settings(settings: ConsoleSettings) {
    Object.assign(this.#terminal.options, look(settings));
    this.repaint();
    this.fit();
  }

  /** Whether what is drawn next may be answered where it asks something. */
  answer(answers: boolean): void {
    const run = this.#runs;
    this.#enqueue({
      text: () => {
        this.#answers = answers && run === this.#runs;
        return '';
      },
    });
  }

  /** @param done called when the text is on the screen */
  write(text: string, done?: () => void): void {
    this.#enqueue({ text, done });
  }

  /** A line of ours among the output. */
  notice(text: string): void {
    this.#enqueue({
      text: () => {
        const { cursorX } = this.#terminal.buffer.active;
        // Neither a sequence that the program has begun nor its colours may change how it looks. High contrast knows no dim text.
        const style = contrastOf(document.body.className) > 4.5 ? '\x1b[0m' : '\x1b[0;2m';
        return `\x18${cursorX > 0 ? '\r\n' : ''}${style}${plain(text)}\x1b[22m\r\n`;
      },
    });
  }

  /** Nothing more is printed: the program's last screen is left, its modes are ended. */
  endRun(): void {
    if (!isAstray(this.#terminal)) return;
    this.#enqueue({ text: () => this.#restore() });
  }

  /** Empties the screen and what is above it. A line that a program has begun, its prompt, stays. */
  clear(all: boolean): void {
    this.#enqueue({
      text: () => {
        if (!all) {
          this.#terminal.clear();
          return '';
        }
        this.#terminal.scrollToBottom();
        return `${this.#restore()}${EMPTY}`;
      },
    });
  }

  focus(): void {
    this.#terminal.focus();
  }

  /** How many rows below are not shown. */
  get scrolledUp(): number {
    const { baseY, viewportY } = this.#terminal.buffer.active;
    return baseY - viewportY;
  }

  set scrolledUp(rows: number) {
    this.#terminal.scrollToLine(Math.max(0, this.#terminal.buffer.active.baseY - rows));
  }

  /** What is selected; empty where nothing is. */
  get selection(): string {
    return this.#terminal.getSelection();
  }

  /** Resolves when everything that was given to it so far is on the screen. */
  settled(): Promise<void> {
    return new Promise((done) => this.#enqueue({ text: '', done }));
  }

  /**
   * The text on the screen and above it; lines that were only wrapped are whole again.
   * @param last at most so many rows, of the last run; without it all that there is
   */
  lines(last?: number): string[] {
    const { normal } = this.#terminal.buffer;
    const lines: string[] = [];
    const first = last === undefined ? 0 : Math.max(0, normal.length - last, this.#runStart?.line ?? 0);
    for (let row = first; row < normal.length; row++) {
      const line = normal.getLine(row);
      if (!line) continue;
      const length = filled(normal, row);
      const text = line.translateToString(length === undefined, 0, length);
      if (line.isWrapped && lines.length > 0) lines.push((lines.pop() ?? '') + text);
      else lines.push(text);
    }
    while (lines.at(-1)?.trim() === '') lines.pop();
    return lines;
  }

  find(text: string, direction: 'next' | 'previous', options: Omit<ISearchOptions, 'decorations'>): void {
    if (!this.#searching) {
      this.#searching = true;
      this.repaint();
    }
    const all = { ...options, decorations: searchColors(cssVariable) };
    if (direction === 'next') this.#search.findNext(text, all);
    else this.#search.findPrevious(text, all);
  }

  endFind(): void {
    this.#search.clearDecorations();
    this.#terminal.clearSelection();
    this.#searching = false;
    this.repaint();
  }

  /** The theme was changed. */
  repaint(): void {
    const { theme, ...contrast } = colors();
    // The current match is a selection, and the keyboard is in the search: its own colour, not that of what is forgotten.
    const match = this.#searching ? searchColors(cssVariable).activeMatchBackground : undefined;
    Object.assign(this.#terminal.options, {
      ...contrast,
      theme: { ...theme, ...(match && { selectionInactiveBackground: match }) },
    });
  }

  /** Takes the size of the place it is shown in, if it is shown. */
  fit(): void {
    cancelAnimationFrame(this.#fitting);
    this.#fitting = requestAnimationFrame(() => {
      if (this.element.offsetParent === null) return;
      // The typed line is taken away while lines are wrapped anew: it would not be found again.
      this.#enqueue({
        text: () => {
          this.#fit.fit();
          return '';
        },
      });
    });
  }

  [Symbol.dispose](): void {
    cancelAnimationFrame(this.#fitting);
    this.#observer.disconnect();
    this.#terminal.dispose();
    this.element.remove();
  }

  #restore(): string {
    this.#cursor = this.#mode.input;
    return restore(this.#terminal) + cursor(this.#cursor);
  }

  #enqueue(item: Item): void {
    // Nothing to take away first, and nothing to wait for: as fast as xterm.js takes it.
    if (!this.#busy && this.#line.isEmpty && typeof item.text === 'string') {
      this.#put(item.text, item.done);
      return;
    }
    this.#queue.push(item);
    void this.#work();
  }

  async #work(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    do {
      await this.#written(this.#eraseLine());
      const items = this.#queue;
      this.#queue = [];
      for (const { text, done } of items) {
        if (typeof text === 'string') {
          this.#put(text, done);
        } else {
          await this.#written('');
          this.#put(text(), done);
        }
      }
      await this.#drawLine();
    } while (this.#queue.length > 0);
    this.#busy = false;
  }

  #written(text: string): Promise<void> {
    return new Promise((resolve) => this.#put(text, resolve));
  }

  /** xterm.js takes things in by timers, behind whatever a busy window does: where there is nothing to take in, nothing waits for one. */
  #put(text: string, done?: () => void): void {
    if (text === '' && this.#untaken === 0) {
      done?.();
      return;
    }
    this.#untaken++;
    this.#terminal.write(text, () => {
      this.#untaken--;
      done?.();
    });
  }

  #redrawLine(): void {
    if (!this.#drawnLine && this.#line.isEmpty) return;
    this.#queue.push({ text: '' });
    void this.#work();
  }

  /** Where the cursor is after all that was written. The place stays the same when lines scroll away. */
  #position(): Position {
    return { line: this.#terminal.registerMarker(0), x: this.#terminal.buffer.active.cursorX };
  }

  #eraseLine(): string {
    if (!this.#drawnLine) return '';
    const { start, cursor } = this.#drawnLine;
    this.#drawnLine = undefined;
    const back = move(cursor, start, this.#terminal.cols);
    start.line.dispose();
    cursor.line.dispose();
    return `${back}\x1b[J`;
  }

  async #drawLine(): Promise<void> {
    if (this.#line.isEmpty) return;
    await this.#written('');
    const start = this.#position();
    await this.#written(this.#line.before);
    const cursor = this.#position();
    await this.#written(this.#line.after);
    const end = this.#position();
    await this.#written(this.#line.after === '' ? '' : move(end, cursor, this.#terminal.cols));
    end.line.dispose();
    this.#drawnLine = { start, cursor };
  }

  #typed(data: string): void {
    if (!this.#mode.input) return;
    if (this.#mode.tty) {
      this.#events.input(data);
      return;
    }
    let lines = '';
    for (const edit of this.#line.feed(data)) {
      if (edit.type === 'line') {
        // Lines that are sent together stay on the screen in the order in which they were typed.
        this.#queue.push({ text: `${plain(edit.text)}\r\n` });
        lines += `${edit.text}\n`;
      } else if (edit.type === 'interrupt') {
        this.#line.clear();
        this.#queue.push({ text: '^C\r\n' });
        this.#events.interrupt();
      } else if (edit.type === 'eof') {
        this.#events.eof();
      }
    }
    if (lines !== '') this.#events.input(lines);
    this.#redrawLine();
    void this.#work();
  }

  /** A program that has asked for it is told where a paste begins and ends; nothing that is pasted may end it. */
  #paste(event: ClipboardEvent): void {
    event.preventDefault();
    event.stopPropagation();
    const text = event.clipboardData?.getData('text/plain') ?? '';
    this.#terminal.paste(this.#terminal.modes.bracketedPasteMode ? text.replaceAll('\x1b', '␛') : text);
  }

  #onKey(event: KeyboardEvent): boolean {
    const { terminal, use } = { terminal: this.#terminal, use: this.#useOf(event) };
    if (use === 'program') return true;
    if (use === 'outside') return false;
    if (event.type !== 'keydown') return false;
    // The editor around the page would do its own with it.
    event.preventDefault();
    event.stopPropagation();
    if (use === 'selectAll') terminal.selectAll();
    else if (use === 'lineUp') terminal.scrollLines(-1);
    else if (use === 'lineDown') terminal.scrollLines(1);
    else if (use === 'pageUp') terminal.scrollPages(-1);
    else if (use === 'pageDown') terminal.scrollPages(1);
    else if (use === 'top') terminal.scrollToTop();
    else if (use === 'bottom') terminal.scrollToBottom();
    else this.#events.key(use);
    return false;
  }

  #useOf(event: KeyboardEvent): KeyUse {
    return useOf(event, {
      mac: MAC,
      selection: this.#terminal.hasSelection(),
      ...this.#mode,
      fullScreen: this.#mode.tty && this.#mode.input && this.#terminal.buffer.active.type === 'alternate',
    });
  }

  /** @param row counted from 1 on, as xterm.js does */
  #sourceLinks(row: number) {
    const { active } = this.#terminal.buffer;
    const around = linesAround(active, row - 1);
    return sourceLinks(around.text).map((link) => ({
      text: around.text.slice(link.start, link.end),
      range: rangeOf(around, link.start, link.end),
      activate: (event: MouseEvent) => follow(event, () => this.#events.openSource(link)),
      hover: () => this.#events.hover(t('Open {0}, line {1}', link.path, link.line)),
      leave: () => this.#events.hover(undefined),
    }));
  }
}

/** A place on the screen; `x` is as wide as the screen when the next character goes to the next line. */
interface Position {
  line: IMarker;
  x: number;
}

/** xterm.js tells of clicks with every button; the others open menus, or paste. */
function follow({ button }: MouseEvent, action: () => void): void {
  if (button === 0) action();
}

function cursor(shown: boolean): string {
  return shown ? '\x1b[?25h' : '\x1b[?25l';
}

/** The sequence that moves the cursor back from one place to an earlier one. */
function move(from: Position, to: Position, cols: number): string {
  const wrapped = to.x >= cols;
  const up = from.line.line - to.line.line - (wrapped ? 1 : 0);
  const x = wrapped ? 0 : to.x;
  return `${up > 0 ? `\x1b[${up}A` : ''}\r${x > 0 ? `\x1b[${x}C` : ''}`;
}

function look(settings: ConsoleSettings): ITerminalOptions {
  const { fontFamily, fontSize, lineHeight, scrollback, cursorBlink, cursorStyle, screenReader } = settings;
  return {
    fontFamily,
    fontSize,
    lineHeight,
    scrollback,
    cursorStyle,
    cursorBlink: cursorBlink && !matchMedia('(prefers-reduced-motion: reduce)').matches,
    screenReaderMode: screenReader,
    ...colors(),
  };
}

function colors(): ITerminalOptions {
  return { theme: themeOf(cssVariable), minimumContrastRatio: contrastOf(document.body.className) };
}
