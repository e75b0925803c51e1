import assert from 'node:assert/strict';
import fc from 'fast-check';
import { csv } from '../../src/csv.ts';

describe('a table as CSV', () => {
  it('quotes what would be read as something else, and leaves empty what is not there', () => {
    const rows = [
      ['1', 'plain'],
      ['2', 'a "quote", a comma'],
      ['3', 'two\nlines'],
      [null, ''],
    ];
    const expected = ['id,name', '1,plain', '2,"a ""quote"", a comma"', '3,"two\nlines"', ',""', ''];
    assert.equal(csv(['id', 'name'], rows), expected.join('\r\n'));
  });

  it('can be read back, whatever is in it', () => {
    const value = fc.option(fc.string({ unit: fc.constantFrom('a', 'ü', '"', ',', '\r', '\n', ' ') }), { nil: null });
    fc.assert(
      fc.property(fc.array(fc.array(value, { minLength: 2, maxLength: 2 })), (rows) => {
        assert.deepEqual(read(csv(['a', 'b'], rows)), [['a', 'b'], ...rows]);
      }),
    );
  });
});

/** The plainest reader of RFC 4180 that there is. */
function read(text: string): (string | null)[][] {
  const rows: (string | null)[][] = [];
  let row: (string | null)[] = [];
  for (const [, quoted, plain = '', end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,"\r\n]*))(,|\r\n)/g)) {
    row.push(quoted !== undefined ? quoted.replaceAll('""', '"') : plain === '' ? null : plain);
    if (end === ',') continue;
    rows.push(row);
    row = [];
  }
  return rows;
}
