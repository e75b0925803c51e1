import assert from 'node:assert/strict';
import fc from 'fast-check';
import { LineEditor } from '../../src/line-editor.ts';

const KEYS = {
  '⏎': '\r',
  '⌫': '\x7f',
  '⌦': '\x1b[3~',
  '←': '\x1b[D',
  '→': '\x1b[C',
  '⇤': '\x1b[H',
  '⇥': '\x1b[F',
  '↑': '\x1b[A',
  '↓': '\x1b[B',
  '^W': '\x17',
  '^U': '\x15',
  '^K': '\x0b',
  '⌥←': '\x1bb',
};

/** Types keys one after the other; spaces only part them. @returns the line with `|` for the cursor */
function type(editor: LineEditor, ...keys: string[]): string {
  for (const key of keys) editor.feed(KEYS[key as keyof typeof KEYS] ?? key);
  return `${editor.before}|${editor.after}`;
}

describe('The line that is typed for a program without a terminal', () => {
  const cases: [keys: string[], line: string][] = [
    [['abc'], 'abc|'],
    [['abc', '⌫'], 'ab|'],
    [['⌫'], '|'],
    [['abc', '←', '←', 'x'], 'ax|bc'],
    [['abc', '⇤', '⌦', '⇥', '→'], 'bc|'],
    [['one two', '^W'], 'one |'],
    [['one two', '⌥←', 'x'], 'one x|two'],
    [['one two', '⌥←', '^K'], 'one |'],
    [['one two', '⌥←', '^U'], '|two'],
    [['e\u0301', '⌫'], '|'],
    [['👩‍👩‍👧b', '←', '←', 'a'], 'a|👩‍👩‍👧b'],
    [['\x1b[15~', '\x1b[200~'], '|'],
  ];
  for (const [keys, line] of cases)
    it(`is ${line} after ${JSON.stringify(keys)}`, () => assert.equal(type(new LineEditor(), ...keys), line));

  it('leaves when it is complete, all of it, wherever the cursor is', () => {
    const editor = new LineEditor();
    type(editor, 'abc', '←');
    assert.deepEqual(editor.feed('\r'), [{ type: 'line', text: 'abc' }]);
    assert.ok(editor.isEmpty);
  });

  it('ends the input only when it is empty', () => {
    const editor = new LineEditor();
    assert.deepEqual(editor.feed('\x04'), [{ type: 'eof' }]);
    type(editor, 'a');
    assert.deepEqual(editor.feed('\x04'), []);
  });

  it('comes back with the arrow keys, the unsent one last', () => {
    const editor = new LineEditor();
    type(editor, 'one', '⏎', 'two', '⏎', '⏎', 'thr');
    assert.equal(type(editor, '↑'), 'two|');
    assert.equal(type(editor, '↑', '↑'), 'one|');
    assert.equal(type(editor, '↓', '↓'), 'thr|');
  });

  it('sends every line of a paste, with nothing lost and nothing that is not text', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' })), fc.constantFrom('\n', '\r', '\r\n'), (lines, end) => {
        const editor = new LineEditor();
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        const clean = lines.map((line) => line.replace(/[\x00-\x1f\x7f-\x9f]/g, ''));
        const edits = editor.feed(`-${clean.map((line) => line + end).join('')}\x07last`);
        const sent = edits.flatMap((edit) => (edit.type === 'line' ? [edit.text] : []));
        const [first = '', ...rest] = clean;
        assert.deepEqual(sent, clean.length === 0 ? [] : [`-${first}`, ...rest]);
        assert.equal(editor.before, clean.length === 0 ? '-last' : 'last');
      }),
    );
  });
});
