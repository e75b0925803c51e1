import assert from 'node:assert/strict';
import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

describe('The daemon behind a window', () => {
  const resources = new AsyncDisposableStack();
  let environment: Environment;
  let team: Environment;
  let window: Window;

  before(async () => {
    environment = resources.use(await Environment.create());
    team = resources.use(await Environment.create({ CODERUNNER_TOKEN: 'open-sesame-open-sesame-open-sesame' }));
    const server = resources.use(await CodeServer.start({ env: environment.env }));
    const browser = resources.use(await launchBrowser());
    const workspace = await environment.workspace('workspace');
    window = await Window.open(browser, server.url(workspace, { development: EXTENSION }));
  });
  after(() => resources.disposeAsync());
  afterEach(function () {
    return window.screenshot(`daemon-${this.currentTest?.state}`);
  });

  it('may die: the run is told lost, and the next one gets a new daemon', async () => {
    await window.run('endless.py', 'It begins.');
    const { pid } = await environment.daemon();
    process.kill(pid, 'SIGKILL');
    await window.says(/lost|went away/i);
    await window.run('hello.py', 'sandbox of its own');
    assert.notEqual((await environment.daemon()).pid, pid);
  });

  it('may be a team’s, by its address and a token', async () => {
    assert.equal(await team.coderunner('start'), 0);
    const { url, token } = await team.daemon();
    await window.command('CodeRunner: Choose Daemon…');
    await window.choose('A team’s daemon');
    await window.answer('The daemon’s address', url);
    await window.answer('The token for', 'not-the-token');
    await window.notified(/token/i);
    await window.command('CodeRunner: Choose Daemon…');
    await window.choose('A team’s daemon');
    await window.answer('The daemon’s address', url);
    await window.answer('The token for', token);
    await window.statusBar.filter({ hasText: new URL(url).host }).waitFor();
    await window.run('greet.py', 'What is your name?');
    await window.type('Team\n');
    await window.shows('Nice to meet you, Team!');
  });

  it('is this machine’s again when that is chosen', async () => {
    await window.command('CodeRunner: Choose Daemon…');
    await window.choose('On this machine');
    await window.statusBar.filter({ hasText: /^\W*CodeRunner$/ }).waitFor();
    await window.run('hello.py', 'sandbox of its own');
  });
});
