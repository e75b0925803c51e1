/** What a terminal would show, for a place where text can only be added. */
import { stripVTControlCharacters } from 'node:util';

/** The beginning of an escape sequence, or of `\r\n`, at the end of a text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNFINISHED = /(?:\r|\x1b(?:\[[\d;:<=>?]*|\][^\x07\x1b]*\x1b?)?)$/;
/** No sequence is longer; what only looks like the beginning of one is text. */
const LONGEST_SEQUENCE = 4_096;

/** Without colours; and of a line that is drawn over and over, as progress bars do, only the last state, once the line ends. */
export class PlainText {
  #held = '';
  /** Whether something of the present line has been given out. */
  #begun = false;
  /** How the present line looks by now, since it is drawn over. */
  #redrawn: string | undefined;

  /** @returns what of it can be added by now */
  write(text: string): string {
    const all = this.#held + text;
    const at = UNFINISHED.exec(all)?.index ?? all.length;
    const end = all.length - at > LONGEST_SEQUENCE ? all.length : at;
    this.#held = all.slice(end);
    const [first = '', ...others] = stripVTControlCharacters(all.slice(0, end)).replaceAll('\r\n', '\n').split('\n');
    return this.#draw(first) + others.map((line) => this.#endLine() + this.#draw(line)).join('');
  }

  /** @returns what was held back so far: nothing more will come */
  end(): string {
    this.#held = '';
    return this.#finish();
  }

  #draw(text: string): string {
    const drawn = text.includes('\r') || this.#redrawn !== undefined;
    if (!drawn) {
      this.#begun ||= text !== '';
      return text;
    }
    const states = `${this.#redrawn ?? ''}${text}`.split('\r');
    this.#redrawn = states.findLast((state) => state !== '') ?? '';
    return '';
  }

  #endLine(): string {
    const rest = this.#finish();
    this.#begun = false;
    return `${rest}\n`;
  }

  #finish(): string {
    const redrawn = this.#redrawn;
    this.#redrawn = undefined;
    return redrawn === undefined ? '' : `${this.#begun ? '\n' : ''}${redrawn}`;
  }
}
