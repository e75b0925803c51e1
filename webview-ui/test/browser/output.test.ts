/** What a program prints: all of it, in order, no faster than it is drawn, and nothing but drawn. */
import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import { PAGE_WINDOW_BYTES } from '../../../extension/src/console/messages.ts';
import { launchBrowser } from '../../../extension/test/harness/window.ts';
import { ConsolePage, ended, running, tab } from '../console-page.ts';

describe('Output in the console', () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  async function open(changes = {}, settings = {}): Promise<ConsolePage> {
    const console = await ConsolePage.open(browser);
    console.start([tab(running(changes))], settings);
    await console.hears('resize', ({ tab }) => tab === 7);
    return console;
  }

  it('puts characters together that were cut apart, each channel for itself', async () => {
    await using console = await open({ tty: false });
    const [out, err] = [Buffer.from('é日\n'), Buffer.from('ü€\n')];
    let seq = 0;
    for (let at = 0; at < 7; at++)
      for (const [channel, bytes] of [
        ['stdout', out],
        ['stderr', err],
      ] as const) {
        const data = bytes.subarray(at, at + 1);
        if (data.length > 0) console.send({ type: 'output', run: 1, seq, channel, data });
        seq += data.length;
      }
    await console.hears('ack', (ack) => ack.seq === seq);
    const text = (await console.text()).replace(/\n/g, '');
    for (const character of 'é日ü€') assert.ok(text.includes(character), text);
    assert.ok(!text.includes('\ufffd'), text);
  });

  it('turns line feeds into new lines only where no terminal has', async () => {
    await using pipes = await open({ tty: false });
    await pipes.prints('one\ntwo');
    assert.equal(await pipes.text(), 'one\ntwo\n');
    await using terminal = await open({ tty: true });
    await terminal.prints('one\ntwo');
    assert.equal(await terminal.text(), 'one\n   two\n');
  });

  it('draws progress over itself', async () => {
    await using console = await open();
    let seq = 0;
    for (let percent = 0; percent <= 100; percent += 10) seq = await console.prints(`\r\x1b[K${percent} %`, { seq });
    assert.equal(await console.text(), '100 %\n');
  });

  it('says what was not kept, and puts lines of ours on lines of their own', async () => {
    await using console = await open();
    const seq = await console.prints('before\x1b[3');
    console.send({ type: 'gap', run: 1, from: seq, to: 5_000 });
    console.send({ type: 'notice', run: 1, text: 'Step 1\x1b[31m of 2' });
    await console.prints('after', { seq: 5_000 });
    assert.equal(
      await console.text(),
      `before\n${(5_000 - seq).toLocaleString('en')} bytes of output were not kept\nStep 1[31m of 2\nafter\n`,
    );
  });

  it('empties the tab for the next run, or draws a line under the last', async () => {
    await using cleared = await open({}, { clearBeforeRun: true });
    await cleared.prints('old\r\n');
    cleared.send({ type: 'tab', tab: tab(running({ id: 2 })) });
    await cleared.prints('new\r\n', { run: 2 });
    assert.equal(await cleared.text(), 'new\n');
    await using kept = await open({}, { clearBeforeRun: false });
    await kept.prints('old\r\n\x1b[?1049h\x1b[31mfull screen');
    kept.send({ type: 'tab', tab: tab(running({ id: 2 })) });
    await kept.prints('new\r\n', { run: 2 });
    assert.match(await kept.text(), /^old\n+─+\nnew\n$/);
  });

  it('brings the terminal back when a program dies in full screen, also when the page is loaded again', async () => {
    await using console = await open();
    const dying = 'before\r\n\x1b[?1049h\x1b[?1003h\x1b[?2004h\x1b[?25l\x1b[31mfull screen';
    await console.prints(dying);
    await console.frame.locator('.xterm-rows', { hasText: 'full screen' }).waitFor();
    console.send({ type: 'tab', tab: tab(ended({ phase: 'signaled', signal: 'SIGSEGV', exitCode: null })) });
    await console.frame.locator('.xterm-rows', { hasText: 'before' }).waitFor();
    await console.reload();
    console.start([tab(ended())]);
    console.send({ type: 'replay', run: 1, to: Buffer.byteLength(dying) });
    await console.prints(dying);
    await console.frame.locator('.xterm-rows', { hasText: 'before' }).waitFor();
    assert.equal(await console.frame.locator('.enable-mouse-events').count(), 0);
  });

  it('ignores what comes late from a run that is no longer in the tab', async () => {
    await using console = await open();
    console.send({ type: 'tab', tab: tab(running({ id: 2 })) });
    console.send({ type: 'output', run: 1, seq: 0, channel: 'stdout', data: Buffer.from('old') });
    await console.prints('new', { run: 2 });
    assert.equal(await console.text(), 'new\n');
  });

  it('clears: all of an ended run, all but the prompt of one that goes on', async () => {
    await using console = await open();
    const seq = await console.prints('one\r\ntwo\r\n> ');
    await console.frame.getByRole('button', { name: 'Clear' }).click();
    await console.hears('clear');
    assert.equal(await console.text(), '> \n');
    await console.prints('three', { seq });
    console.send({ type: 'tab', tab: tab(ended()) });
    console.send({ type: 'clear', tab: 7 });
    assert.equal(await console.text(), '\n');
  });

  it('keeps as many lines as the setting says', async () => {
    await using console = await open({}, { scrollback: 10_000 });
    await console.prints(Array.from({ length: 30_000 }, (_, line) => `line ${line}\r\n`).join(''));
    const lines = (await console.text()).trimEnd().split('\n');
    assert.ok(lines.length >= 10_000 && lines.length < 10_100, String(lines.length));
    assert.equal(lines.at(-1), 'line 29999');
  });

  it('takes in 50 MB without dropping anything, answers commands meanwhile, and does not grow', async function () {
    this.timeout(120_000);
    await using console = await open();
    const total = 50 * 1024 * 1024;
    const piece = 32 * 1024;
    const line = `${'x'.repeat(70)}\x1b[32m ok\x1b[0m\r\n`;
    const flood = Buffer.from(line.repeat(Math.ceil(total / line.length))).subarray(0, total);
    const client = await console.page.context().newCDPSession(console.page);
    const heap = async () => {
      await client.send('HeapProfiler.collectGarbage');
      return (await client.send('Runtime.getHeapUsage')).usedSize;
    };

    let sent = 0;
    /** As the extension does it: never more on the way than the page has room for. */
    const pour = async (to: number) => {
      while (sent < to) {
        const { seq } = console.heard.findLast((message) => message.type === 'ack') ?? { seq: 0 };
        if (sent - seq < PAGE_WINDOW_BYTES) {
          console.send({
            type: 'output',
            run: 1,
            seq: sent,
            channel: 'stdout',
            data: flood.subarray(sent, sent + piece),
          });
          sent += Math.min(piece, total - sent);
        } else {
          await console.hears('ack', (ack) => ack.seq > seq);
        }
      }
    };
    await pour(10 * 1024 * 1024);
    const early = await heap();
    console.send({ type: 'request', what: 'copy' });
    await pour(total / 2);
    assert.ok(
      console.heard.some(({ type }) => type === 'copy'),
      'the command was answered while the flood went on',
    );
    await console.focus(7);
    await console.page.keyboard.press('Control+f');
    await console.frame.getByRole('textbox', { name: 'Find', exact: true }).waitFor();
    await console.page.keyboard.press('Escape');
    await pour(total);
    await console.hears('ack', ({ seq }) => seq === total);
    const late = await heap();
    assert.ok(late - early < 16 * 1024 * 1024, `from ${early} to ${late} bytes`);
    console.send({ type: 'output', run: 1, seq: total, channel: 'stdout', data: Buffer.from('\r\nthe end\r\n') });
    await console.hears('ack', ({ seq }) => seq > total);
    assert.ok((await console.text()).endsWith('the end\n'));
  });
});

