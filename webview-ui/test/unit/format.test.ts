import assert from 'node:assert/strict';
import { END_STATES, LIVE_STATES } from '@coderunner/daemon/protocol';
import type { Phase } from '../../../extension/src/console/messages.ts';
import { duration, exactDuration, lookOf, measuresOf, size, wordsOf } from '../../src/format.ts';
import { setLanguage } from '../../src/l10n.ts';
import { ended, running } from '../console-page.ts';

const PHASES: Phase[] = ['collecting', 'connecting', 'building', ...LIVE_STATES, ...END_STATES];

describe('What the line above the terminal says', () => {
  afterEach(() => setLanguage('en', {}));

  it('counts tenths of seconds, then seconds, then minutes and hours', () => {
    const times = [0, 990, 9_999, 10_000, 59_999, 60_000, 3_599_999, 3_661_000];
    assert.deepEqual(times.map(duration), ['0.0 s', '0.9 s', '9.9 s', '10 s', '59 s', '1:00', '59:59', '1:01:01']);
  });

  it('is exact about what a program took', () => {
    assert.deepEqual([0.4, 310, 1_240, 61_000].map(exactDuration), ['0 ms', '310 ms', '1.24 s', '1:01']);
  });

  it('counts bytes as limits do', () => {
    const sizes = [0, 1_023, 1_024, 1_740, 23 * 1024 ** 2, 1_023 * 1024 ** 2, 5 * 1024 ** 4];
    assert.deepEqual(sizes.map(size), ['0 bytes', '1,023 bytes', '1.0 KiB', '1.7 KiB', '23 MiB', '1.0 GiB', '5.0 TiB']);
  });

  it('leaves out what is not known', () => {
    assert.deepEqual(measuresOf(running()), []);
    assert.deepEqual(measuresOf(ended()), ['exit code 0', 'CPU 310 ms', 'memory 23 MiB']);
    assert.deepEqual(measuresOf(ended({ exitCode: null, signal: 'SIGSEGV', cpuMs: null })), [
      'SIGSEGV',
      'memory 23 MiB',
    ]);
  });

  for (const phase of PHASES)
    it(`has words and an icon for "${phase}"`, () => {
      assert.match(wordsOf({ phase, message: null }), /^[A-Z][a-z ,:]+$/i);
      assert.notEqual(lookOf({ phase, ended: true }).tone, 'busy', 'nothing turns after the end');
    });

  it('prefers the sentence that came with the run, as a heading', () => {
    const message = 'Stopped: used more than 256 MB of memory.';
    assert.equal(wordsOf({ phase: 'out_of_memory', message }), 'Stopped: used more than 256 MB of memory');
  });

  it('speaks the language of the window', () => {
    setLanguage('de', { Running: 'Läuft', 'exit code {0}': 'Exit-Code {0}' });
    assert.equal(wordsOf({ phase: 'running', message: null }), 'Läuft');
    assert.deepEqual(measuresOf(ended({ cpuMs: null, peakMemoryBytes: 1_740 })), ['Exit-Code 0', 'memory 1,7 KiB']);
  });
});
