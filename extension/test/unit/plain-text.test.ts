import assert from 'node:assert/strict';
import { PlainText } from '../../src/views/plain-text.ts';

/** What is added, piece by piece, and at the end. */
function shown(...pieces: string[]): string[] {
  const plain = new PlainText();
  return [...pieces.map((piece) => plain.write(piece)), plain.end()];
}

describe('The output channel', () => {
  it('has text as it comes, also a question that ends no line', () => {
    assert.deepEqual(shown('one\r\ntwo\n', 'Name? '), ['one\ntwo\n', 'Name? ', '']);
  });

  it('has no colours, also where a sequence was cut apart', () => {
    assert.deepEqual(shown('\x1b[3', '1mred\x1b', '[0m', '\x1b]0;title\x07.'), ['', 'red', '', '.', '']);
  });

  it('has the last state of a line that was drawn over, however it was cut apart', () => {
    assert.equal(shown('\r10 %', '\r20 %\r', '30 %', '\r\nDone.\n').join(''), '30 %\nDone.\n');
    assert.equal(shown('10 %\r20 %\r30 %\n').join(''), '30 %\n');
  });

  it('leaves on a line of its own what was shown before it was drawn over', () => {
    assert.equal(shown('Loading', '\rLoaded', '\n').join(''), 'Loading\nLoaded\n');
  });

  it('has the last state also where the program ends without ending the line', () => {
    assert.deepEqual(shown('\r10 %', '\r20 %'), ['', '', '20 %']);
  });

  it('takes a line end for one that was cut in the middle', () => {
    assert.equal(shown('one\r', '\ntwo\r', '\n').join(''), 'one\ntwo\n');
  });
});