describe('Output that wants to do more than draw', () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  async function open(changes = {}): Promise<ConsolePage> {
    const console = await ConsolePage.open(browser);
    console.start([tab(running(changes))]);
    return console;
  }

  /** Every question a terminal may be asked. */
  const QUESTIONS = [
    '\x1b[c',
    '\x1b[>c',
    '\x1b[=c',
    '\x1b[5n',
    '\x1b[6n',
    '\x1b[?6n',
    '\x1b[?996n',
    '\x1b[?2004$p',
    '\x1b[4$p',
    '\x1b[>q',
    '\x1b[18t',
    '\x1b[21t',
    '\x1b[14t',
    '\x1b[x',
    '\x05',
    '\x1bZ',
    '\x1b[?u',
    '\x1bP$qm\x1b\\',
    '\x1bP+q544e\x1b\\',
    '\x1b]4;1;?\x07',
    '\x1b]10;?\x07',
    '\x1b]11;?\x07',
    '\x1b]12;?\x07',
    '\x1b]52;c;?\x07',
    '\x1b]2;rm -rf\x07\x1b[21t',
  ];

  it('is text, even where it looks like markup', async () => {
    await using console = await open();
    const markup =
      '<img src=x onerror="document.title=1"><a href="command:workbench.action.quit">x</a><script>1</script>';
    await console.prints(`${markup}\r\n`);
    assert.equal((await console.text()).replace(/\n/g, ''), markup);
    assert.equal(await console.frame.locator('main img, main a, main script').count(), 0);
  });

  it('answers nothing that a program without a terminal asks', async () => {
    await using console = await open({ tty: false });
    await console.focus(7);
    await console.prints(`${QUESTIONS.join('')}\x1b[?1000h\x1b[?1003h\x1b[?1004h`);
    await console.page.mouse.click(200, 150);
    assert.equal(console.input, '');
    await console.frame.locator('.screen textarea:focus').waitFor({ state: 'attached' });
    await console.page.keyboard.type('me\r');
    await console.hears('input');
    assert.equal(console.input, 'me\n');
  });

  it('answers a program with a terminal in numbers and colours, never with its own words or a line end', async () => {
    await using console = await open();
    await console.prints(QUESTIONS.join(''));
    await console.hears('input', () => console.input.includes('R'));
    assert.match(
      console.input.replaceAll('\x1b', '␛').replaceAll('\x07', '␛\\'),
      /^(?:␛\[[?>]?[\d;]+[cnR]|␛\[\??[\d;]+\$y|␛\]\d+(?:;\d+)?;rgb:[\da-f/]+␛\\)+$/,
    );
  });

  it('answers nothing twice when output is shown again', async () => {
    await using console = await open();
    const seq = await console.prints('\x1b[6n');
    await console.hears('input');
    await console.reload();
    console.start([tab(running())]);
    console.send({ type: 'replay', run: 1, to: seq });
    await console.prints('\x1b[6n');
    await console.prints('live', { seq });
    assert.equal(console.input, '');
    await console.prints('\x1b[6n', { seq: seq + 4 });
    await console.hears('input');
    assert.match(console.input.replace('\x1b', '␛'), /^␛\[\d+;\d+R$/);
  });

  it('does not type the answer to one run into the next', async () => {
    await using console = await open();
    console.send({
      type: 'output',
      run: 1,
      seq: 0,
      channel: 'stdout',
      data: Buffer.from(`${'x'.repeat(300_000)}\x1b[6n`),
    });
    console.send({ type: 'tab', tab: tab(running({ id: 2 })) });
    await console.prints('new', { run: 2 });
    assert.deepEqual(
      console.heard.filter((message) => message.type === 'input' && message.run === 2),
      [],
    );
  });

  it('cannot touch the clipboard, the title, or the colours', async () => {
    await using console = await open();
    const title = await console.frame.evaluate(() => document.title);
    await console.prints(
      '\x1b]52;c;cm0gLXJmIC8=\x07\x1b]0;pwned\x07\x1b]10;#ff0000\x07\x1b]11;#00ff00\x07\x1b]4;1;#0000ff\x07red: \x1b[31mx',
    );
    assert.equal(await console.frame.evaluate(() => document.title), title);
    assert.ok(!console.heard.some(({ type }) => type === 'copy'));
    console.send({
      type: 'output',
      run: 1,
      seq: 500,
      channel: 'stdout',
      data: Buffer.from('\x1b]10;?\x07\x1b]4;1;?\x07'),
    });
    await console.hears('input', () => console.input.split('rgb').length === 3);
    assert.ok(!/rgb:ffff\/0000\/0000|rgb:0000\/0000\/ffff/.test(console.input), console.input);
  });

  it('makes links of http and https only, and shows where they lead', async () => {
    await using console = await open();
    const link = (url: string, text: string) => `\x1b]8;;${url}\x1b\\${text}\x1b]8;;\x1b\\\r\n`;
    const refused = [
      'command:workbench.action.quit',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'vscode://x',
      'data:text/html,x',
    ];
    await console.prints(refused.map((url) => link(url, 'https')).join('') + link('https://evil.example/', 'innocent'));
    const screen = console.frame.locator('.xterm-screen');
    const height =
      ((await screen.boundingBox())?.height ?? 0) / (await console.hears('resize', ({ tab }) => tab === 7)).rows;
    for (let row = 0; row <= refused.length; row++) {
      await screen.hover({ position: { x: 15, y: (row + 0.5) * height } });
      await screen.click({ position: { x: 15, y: (row + 0.5) * height } });
    }
    assert.equal((await console.hears('openUrl')).url, 'https://evil.example/');
    assert.equal(await console.frame.locator('.target').innerText(), 'https://evil.example/');
    assert.equal(console.heard.filter(({ type }) => type === 'openUrl').length, 1);
  });
});
