import assert from 'node:assert/strict';
import { openWindow } from '../harness/desk.ts';
import type { Window } from '../harness/window.ts';

describe('The results of SQL', () => {
  let window: Window;
  before(async () => {
    window = await openWindow('sql');
  });
  after(() => window.page.context().close());

  it('are a table in the terminal and a grid below it, which can be copied', async () => {
    await window.run('people.sql', '2 rows');
    const grid = window.console.getByRole('grid', { name: 'SELECT * FROM people (people.sql:4)' });
    await grid.waitFor();
    assert.deepEqual(await grid.getByRole('columnheader').allInnerTexts(), ['id', 'name', 'born']);
    assert.deepEqual(await grid.getByRole('gridcell').allInnerTexts(), [
      '1',
      'Ada',
      '1815-12-10',
      '2',
      'Grace',
      'NULL',
    ]);
    await window.button('Copy as CSV').click();
    await window.page.waitForFunction("navigator.clipboard.readText().then((text) => text.startsWith('id,name,born'))");
    const copied = await window.page.evaluate<string>('navigator.clipboard.readText()');
    assert.equal(copied.replaceAll('\r\n', '\n'), 'id,name,born\n1,Ada,1815-12-10\n2,Grace,\n');
  });

  it('lead to the line of a mistake', async () => {
    await window.openFile('mistake.sql');
    await window.press('Run in Sandbox', (timeout) => window.button('Problem in line 3').waitFor({ timeout }));
  });
});
