/** Every state of the console, in each kind of theme. The pictures are kept for people; what is checked is what they must say. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { Browser } from 'playwright-core';
import type { RunView } from '../../../extension/src/console/messages.ts';
import { launchBrowser } from '../../../extension/test/harness/window.ts';
import { ConsolePage, ended, running, THEMES, tab } from '../console-page.ts';

const COLORS = Array.from({ length: 16 }, (_, color) => `\x1b[${color < 8 ? 30 + color : 82 + color}m■ ${color}`).join(
  ' ',
);
const PROGRAM = `\x1b[1mTraining\x1b[0m on 3 files\r\n${COLORS}\x1b[0m
\r\x1b[32m████████████████████\x1b[90m░░░░░░░░░░\x1b[0m  67 % 1,340/2,000\r
┌────────┬────────┐\r\n│ name   │ height │\r\n├────────┼────────┤\r\n│ Mont B │  4,808 │\r\n└────────┴────────┘\r
naïve 日本語 👩‍👩‍👧 → https://example.com/docs\r\n`;
const TRACEBACK = `Traceback (most recent call last):\r
  File "/workspace/src/main.py", line 12, in <module>\r
    main()\r
  File "/workspace/src/main.py", line 8, in main\r
    print(1 / 0)\r
          ~~^~~\r
\x1b[1;35mZeroDivisionError\x1b[0m: \x1b[35mdivision by zero\x1b[0m\r\n`;
const PLOT = readFileSync(new URL('plot.png', import.meta.url));
const PLOT_FILES = [
  { path: 'plots/heights.png', sizeBytes: PLOT.length, sha256: 'a'.repeat(64) },
  { path: 'result.csv', sizeBytes: 12_345, sha256: 'b'.repeat(64) },
];

interface State {
  name: string;
  run: RunView;
  output?: string;
  /** What the line above the terminal says. */
  says: string[];
}

const STATES: State[] = [
  {
    name: 'building',
    run: running({ phase: 'building', elapsedMs: null, message: 'Building the Python image, step 4 of 11' }),
    says: ['Building the Python image, step 4 of 11'],
  },
  { name: 'running', run: running({ elapsedMs: 83_000 }), output: PROGRAM, says: ['Running', '1:2'] },
  {
    name: 'finished',
    run: ended(),
    output: PROGRAM,
    says: ['Finished', '1.24 s', 'exit code 0', 'CPU 310 ms', 'memory 23 MiB'],
  },
  { name: 'files', run: ended({ files: PLOT_FILES }), output: 'saved\r\n', says: ['Finished'] },
  {
    name: 'failed',
    run: ended({ phase: 'failed', exitCode: 1, problem: { path: 'src/main.py', line: 8 } }),
    output: TRACEBACK,
    says: ['Failed', 'Problem in line 8'],
  },
  {
    name: 'out-of-memory',
    run: ended({
      phase: 'out_of_memory',
      exitCode: null,
      signal: 'SIGKILL',
      message: 'Stopped: used more than 256 MB',
      hint: 'The limit is set by "coderunner.limits.memory".',
      actions: [
        { id: 'a', label: 'Run with 512 MB' },
        { id: 'b', label: 'Open Settings' },
      ],
    }),
    output: 'loading…\r\n',
    says: ['Stopped: used more than 256 MB', 'SIGKILL'],
  },
  {
    name: 'no-engine',
    run: ended({
      phase: 'connecting',
      elapsedMs: null,
      exitCode: null,
      cpuMs: null,
      peakMemoryBytes: null,
      message: 'No container engine answers.',
      hint: 'Docker is installed, but not started.',
      actions: [
        { id: 'a', label: 'Start Docker' },
        { id: 'b', label: 'Show the Report' },
      ],
    }),
    says: ['No container engine answers'],
  },
];

describe('The console in every state and theme', () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  for (const theme of THEMES) {
    for (const { name, run, output, says } of STATES)
      it(`shows "${name}" in the ${theme} theme`, async () => {
        await using console = await ConsolePage.open(browser, theme);
        console.start([tab(run)]);
        if (output) await console.prints(output);
        if (run.files.length > 0) {
          await console.hears('file');
          console.send({ type: 'file', run: 1, path: 'plots/heights.png', mediaType: 'image/png', data: PLOT });
          await console.frame.waitForFunction(
            () => document.querySelector<HTMLImageElement>('.preview img')?.naturalWidth,
          );
        }
        await console.frame.waitForFunction(
          (says) => says.every((words) => document.querySelector('header')?.innerText.includes(words)),
          says,
        );
        await console.screenshot(name);
      });

    it(`shows several tabs and a search in the ${theme} theme`, async () => {
      await using console = await ConsolePage.open(browser, theme);
      console.start([
        tab(ended({ phase: 'timed_out', exitCode: null }), { id: 1, title: 'fib.rs' }),
        tab(ended({ id: 2 }), { id: 2, title: 'Hello.java' }),
        tab(running({ id: 3 }), { id: 3 }),
      ]);
      await console.prints('one apple\r\ntwo apples\r\nthree pears\r\n', { run: 3 });
      console.send({ type: 'find' });
      await console.frame.getByRole('textbox', { name: 'Find', exact: true }).fill('apple');
      await console.frame.getByText('1 of 2').or(console.frame.getByText('2 of 2')).waitFor();
      await console.screenshot('tabs-and-search');
    });
  }

  it('says the whole verdict in a narrow side bar, too', async () => {
    await using console = await ConsolePage.open(browser);
    await console.page.setViewportSize({ width: 340, height: 420 });
    const message = 'Stopped: used more than 256 MB of memory while compiling.';
    console.start([
      tab(ended({ phase: 'out_of_memory', message, hint: 'The limit is a setting.', files: PLOT_FILES })),
    ]);
    const words = console.frame.locator('.words');
    await words.waitFor();
    assert.ok(await words.evaluate(({ scrollWidth, clientWidth }) => scrollWidth <= clientWidth));
    await console.screenshot('narrow');
  });

  it('says that nothing was run yet', async () => {
    await using console = await ConsolePage.open(browser);
    console.start([]);
    await console.frame.getByText('Nothing has been run yet').waitFor();
    assert.equal((await console.hears('resize')).tab, undefined, 'the size for the first run');
    await console.screenshot('empty');
  });
});
