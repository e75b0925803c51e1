/**
 * The line that is being typed, for a program without a terminal: nothing on its side would echo or edit it. Keys arrive as a
 * terminal sends them; only complete lines leave. Knows nothing of the screen.
 */

/** What happened to the line. */
export type Edit =
  | { type: 'changed' }
  /** A complete line, without its end. */
  | { type: 'line'; text: string }
  /** Ctrl-D on an empty line. */
  | { type: 'eof' }
  /** Ctrl-C. */
  | { type: 'interrupt' };

const MAX_HISTORY = 100;
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

export class LineEditor {
  #before = '';
  #after = '';
  #history: string[] = [];
  /** Which line of the history is shown; its length is the new one. */
  #recalled = 0;
  /** The new line, while an older one is shown. */
  #unsent = '';

  /** Left of the cursor. */
  get before(): string {
    return this.#before;
  }

  /** Right of it. */
  get after(): string {
    return this.#after;
  }

  get isEmpty(): boolean {
    return this.#before === '' && this.#after === '';
  }

  /** Forgets the line; lines that were sent can still be recalled. */
  clear(): void {
    this.#set('');
    this.#recalled = this.#history.length;
  }

  /** @param data a key's sequence, or text of any length */
  feed(data: string): Edit[] {
    if (data === '\x03') return [{ type: 'interrupt' }];
    if (data === '\x04') return this.isEmpty ? [{ type: 'eof' }] : [];
    const key = LineEditor.#keys[data];
    if (key) {
      key(this);
      return [{ type: 'changed' }];
    }
    // Any other sequence is a key that edits nothing.
    if (data.startsWith('\x1b')) return [];
    const [first = '', ...rest] = data.split(/\r\n|\r|\n/);
    const edits: Edit[] = [];
    this.#insert(first);
    for (const next of rest) {
      edits.push(this.#enter());
      this.#insert(next);
    }
    if (first !== '' || rest.at(-1)) edits.push({ type: 'changed' });
    return edits;
  }

  #insert(text: string): void {
    // Control characters of a paste would not be text; a tab is.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    this.#before += text.replace(/[\x00-\x08\x0a-\x1f\x7f-\x9f]/g, '');
  }

  #enter(): Edit {
    const text = this.#before + this.#after;
    if (text !== '' && text !== this.#history.at(-1)) this.#history.push(text);
    if (this.#history.length > MAX_HISTORY) this.#history.shift();
    this.clear();
    return { type: 'line', text };
  }

  #set(text: string): void {
    this.#before = text;
    this.#after = '';
  }

  #recall(step: -1 | 1): void {
    const index = this.#recalled + step;
    if (index < 0 || index > this.#history.length) return;
    if (this.#recalled === this.#history.length) this.#unsent = this.#before + this.#after;
    this.#recalled = index;
    this.#set(this.#history[index] ?? this.#unsent);
  }

  #eraseBack(length: number): void {
    this.#before = this.#before.slice(0, this.#before.length - length);
  }

  #move(by: number): void {
    const at = this.#before.length + by;
    const text = this.#before + this.#after;
    this.#before = text.slice(0, at);
    this.#after = text.slice(at);
  }

  static readonly #keys: Record<string, (editor: LineEditor) => void> = {
    // Backspace, Ctrl-H
    '\x7f': (editor) => editor.#eraseBack(lastGrapheme(editor.#before)),
    '\b': (editor) => editor.#eraseBack(lastGrapheme(editor.#before)),
    // Ctrl-W, Alt-Backspace
    '\x17': (editor) => editor.#eraseBack(lastWord(editor.#before)),
    '\x1b\x7f': (editor) => editor.#eraseBack(lastWord(editor.#before)),
    // Ctrl-U, Ctrl-K, Delete
    '\x15': (editor) => editor.#eraseBack(editor.#before.length),
    '\x0b': (editor) => {
      editor.#after = '';
    },
    '\x1b[3~': (editor) => {
      editor.#after = editor.#after.slice(firstGrapheme(editor.#after));
    },
    '\x1b[D': (editor) => editor.#move(-lastGrapheme(editor.#before)),
    '\x1b[C': (editor) => editor.#move(firstGrapheme(editor.#after)),
    // Ctrl or Alt with an arrow
    '\x1b[1;5D': (editor) => editor.#move(-lastWord(editor.#before)),
    '\x1bb': (editor) => editor.#move(-lastWord(editor.#before)),
    '\x1b[1;5C': (editor) => editor.#move(firstWord(editor.#after)),
    '\x1bf': (editor) => editor.#move(firstWord(editor.#after)),
    // Home, Ctrl-A; End, Ctrl-E
    '\x1b[H': (editor) => editor.#move(-editor.#before.length),
    '\x01': (editor) => editor.#move(-editor.#before.length),
    '\x1b[F': (editor) => editor.#move(editor.#after.length),
    '\x05': (editor) => editor.#move(editor.#after.length),
    // Up, Down
    '\x1b[A': (editor) => editor.#recall(-1),
    '\x1b[B': (editor) => editor.#recall(1),
  };
}

function lastGrapheme(text: string): number {
  // A grapheme is short: no need to segment a long line for its last one.
  return [...graphemes.segment(text.slice(-64))].at(-1)?.segment.length ?? 0;
}

function firstGrapheme(text: string): number {
  return [...graphemes.segment(text.slice(0, 64))][0]?.segment.length ?? 0;
}

function lastWord(text: string): number {
  return /\S*\s*$/.exec(text)?.[0].length ?? 0;
}

function firstWord(text: string): number {
  return /^\s*\S*/.exec(text)?.[0].length ?? 0;
}
