/** The window in three kinds of themes; the pictures are kept for people. What the console's page looks like in each state, its own tests show. */
import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

/** By the class that VS Code gives a page. */
const THEMES = {
  light: { theme: 'Default Light Modern', kind: 'vscode-light' },
  dark: { theme: 'Default Dark Modern', kind: 'vscode-dark' },
  'high-contrast': { theme: 'Default High Contrast', kind: 'vscode-high-contrast' },
};

describe('Looks', () => {
  const resources = new AsyncDisposableStack();
  let server: CodeServer;
  let window: Window;

  before(async () => {
    const environment = resources.use(await Environment.create());
    server = resources.use(await CodeServer.start({ env: environment.env }));
    const browser = resources.use(await launchBrowser());
    window = await Window.open(
      browser,
      server.url(await environment.workspace('pictures'), { development: EXTENSION }),
    );
  });
  after(() => resources.disposeAsync());

  /** In every theme, one after the other, as somebody sees it who changes the theme. */
  async function everyTheme(state: string): Promise<void> {
    for (const [name, { theme, kind }] of Object.entries(THEMES)) {
      await server.configure({ 'workbench.colorTheme': theme });
      await window.console.locator(`body.${kind}`).waitFor();
      await window.screenshot(`${name}-${state}`);
    }
  }

  it('of a run that waits for input', async () => {
    await window.openByName('forecast.py');
    await window.press('Run in Sandbox', (timeout) => window.shows('Which city?', timeout));
    await everyTheme('waits');
  });

  it('of one that has left a picture', async () => {
    await window.type('Lisbon\n');
    await window.says('Finished');
    await window.console.locator('.preview img').waitFor();
    await everyTheme('files');
  });

  it('of one that failed', async () => {
    await window.openByName('basket.py');
    const problem = window.console.getByRole('button', { name: 'Problem in line 7' });
    await window.press('Run in Sandbox', (timeout) => problem.click({ timeout }));
    await window.page.locator('.squiggly-error').first().waitFor();
    await everyTheme('failed');
  });

  it('of a search among several tabs', async () => {
    await window.keyboard.focus();
    await window.page.keyboard.press('Control+f');
    await window.page.keyboard.type('total');
    await window.console.locator('.count').filter({ hasText: 'of' }).waitFor();
    await everyTheme('search');
  });
});
