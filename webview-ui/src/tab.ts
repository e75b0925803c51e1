/** A tab: its program's run as the extension tells it, and its screen. */
import type { ConsoleSettings, RunView, Tab } from '../../extension/src/console/messages.ts';
import { MAX_INPUT_CHARS } from '../../extension/src/console/messages.ts';
import { wordsOf } from './format.ts';
import { post, remember, remembered } from './host.ts';
import { number, t } from './l10n.ts';
import type { SourceLink } from './links.ts';
import { Screen, type ScreenEvents } from './screen.ts';

/** Acknowledged at least this often, and whenever nothing is left to draw. */
const ACK_BYTES = 64 * 1024;
/** Where it is scrolled to is remembered once that has stayed the same for so long. */
const SCROLLED_MS = 100;

export interface TabEvents extends Pick<ScreenEvents, 'key' | 'hover' | 'found'> {
  /** What the header shows has changed. */
  changed(): void;
}

export class TabView {
  readonly screen: Screen;
  #tab: Tab;
  #settings: ConsoleSettings;
  #decoders = decoders();
  /** Offset after the last byte that is on the screen, after the last one that was given to it, and the last that was acknowledged. */
  #drawn = 0;
  #given = 0;
  #acknowledged = 0;
  /** What comes before this offset has been shown before; undefined when that is over. */
  #replayTo: number | undefined;
  /** When so much is drawn, it is scrolled to where it was before the page was loaded again. */
  #scrollAt: number | undefined;
  #scrolling: number | undefined;
  #events: TabEvents;
  /** When the program started, on this page's clock. */
  #startedAt: number | undefined;

  constructor(container: HTMLElement, tab: Tab, settings: ConsoleSettings, events: TabEvents) {
    this.#tab = tab;
    this.#settings = settings;
    this.#events = events;
    this.screen = new Screen(container, settings, {
      ...events,
      input: (data) => this.#send(data),
      interrupt: () => post({ type: 'signal', run: this.run.id, signal: 'SIGINT' }),
      eof: () => post({ type: 'eof', run: this.run.id }),
      resized: (rows, cols) => post({ type: 'resize', tab: this.id, rows, cols }),
      openSource: (link) => this.openSource(link),
      openUrl: (url) => post({ type: 'openUrl', url }),
      drawn: () => this.#onDrawn(),
      scrolled: () => this.#onScrolled(),
    });
    this.#begin();
  }

  get id(): number {
    return this.#tab.id;
  }

  get title(): string {
    return this.#tab.title;
  }

  get description(): string {
    return this.#tab.description;
  }

  get run(): RunView {
    return this.#tab.run;
  }

  /** Milliseconds that the program has run; undefined before it does. */
  get elapsedMs(): number | undefined {
    if (this.run.elapsedMs === null) return undefined;
    return this.run.ended || this.#startedAt === undefined ? this.run.elapsedMs : performance.now() - this.#startedAt;
  }

  /** @returns what should be announced: nothing where nothing new is to be said */
  update(tab: Tab): string | undefined {
    const before = this.run;
    this.#tab = tab;
    if (tab.run.id !== before.id) {
      this.#scrollAt = undefined;
      this.#begin();
    } else this.#connect();
    return tab.run.id === before.id && wordsOf(tab.run) === wordsOf(before) ? undefined : this.news;
  }

  /** How its run is doing, in words to be announced. */
  get news(): string {
    return `${this.title}: ${wordsOf(this.run)}`;
  }

  set settings(settings: ConsoleSettings) {
    this.#settings = settings;
    this.screen.settings = settings;
  }

  /** What the program printed before `to` is given a second time. */
  replay(to: number): void {
    this.#replayTo = this.#scrollAt = to;
    this.screen.answer(false);
  }

  output(channel: 'stdout' | 'stderr', seq: number, data: Uint8Array): void {
    const run = this.run.id;
    const end = seq + data.length;
    if (this.#replayTo !== undefined && seq >= this.#replayTo) {
      this.#replayTo = undefined;
      this.screen.answer(true);
    }
    this.#given = end;
    this.screen.write(this.#decoders[channel].decode(data, { stream: true }), () => this.#acknowledge(run, end));
  }

  gap(from: number, to: number): void {
    this.#decoders = decoders();
    this.screen.notice(t('{0} bytes of output were not kept', number(to - from)));
    this.#given = to;
    const run = this.run.id;
    this.screen.write('', () => this.#acknowledge(run, to));
  }

  clear(): void {
    this.screen.clear(this.run.ended);
    this.#events.changed();
  }

  openSource({ path, line, column }: SourceLink): void {
    post({ type: 'openFile', run: this.run.id, path, line, ...(column !== undefined && { column }) });
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#scrolling);
    this.screen[Symbol.dispose]();
  }

  /** Another run has taken the tab. */
  #begin(): void {
    this.#decoders = decoders();
    this.#drawn = this.#given = this.#acknowledged = 0;
    this.#replayTo = undefined;
    this.#startedAt = undefined;
    this.screen.beginRun(this.#settings.clearBeforeRun);
    this.screen.answer(true);
    this.#connect();
  }

  #connect(): void {
    const { acceptsInput, ended, tty, elapsedMs } = this.run;
    this.screen.connect({ tty, input: acceptsInput && !ended });
    this.#startedAt = elapsedMs === null ? undefined : performance.now() - elapsedMs;
    this.#onDrawn();
  }

  #send(data: string): void {
    for (let at = 0; at < data.length; at += MAX_INPUT_CHARS)
      post({ type: 'input', run: this.run.id, data: data.slice(at, at + MAX_INPUT_CHARS) });
  }

  #acknowledge(run: number, end: number): void {
    if (run !== this.run.id) return;
    this.#drawn = end;
    if (this.#scrollAt !== undefined && end >= this.#scrollAt) this.#scrollBack();
    if (this.#drawn - this.#acknowledged < ACK_BYTES && this.#drawn < this.#given) return;
    this.#acknowledged = this.#drawn;
    post({ type: 'ack', run, seq: this.#drawn });
  }

  #scrollBack(): void {
    this.#scrollAt = undefined;
    this.screen.scrolledUp = remembered().scrolled[this.description] ?? 0;
  }

  #onScrolled(): void {
    if (this.#scrollAt !== undefined) return;
    clearTimeout(this.#scrolling);
    this.#scrolling = setTimeout(() => {
      const { [this.description]: before, ...others } = remembered().scrolled;
      const now = this.screen.scrolledUp;
      if (now !== (before ?? 0)) remember({ scrolled: now === 0 ? others : { ...others, [this.description]: now } });
    }, SCROLLED_MS);
  }

  #onDrawn(): void {
    if (this.run.ended && this.#drawn === this.#given) this.screen.endRun();
  }
}

/** The channels are cut apart anywhere: each has its own half of a character. */
function decoders() {
  return { stdout: new TextDecoder(), stderr: new TextDecoder() };
}
