/** What a person at the editor feels, in a real window. Part of `npm run bench`, where they are asked for by name. */
import { setTimeout as delay } from 'node:timers/promises';
import type { CDPSession, Frame } from 'playwright-core';
import { alternate, summarise } from '../../daemon/bench/measure.ts';
import type { Measurement } from '../../daemon/bench/report.ts';
import { type Drawn, drawn, type Editor, expect, pressed } from './editor.ts';

/** What the benchmarks of the editor get. */
export interface EditorContext {
  editor: Editor;
  /** Resolves when the next run finds a container that waits. */
  poolFull(): Promise<void>;
  quick: boolean;
}

const MiB = 2 ** 20;
const SCREEN = '.screen:not([hidden]) .xterm-rows';
const TERMINAL = '.terminal-wrapper.active .xterm-rows';
const PALETTE = '.quick-input-widget';
const CONSOLE_MAY_GROW_BYTES = 64 * MiB;

/** How long VS Code's own report says that loading and activating the extension took, in windows one after the other. */
export async function activation({ editor, quick }: EditorContext): Promise<Measurement> {
  const { window } = editor;
  const samples: number[] = [];
  const calls: number[] = [];
  // All of the report has to be drawn to be read.
  await window.page.setViewportSize({ width: 1600, height: 6_000 });
  for (let round = -1; round < (quick ? 6 : 15); round++) {
    await window.reload();
    await window.command('Developer: Startup Performance');
    const report = window.page.locator('.monaco-editor .view-lines').filter({ hasText: 'Extension Activation Stats' });
    const row = report.locator('.view-line', { hasText: 'coderunner.coderunner' }).first();
    await row.waitFor();
    const cells = (await row.innerText())
      .replaceAll('\u00a0', ' ')
      .split('|')
      .map((cell) => cell.trim());
    // Extension, whether VS Code waits for it, loading its code, calling `activate`, until what that returned has settled.
    const [, , , load, call] = cells.map(Number);
    if (load === undefined || call === undefined || !(load + call > 0))
      throw new Error(`VS Code reports ${cells.join(' | ')}.`);
    if (round < 0) continue;
    samples.push(load + call);
    calls.push(call);
  }
  await window.page.setViewportSize({ width: 1280, height: 900 });
  const times = summarise(samples);
  return {
    what: 'loading the extension’s code and activating it, as `Developer: Startup Performance` reports',
    times,
    figure: { value: times.p50Ms, unit: 'ms p50' },
    bar: { atMost: 50 },
    notes: [`of which activating: p50 ${summarise(calls).p50Ms}`],
  };
}

/** From letting go of the mouse's button on "Run in Sandbox" until the frame with the first output is drawn. */
export async function click({ editor, poolFull, quick }: EditorContext): Promise<Measurement> {
  const { window } = editor;
  await window.openFile('stamp.py');
  await window.lens('Run in Sandbox').click();
  await window.shows(/\[\d+\]/);
  const console = await editor.console();
  let last = /\[\d+\]/.exec(await window.screen.innerText())?.[0];
  const parts: { printed: number; received: number; painted: number }[] = [];
  const sample = async () => {
    await expect(console, SCREEN, '\\[\\d+\\]', last);
    await window.lens('Run in Sandbox').click();
    const { text, changed, at } = await drawn(console);
    const begin = await pressed(editor.frame, 'pointerup');
    const printedAt = Number(text.slice(1, -1)) / 1e6;
    last = text;
    parts.push({ printed: printedAt - begin, received: changed - printedAt, painted: at - changed });
    return at - begin;
  };
  const prepare = async () => {
    await window.says(/Succeeded|Finished/);
    await poolFull();
  };
  const rounds = quick ? 3 : 100;
  const [samples = []] = await alternate([{ prepare, sample }], { rounds, warmUps: quick ? 1 : 5 });
  const times = summarise(samples);
  const middle = (part: keyof (typeof parts)[number]) =>
    summarise(parts.slice(-rounds).map((sample) => sample[part])).p50Ms.toFixed(1);
  return {
    what: 'click on “Run in Sandbox” above a python program → its first output drawn in the console',
    times,
    figure: { value: times.p50Ms, unit: 'ms p50' },
    bar: { atMost: 100 },
    notes: [
      `medians of its parts: ${middle('printed')} until the program prints, ${middle('received')} until the page shows it, ${middle('painted')} until that frame is drawn`,
      'Each is the first run of its container; the window is in front and nothing else runs.',
    ],
  };
}

