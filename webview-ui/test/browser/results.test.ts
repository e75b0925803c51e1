/** The tables that a run gives, as a grid: by mouse, by keyboard, for screen readers, and whatever is in them. */
import assert from 'node:assert/strict';
import type { Browser } from 'playwright-core';
import type { Result } from '../../../extension/src/console/messages.ts';
import { launchBrowser } from '../../../extension/test/harness/window.ts';
import { ConsolePage, ended, tab } from '../console-page.ts';

const PEOPLE: Result = {
  file: 'main.sql',
  line: 3,
  statement: 'SELECT *\nFROM people',
  columns: [
    { name: 'id', type: 'int' },
    { name: 'name', type: 'varchar' },
  ],
  rows: [
    ['1', 'Ann'],
    ['2', null],
    ['3', 'says "hi", twice'],
  ],
  rowCount: 3,
  truncated: false,
  ms: 0.5,
};

describe("The console's results", () => {
  let browser: Browser;
  before(async () => {
    browser = await launchBrowser();
  });
  after(() => browser.close());

  async function open(lines: unknown[]): Promise<ConsolePage> {
    const console = await ConsolePage.open(browser);
    console.start([tab(ended({ hasResults: true }), { title: 'main.sql' })]);
    await console.hears('results');
    const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
    console.send({ type: 'results', run: 1, data: Buffer.from(text) });
    return console;
  }
  const grid = (console: ConsolePage) => console.frame.getByRole('grid');
  const focused = (console: ConsolePage) =>
    console.frame.evaluate(() => `${document.activeElement?.role} ${document.activeElement?.textContent}`);

  it('are a grid with named columns, in which NULL is no text', async () => {
    await using console = await open([PEOPLE]);
    await grid(console).waitFor();
    assert.deepEqual(await console.frame.getByRole('columnheader').allInnerTexts(), ['id', 'name']);
    assert.equal(await grid(console).getAttribute('aria-rowcount'), '4');
    assert.equal(await grid(console).getAttribute('aria-label'), 'SELECT * FROM people (main.sql:3)');
    const cells = console.frame.getByRole('gridcell');
    assert.deepEqual(await cells.allInnerTexts(), ['1', 'Ann', '2', 'NULL', '3', 'says "hi", twice']);
    assert.match((await cells.nth(3).getAttribute('class')) ?? '', /\bnull\b/);
    await console.frame.getByText('3 rows', { exact: true }).waitFor();
    await console.screenshot('results');
  });

  it('go from cell to cell by keyboard, and a cell can be copied', async () => {
    await using console = await open([PEOPLE]);
    await console.frame.getByRole('columnheader', { name: 'id' }).click();
    const { keyboard } = console.page;
    await keyboard.press('ArrowDown');
    assert.equal(await focused(console), 'gridcell 1');
    await keyboard.press('End');
    await keyboard.press('ArrowDown');
    assert.equal(await focused(console), 'gridcell NULL');
    await keyboard.press('Control+End');
    assert.equal(await focused(console), 'gridcell says "hi", twice');
    await keyboard.press('Control+c');
    assert.equal((await console.hears('copy')).text, 'says "hi", twice');
    await keyboard.press('Control+Home');
    assert.equal(await focused(console), 'columnheader id');
  });

  it('can be copied as CSV', async () => {
    await using console = await open([PEOPLE]);
    await console.frame.getByRole('button', { name: 'Copy as CSV' }).click();
    assert.equal((await console.hears('copy')).text, 'id,name\r\n1,Ann\r\n2,\r\n3,"says ""hi"", twice"\r\n');
  });

  it('draw only what can be seen of ten thousand rows, and all of it by scrolling', async () => {
    const rows = Array.from({ length: 10_000 }, (_, index) => [`${index}`, `name ${index}`]);
    await using console = await open([{ ...PEOPLE, rows, rowCount: 20_000, truncated: true }]);
    await console.frame.getByText('the first 10,000 of 20,000 rows').waitFor();
    assert.ok((await console.frame.getByRole('gridcell').count()) < 200);
    await grid(console).evaluate((element) => {
      element.scrollTop = element.scrollHeight;
    });
    await console.frame.getByRole('gridcell', { name: 'name 9999', exact: true }).waitFor();
    await console.frame.getByRole('columnheader', { name: 'id' }).click();
    await console.page.keyboard.press('Control+End');
    assert.equal(await focused(console), 'gridcell name 9999');
    await console.page.keyboard.press('PageUp');
    assert.match(await focused(console), /^gridcell name 99\d\d$/);
    assert.ok((await console.frame.getByRole('gridcell').count()) < 200);
  });

  it('let a person choose among several, and close them', async () => {
    const second: Result = { ...PEOPLE, statement: 'SELECT 1', line: 9, rows: [['7', 'x']], rowCount: 1 };
    await using console = await open([PEOPLE, { ...PEOPLE, columns: [], rows: [], rowsAffected: 3 }, second]);
    await console.frame.getByRole('gridcell', { name: '7' }).waitFor();
    await console.frame.getByRole('combobox', { name: 'Result' }).selectOption({ index: 0 });
    await console.frame.getByRole('gridcell', { name: 'Ann' }).waitFor();
    await console.frame.getByRole('button', { name: '2 results' }).click();
    await grid(console).waitFor({ state: 'detached' });
    await console.reload();
    console.start([tab(ended({ hasResults: true }))]);
    await console.hears('results');
    console.send({ type: 'results', run: 1, data: Buffer.from(JSON.stringify(PEOPLE)) });
    await console.frame.getByRole('button', { name: '1 result' }).waitFor();
    assert.equal(await grid(console).count(), 0, 'they stay closed');
  });

  it('take nothing in them for markup, and leave out what is no result', async () => {
    const hostile = "<img src=x onerror=\"parent.postMessage({type:'failed',message:'ran'},'*')\"><b>bold</b>";
    const rows = [[hostile, 'a\u001b[31m\nb']];
    const columns = [
      { name: hostile, type: 'varchar' },
      { name: 'b', type: '"><script>' },
    ];
    const lines = [
      '',
      '{"cut',
      'null',
      '[1]',
      { rows: 1 },
      { ...PEOPLE, rows: [[1, {}]] },
      { ...PEOPLE, rows, columns },
    ];
    await using console = await open(lines);
    await console.frame.getByRole('button', { name: '1 result' }).waitFor();
    assert.equal(await console.frame.getByRole('gridcell').first().innerText(), hostile);
    assert.equal(await grid(console).locator('img, b, script').count(), 0);
    assert.equal(console.heard.filter(({ type }) => type === 'failed').length, 0);
  });

  it('go when another run takes the tab', async () => {
    await using console = await open([PEOPLE]);
    await grid(console).waitFor();
    console.send({ type: 'tab', tab: tab(ended({ id: 2 })) });
    await grid(console).waitFor({ state: 'detached' });
  });
});
