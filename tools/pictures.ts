/**
 * Makes the pictures of the extension's README: `node tools/pictures.ts`. They are taken in a real window, of programs that run.
 */
import { join } from 'node:path';
import { CodeServer } from '../extension/test/harness/code-server.ts';
import { Environment, EXTENSION } from '../extension/test/harness/environment.ts';
import { launchBrowser, Window } from '../extension/test/harness/window.ts';

const MEDIA = join(EXTENSION, 'media');
const SIZE = { width: 1080, height: 760 };
/** How much higher than usual the console is. */
const RAISED = 110;
/** Nothing but the program and its console. */
const BARE = {
  'window.commandCenter': false,
  'workbench.layoutControl.enabled': false,
  'workbench.activityBar.location': 'hidden',
  'breadcrumbs.enabled': false,
  'editor.minimap.enabled': false,
  'editor.renderLineHighlight': 'none',
  'editor.unicodeHighlight.ambiguousCharacters': false,
  'remote.autoForwardPorts': false,
};

interface Picture {
  name: string;
  theme: string;
  file: string;
  /** Brings the program to where it is to be seen. */
  act(window: Window): Promise<void>;
}

const PICTURES: Picture[] = [
  {
    name: 'console',
    theme: 'Default Light Modern',
    file: 'forecast.py',
    async act(window) {
      await window.shows('Which city?');
      await window.type('Lisbon\n');
      await window.says('Finished');
      await window.console.locator('.preview img').waitFor();
    },
  },
  {
    name: 'problem',
    theme: 'Default Dark Modern',
    file: 'basket.py',
    async act(window) {
      await window.shows('KeyError');
      await window.console.getByRole('button', { name: /^Problem in line/ }).click();
      await window.page.locator('.squiggly-error').first().waitFor();
    },
  },
  {
    name: 'results',
    theme: 'Default Dark Modern',
    file: 'shop.sql',
    async act(window) {
      await window.console.getByRole('gridcell', { name: 'cheese' }).waitFor();
    },
  },
];

await using environment = await Environment.create();
const workspace = await environment.workspace('pictures');
await using browser = await launchBrowser();
for (const { name, theme, file, act } of PICTURES) {
  await using server = await CodeServer.start({
    env: environment.env,
    settings: { ...BARE, 'workbench.colorTheme': theme },
  });
  const context = await browser.newContext({ deviceScaleFactor: 1.5 });
  const window = await Window.open(context, server.url(workspace, { development: EXTENSION }));
  await window.page.setViewportSize(SIZE);
  await window.openByName(file);
  await window.command('View: Toggle Primary Side Bar Visibility');
  await window.lens('Run in Sandbox').click();
  await window.console.locator('header').waitFor();
  await raisePanel(window);
  await act(window);
  await window.lens('Run in Sandbox').waitFor();
  const path = join(MEDIA, `${name}.png`);
  await window.page.screenshot({ path });
  console.log(path);
}

/** As people do it: by pulling its upper edge. */
async function raisePanel({ page }: Window): Promise<void> {
  const panel = await page.locator('.part.panel').boundingBox();
  if (!panel) throw new Error('The panel is not open.');
  const [x, y] = [panel.x + panel.width / 4, panel.y - 1];
  await page.mouse.move(x, y);
  await page.mouse.down();
  await page.mouse.move(x, y - RAISED, { steps: 5 });
  await page.mouse.up();
  await page.mouse.move(x, y / 2);
}