/** A key typed to a program that reads single keys and writes each one back, until it is drawn: in the console, and in VS Code’s own terminal. */
export async function echo({ editor, quick }: EditorContext): Promise<Measurement> {
  const { window } = editor;
  const blocks = quick ? 1 : 6;
  const keys = quick ? 10 : 50;
  await window.openFile('keys.py');
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let block = 0; block < blocks; block++) {
    await window.command('CodeRunner: Rerun Last');
    await window.shows(/>\s*$/);
    await window.keyboard.focus();
    ours.push(...(await typed(window, await editor.console(), SCREEN, keys)));
    await window.says(/Succeeded|Finished/);

    await window.command('Terminal: Create New Terminal');
    await window.page
      .locator(TERMINAL, { hasText: '$' })
      .or(window.page.locator(TERMINAL, { hasText: '#' }))
      .waitFor();
    await window.page.keyboard.type('python3 keys.py\n');
    await window.page.locator(TERMINAL, { hasText: 'keys.py>' }).waitFor();
    theirs.push(...(await typed(window, editor.frame, TERMINAL, keys)));
    await window.command('Terminal: Kill All Terminals');
    await window.command('CodeRunner: Show Console');
  }
  const [times, theirTimes] = [summarise(ours), summarise(theirs)];
  return {
    what: 'a key typed in the console to a program that writes it back → its echo drawn, 30–90 ms between keys',
    times,
    against: {
      what: 'the same program without a sandbox in VS Code’s own terminal, in the same window',
      times: theirTimes,
    },
    ratio: times.p50Ms / theirTimes.p50Ms,
    figure: { value: times.p50Ms, unit: 'ms p50' },
    bar: { atMost: 30 },
  };
}

/** Types keys, then the one that ends the program. @returns how long each took until it was drawn, milliseconds */
async function typed(window: Editor['window'], frame: Frame, screen: string, keys: number): Promise<number[]> {
  const samples: number[] = [];
  for (let index = 0; index < keys; index++) {
    await expect(frame, screen, `>[a-p]{${index + 1}}`);
    // A fast typist: 30 to 90 ms between keys, the same ones in every bench.
    await delay(30 + ((index * 37) % 61));
    await window.page.keyboard.press(String.fromCharCode(97 + (index % 16)));
    const { at } = await drawn(frame);
    samples.push(at - (await pressed(frame, 'keydown')));
  }
  await window.page.keyboard.press('q');
  return samples;
}

/** While 50 MB are printed: how soon a command of the extension answers, and what the page's memory does. */
export async function flood({ editor, poolFull }: EditorContext): Promise<Measurement> {
  const { window, frame } = editor;
  await poolFull();
  await window.openFile('flood.py');
  await window.lens('Run in Sandbox').click();
  await window.shows('begins');
  const heap = await Heap.of(editor);
  const before = await heap.collected();
  await window.type('\n');
  const begin = performance.now();
  const samples: number[] = [];
  let peak = before;
  const isOver = async () => /all of it/.test(await window.screen.innerText());
  while (!(await isOver())) {
    await expect(frame, PALETTE, 'Show Console|Choose Daemon');
    await window.statusBar.click();
    const answered: Drawn = await drawn(frame);
    samples.push(answered.at - (await pressed(frame, 'pointerup')));
    await window.page.keyboard.press('Escape');
    await window.page.locator(PALETTE).waitFor({ state: 'hidden' });
    peak = Math.max(peak, await heap.used());
  }
  const seconds = (performance.now() - begin) / 1000;
  await window.says(/Succeeded|Finished/);
  const after = await heap.collected();
  const times = summarise(samples);
  const mib = (bytes: number) => `${(bytes / MiB).toFixed(1)} MiB`;
  return {
    what: 'while a program prints 50 MB: click on the status bar → the extension’s menu drawn',
    times,
    figure: { value: times.p99Ms, unit: 'ms p99' },
    bar: { atMost: 200 },
    notes: [
      `the window’s JavaScript memory: ${mib(before)} before, ${mib(peak)} at most, ${mib(after)} once it was collected`,
      `drawn in ${seconds.toFixed(1)} s`,
    ],
    wrong: after - before > CONSOLE_MAY_GROW_BYTES ? [`the window’s memory grew by ${mib(after - before)}`] : [],
  };
}

/** JavaScript memory of the window, the console's page included, which may be a process of its own. */
class Heap {
  readonly #sessions: CDPSession[];

  private constructor(sessions: CDPSession[]) {
    this.#sessions = sessions;
  }

  static async of(editor: Editor): Promise<Heap> {
    const context = editor.window.page.context();
    const sessions = [await context.newCDPSession(editor.window.page)];
    for (const frame of editor.window.page.frames().slice(1))
      await context.newCDPSession(frame).then(
        (session) => sessions.push(session),
        () => undefined, // in the process of the window, whose memory is counted with it
      );
    return new Heap(sessions);
  }

  async used(): Promise<number> {
    const usages = await Promise.all(this.#sessions.map((session) => session.send('Runtime.getHeapUsage')));
    return usages.reduce((sum, { usedSize, backingStorageSize }) => sum + usedSize + backingStorageSize, 0);
  }

  async collected(): Promise<number> {
    for (const session of this.#sessions) await session.send('HeapProfiler.collectGarbage');
    return this.used();
  }
}
