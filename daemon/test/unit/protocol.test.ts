import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import {
  CHANNEL,
  CodeRunnerError,
  decodeFrame,
  ERRORS,
  encodeFrame,
  formatBytes,
  formatDuration,
  parseBytes,
  parseDuration,
} from '../../src/protocol/index.ts';
import { VERSION } from '../../src/version.ts';

describe('binary frames', () => {
  it('come back as they were sent', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(CHANNEL)),
        fc.nat({ max: 0xffff_ffff }),
        fc.nat({ max: Number.MAX_SAFE_INTEGER }),
        fc.uint8Array(),
        (channel, handle, seq, data) => {
          const frame = decodeFrame(encodeFrame({ channel, handle, seq, data }));
          assert.deepEqual(frame && { ...frame, data: [...frame.data] }, { channel, handle, seq, data: [...data] });
        },
      ),
    );
  });

  it('are refused when they are garbage, never misread', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const frame = decodeFrame(bytes);
        if (bytes.length < 13 || (bytes[0] ?? 0) > 2) assert.equal(frame, undefined);
        else if (frame) assert.deepEqual([...encodeFrame(frame)], [...bytes]);
      }),
    );
  });
});

describe('sizes and times', () => {
  const cases: [string, number | undefined][] = [
    ['256MiB', 256 * 2 ** 20],
    ['64k', 64 * 1024],
    ['1.5 GB', 1.5e9],
    ['1TiB', 2 ** 40],
    ['1000', 1000],
    ['0', 0],
    ['-1', undefined],
    ['1e308', undefined],
    ['NaN', undefined],
    ['', undefined],
    ['5 parsecs', undefined],
    ['99999999999999999999', undefined],
  ];
  for (const [text, bytes] of cases) {
    it(`reads "${text}" as ${bytes === undefined ? 'no size' : `${bytes} bytes`}`, () =>
      assert.equal(parseBytes(text), bytes));
  }

  it('reads durations', () => {
    assert.equal(parseDuration('30s'), 30_000);
    assert.equal(parseDuration('500ms'), 500);
    assert.equal(parseDuration('5min'), 300_000);
    assert.equal(parseDuration('1500'), 1_500);
    assert.equal(parseDuration('soon'), undefined);
    assert.equal(parseDuration('-5s'), undefined);
  });

  it('writes them for people', () => {
    assert.equal(formatBytes(512), '512 B');
    assert.equal(formatBytes(1536), '1.5 KiB');
    assert.equal(formatBytes(256 * 2 ** 20), '256 MiB');
    assert.equal(formatDuration(4.53), '4.5 ms');
    assert.equal(formatDuration(1200), '1.2 s');
    assert.equal(formatDuration(185_000), '3 min 5 s');
    assert.equal(formatDuration(3_600_000), '1 h');
  });
});

describe('errors', () => {
  it('cross the wire with code, sentence and way out', () => {
    const error = new CodeRunnerError('queue_full', 'Full.', { details: { waiting: 3 } });
    const back = CodeRunnerError.from(JSON.parse(JSON.stringify(error)));
    assert.deepEqual(
      [back.code, back.message, back.hint, back.details, back.status],
      ['queue_full', 'Full.', ERRORS.queue_full.hint, { waiting: 3 }, 429],
    );
  });

  it('of a newer daemon are still errors', () => {
    assert.equal(CodeRunnerError.from({ code: 'from_the_future' as never, message: 'New.' }).code, 'internal');
    assert.equal(CodeRunnerError.from({}).code, 'internal');
  });

  it('all offer a way out', () => {
    for (const [code, { hint }] of Object.entries(ERRORS)) assert.match(hint, /\S{3}.*\.$/, code);
  });
});

describe('the version', () => {
  it('is the one of package.json', () => {
    const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    assert.equal(VERSION, manifest.version);
  });
});
