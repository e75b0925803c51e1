import { CodeServer } from '../harness/code-server.ts';
import { Environment, EXTENSION } from '../harness/environment.ts';
import { launchBrowser, Window } from '../harness/window.ts';

describe('Where there is no container engine', () => {
  const resources = new AsyncDisposableStack();
  let window: Window;

  before(async () => {
    const nowhere = 'unix:///nowhere/docker.sock';
    const environment = resources.use(await Environment.create({ DOCKER_HOST: nowhere, CONTAINER_HOST: nowhere }));
    const server = resources.use(await CodeServer.start({ env: environment.env }));
    const browser = resources.use(await launchBrowser());
    const workspace = await environment.workspace('workspace');
    window = await Window.open(browser, server.url(workspace, { development: EXTENSION }));
    await window.openFile('hello.py');
    await window.lens('Run in Sandbox').click();
  });
  after(() => resources.disposeAsync());

  afterEach(() => window.screenshot('no-engine'));

  it('a run says so in one sentence', async () => {
    await window.says(/container engine .* cannot be used/);
    await window.notified(/container engine .* cannot be used/);
  });

  it('a button leads to what is wrong and how to mend it', async () => {
    await window.button('Check Everything').click();
    await window.page.locator('.monaco-editor .view-lines').getByText('nowhere').first().waitFor();
  });

  it('another makes the engine start', async () => {
    await window.button('Start Container Engine').click();
    await window.page.locator('.terminal-wrapper .xterm-rows').filter({ hasText: 'systemctl start docker' }).waitFor();
  });
});
