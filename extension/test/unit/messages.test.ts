import assert from 'node:assert/strict';
import fc from 'fast-check';
import { MAX_INPUT_CHARS, parseFromPage } from '../../src/console/messages.ts';

describe('A message of the console’s page', () => {
  it('is taken as it is where it makes sense', () => {
    for (const message of [
      { type: 'ready' },
      { type: 'ack', run: 1, seq: 0 },
      { type: 'input', run: 1, data: 'x\r' },
      { type: 'resize', rows: 24, cols: 80 },
      { type: 'openFile', run: 3, path: 'main.py', line: 3, column: 1 },
    ])
      assert.equal(parseFromPage(message), message);
  });

  it('is refused, saying why, where it does not', () => {
    for (const [message, why] of [
      [null, /not a message/],
      ['ready', /not a message/],
      [{ type: 'run', command: 'rm -rf /' }, /unknown kind/],
      [{ type: 'constructor' }, /unknown kind/],
      [{ type: '__proto__' }, /unknown kind/],
      [{ type: 'ack', run: 1 }, /wrong "seq"/],
      [{ type: 'ack', run: 1, seq: -1 }, /wrong "seq"/],
      [{ type: 'ack', run: 1, seq: 1.5 }, /wrong "seq"/],
      [{ type: 'ready', extra: 1 }, /unknown field "extra"/],
      [{ type: 'signal', run: 1, signal: 'SIGSTOP' }, /wrong "signal"/],
      [{ type: 'resize', rows: 0, cols: 80 }, /wrong "rows"/],
      [{ type: 'input', run: 1, data: 'x'.repeat(MAX_INPUT_CHARS + 1) }, /wrong "data"/],
    ] as const) {
      const parsed = parseFromPage(message);
      assert.equal(typeof parsed, 'string', JSON.stringify(message)?.slice(0, 80));
      assert.match(parsed as string, why);
    }
  });

  it('never throws, whatever it is', () => {
    fc.assert(fc.property(fc.anything(), (value) => ['string', 'object'].includes(typeof parseFromPage(value))));
  });
});
