import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, readdir, stat, writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { promisify } from 'node:util';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, ROOT } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';
import { CONVERSATIONS, type Example, examples, folderOf } from './examples.ts';

/** Packaging fetches vsce, and a language's image may have to be built. */
const FIRST_TIME_MS = 15 * 60_000;
const LARGEST_BYTES = 4 * 2 ** 20;

describe('The packaged extension, installed in a fresh VS Code', () => {
  const resources = new AsyncDisposableStack();
  let vsix: string;
  let window: Window;

  before(async function () {
    this.timeout(FIRST_TIME_MS);
    const environment = resources.use(await Environment.create());
    const packaging = spawn(process.execPath, [join(ROOT, 'tools/package.ts'), environment.folder], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const [code] = await once(packaging, 'exit');
    if (code !== 0) throw new Error(`Packaging failed with exit code ${code}.`);
    const [name] = (await readdir(environment.folder)).filter((file) => file.endsWith('.vsix'));
    vsix = join(environment.folder, name as string);
    const server = resources.use(await CodeServer.start({ env: environment.env, vsix: [vsix] }));
    const workspace = await everyExample(environment.folder);
    window = await Window.open(resources.use(await launchBrowser()), server.url(workspace));
  });
  after(() => resources.disposeAsync());
  afterEach(async function () {
    const { currentTest } = this;
    if (currentTest) await window.screenshot(currentTest.title.replace(/\W+/g, '-').toLowerCase());
  });

  it('holds what is needed to run programs, and nothing of how it is made', async () => {
    const { stdout } = await promisify(execFile)('unzip', ['-Z1', vsix]);
    const names = stdout.trim().split('\n');
    for (const needed of ['dist/extension.cjs', 'daemon/dist/coderunner.mjs', 'webview-ui/dist/main.js', 'readme.md'])
      assert.ok(names.includes(`extension/${needed}`), needed);
    const strange = names.filter((file) =>
      /\.map$|^extension\/(src|bench|out)\/|\/(test|fuzz|examples|screenshots|node_modules)\//.test(file),
    );
    assert.deepEqual(strange, []);
    const { size } = await stat(vsix);
    assert.ok(size < LARGEST_BYTES, `${size} bytes`);
  });

  for (const [id, ofLanguage] of examples())
    it(`runs the examples of ${id}, with nothing else configured`, async function () {
      this.timeout(FIRST_TIME_MS);
      for (const example of ofLanguage) await runExample(example);
    });

  async function runExample({ entry, typed, ends, shows, leaves }: Example): Promise<void> {
    const name = basename(entry);
    await window.openByName(name);
    await window.page.keyboard.press('Control+Alt+r');
    await window.console.locator('.title').filter({ hasText: name }).waitFor({ state: 'attached' });
    const converse = CONVERSATIONS[basename(name, extname(name)).toLowerCase()];
    if (converse) {
      await converse(window);
    } else if (typed) {
      await window.says('Running');
      for (const line of typed) {
        await window.type(`${line}\n`);
        await window.shows(line);
      }
      for (let end = 0; end < ends; end++) await window.page.keyboard.press('Control+d');
    }
    await window.says('Finished', FIRST_TIME_MS);
    await window.shows(shows);
    for (const file of leaves) await window.console.locator('.files li').filter({ hasText: file }).waitFor();
  }
});

/** A workspace with a folder for the examples of each language, and one for each of their projects. */
async function everyExample(parent: string): Promise<string> {
  const folders: { path: string }[] = [];
  for (const id of examples().keys()) {
    const project = join(folderOf(id), 'project');
    await cp(folderOf(id), join(parent, 'examples', id), { recursive: true, filter: (path) => path !== project });
    await cp(project, join(parent, 'examples', `${id}-project`), { recursive: true });
    folders.push({ path: id }, { path: `${id}-project` });
  }
  const workspace = join(parent, 'examples/all.code-workspace');
  await writeFile(workspace, JSON.stringify({ folders }));
  return workspace;
}
