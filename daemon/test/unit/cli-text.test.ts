/** Small pieces of the command line that are easier to look at alone. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { unfinished } from '../../src/cli/json-lines.ts';
import { table } from '../../src/cli/output.ts';

describe('the end of a piece of output', () => {
  it('is held back exactly where it begins a character that goes on', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), fc.nat(), (text, at) => {
        const all = Buffer.from(text);
        const first = all.subarray(0, at % (all.length + 1));
        const whole = first.subarray(0, first.length - unfinished(first));
        assert.ok(!whole.toString().includes('\ufffd') || text.includes('\ufffd'));
        assert.ok(first.length - whole.length <= 3);
        assert.equal(Buffer.concat([whole, all.subarray(whole.length)]).toString(), text);
      }),
    );
  });

  it('is not held back where it is no text', () => {
    for (const bytes of [[0xff], [0x61, 0xfe], [0x80, 0x80], [0xc0], [0xc3, 0xa9]])
      assert.equal(unfinished(Uint8Array.from(bytes)), 0, `${bytes}`);
  });
});

describe('a table', () => {
  it('has columns as wide as what is in them, whatever its colour', () => {
    assert.equal(
      table(
        ['A', 'LONG'],
        [
          ['\x1b[31mred\x1b[39m', 'x'],
          ['', 'y'],
        ],
      ),
      'A    LONG\n\x1b[31mred\x1b[39m  x\n     y',
    );
  });
});
