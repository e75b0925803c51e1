import { openWindow } from '../harness/desk.ts';
import type { Window } from '../harness/window.ts';

describe('In German', () => {
  let window: Window;
  before(async () => {
    window = await openWindow('terminal', 'de');
  });
  after(() => window.page.context().close());
  afterEach(() => window.screenshot('german'));

  it('the extension speaks it everywhere: commands, buttons above programs, the console, verdicts', async () => {
    await window.openByName('forever.py');
    await window.lens('In Sandbox ausführen').waitFor();
    await window.command('CodeRunner: In Sandbox ausführen');
    await window.says('Läuft');
    await window.button('Stoppen').click();
    await window.says('Gestoppt');
    await window.openByName('nested.py');
    const problem = window.console.getByRole('button', { name: 'Problem in Zeile 2' });
    await window.press('In Sandbox ausführen', (timeout) => problem.waitFor({ timeout }));
    await window.button('Erneut ausführen').waitFor();
  });

  it('a sentence of the daemon, too', async () => {
    await window.openByName('hungry.py');
    await window.press('In Sandbox ausführen', (timeout) =>
      window.says(/^Gestoppt: brauchte mehr als .* Speicher$/, timeout),
    );
  });
});
