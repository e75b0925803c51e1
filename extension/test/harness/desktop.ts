/** A desktop VS Code, where one can be had: its download site answers, and there is a screen to show it on. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { EXTENSION } from './environment.ts';

const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'coderunner', 'vscode');
/** Without an answer for as long, the site counts as out of reach. */
const ANSWERS_WITHIN_MS = 15_000;

type TestElectron = typeof import('@vscode/test-electron');

export class Desktop {
  readonly #tools: TestElectron;
  readonly #executable: string;

  private constructor(tools: TestElectron, executable: string) {
    this.#tools = tools;
    this.#executable = executable;
  }

  /** @returns a sentence that says why there is none */
  static async find(): Promise<Desktop | string> {
    const { platform, env } = process;
    if (platform === 'linux' && !env.DISPLAY && !env.WAYLAND_DISPLAY)
      return 'There is no screen to show a desktop VS Code on (DISPLAY is not set).';
    try {
      const tools = await import('@vscode/test-electron');
      const reporter = new tools.SilentReporter();
      return new Desktop(
        tools,
        await tools.downloadAndUnzipVSCode({ cachePath: CACHE, timeout: ANSWERS_WITHIN_MS, reporter }),
      );
    } catch (error) {
      return `No desktop VS Code can be had: ${(error as Error).message}`;
    }
  }

  /**
   * Opens a window that runs tests, and resolves when it is closed.
   * @param options.workspace a folder or workspace file; none when left out
   * @param options.trusted whether the workspace is
   */
  async run(options: {
    tests: string;
    workspace: string | undefined;
    trusted: boolean;
    env: NodeJS.ProcessEnv;
  }): Promise<void> {
    // Its sockets are in there, whose names may not be long.
    const data = await mkdtemp(join(tmpdir(), 'coderunner-'));
    try {
      await mkdir(join(data, 'User'));
      await writeFile(
        join(data, 'User/settings.json'),
        JSON.stringify({ 'security.workspace.trust.startupPrompt': 'never', 'workbench.startupEditor': 'none' }),
      );
      await this.#tools.runTests({
        vscodeExecutablePath: this.#executable,
        extensionDevelopmentPath: EXTENSION,
        extensionTestsPath: options.tests,
        extensionTestsEnv: options.env,
        launchArgs: [
          ...(options.workspace ? [options.workspace] : []),
          '--disable-extensions',
          ...(options.trusted ? ['--disable-workspace-trust'] : []),
          `--user-data-dir=${data}`,
        ],
      });
    } finally {
      await rm(data, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  }
}
