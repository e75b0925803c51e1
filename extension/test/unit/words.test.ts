import assert from 'node:assert/strict';
import fc from 'fast-check';
import { expandBraces } from '../../src/run/ignore-rules.ts';
import { quote, splitArguments } from '../../src/run/words.ts';

describe('Arguments on one line', () => {
  it('are split as a shell does it', () => {
    for (const [line, words] of [
      ['', []],
      ['a  b', ['a', 'b']],
      ['--name "Ada Lovelace"', ['--name', 'Ada Lovelace']],
      [`'it''s' "a\\"b" c\\ d`, ['its', 'a"b', 'c d']],
      [`'\\n' "" x""y`, ['\\n', '', 'xy']],
      ['a "b', undefined],
    ] as const)
      assert.deepEqual(splitArguments(line), words, line);
  });

  it('come back as they were', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (words) => {
        assert.deepEqual(splitArguments(words.map(quote).join(' ')), words);
      }),
    );
  });
});

describe('Globs with braces', () => {
  it('stand for each of what is in them', () => {
    for (const [glob, globs] of [
      ['a', ['a']],
      ['*.{py,js}', ['*.py', '*.js']],
      ['{a,b{1,2}}/c', ['a/c', 'b1/c', 'b2/c']],
      ['{a}{b,c}', ['ab', 'ac']],
      ['{a,b', ['{a,b']],
    ] as const)
      assert.deepEqual(expandBraces(glob), globs, glob);
  });
});
