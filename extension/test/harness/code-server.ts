/**
 * A real VS Code where its download site cannot be reached: the npm package code-server carries all of it, its server and its
 * workbench. VS Code's own server is started, not code-server's wrapper, and Chromium shows its window.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { aptInstall, change, onPath, run } from '../../../tools/system.ts';

/** VS Code 1.139.1. */
const CODE_SERVER = '4.139.1';
const NODE = join(import.meta.dirname, '../../../node_modules/node/bin/node');
/** code-server brings 600 MB and builds native modules: it is kept outside of the project and used again. */
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'coderunner', `code-server-${CODE_SERVER}`);
const VSCODE = join(CACHE, 'node_modules/code-server/lib/vscode');
const SERVER_MAIN = join(VSCODE, 'out/server-main.js');
/** Those of VS Code itself are installed by a script of the package. */
const MODULES = join(VSCODE, 'node_modules');
const LOOK_EVERY_MS = 20;
/** Written when everything is there: an installation that was interrupted is begun again. */
const COMPLETE = join(CACHE, 'complete');

/** Nothing that draws attention away from what is tested. */
const QUIET = {
  'chat.disableAIFeatures': true,
  'workbench.startupEditor': 'none',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.tips.enabled': false,
  'security.workspace.trust.startupPrompt': 'never',
  // Drawn as text that a test can read.
  'terminal.integrated.gpuAcceleration': 'off',
};

/** VS Code's server with what it keeps in a folder of its own; disposing stops it and removes the folder. */
export class CodeServer implements AsyncDisposable {
  /** Such as `127.0.0.1:40123`. */
  readonly authority: string;
  readonly #process: ChildProcess;
  readonly #folder: string;

  private constructor(process: ChildProcess, folder: string, authority: string) {
    this.#process = process;
    this.#folder = folder;
    this.authority = authority;
    process.once('exit', this.#kill);
  }

  /**
   * @param options.env added to the environment of the extensions
   * @param options.vsix packaged extensions to install
   * @param options.settings the user's settings in this VS Code
   * @param options.trusted false: folders are not trusted, and nobody is asked about it
   */
  static async start(
    options: {
      env?: NodeJS.ProcessEnv;
      vsix?: readonly string[];
      settings?: Record<string, unknown>;
      trusted?: boolean;
    } = {},
  ): Promise<CodeServer> {
    await install();
    const folder = await mkdtemp(join(tmpdir(), 'coderunner-vscode-'));
    const shared = ['--accept-server-license-terms', '--server-data-dir', folder, '--telemetry-level', 'off'];
    await mkdir(join(folder, 'data/Machine'), { recursive: true });
    await writeSettings(folder, options.settings);
    for (const vsix of options.vsix ?? []) {
      const child = spawn(NODE, [SERVER_MAIN, ...shared, '--install-extension', vsix], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [code] = await once(child, 'exit');
      if (code !== 0) throw new Error(`VS Code does not install ${vsix} (exit code ${code}).`);
    }
    const child = spawn(
      NODE,
      [
        SERVER_MAIN,
        '--host',
        '127.0.0.1',
        '--port',
        '0',
        '--without-connection-token',
        // Without it a built VS Code takes neither extensions under development nor their tests.
        '--enable-smoke-test-driver',
        ...(options.trusted === false ? [] : ['--disable-workspace-trust']),
        ...shared,
      ],
      // A group of its own: its extension hosts outlive it a little, and would still be writing.
      // It leaves its sockets behind when it is killed, in the folder that is removed then.
      {
        env: { ...process.env, XDG_RUNTIME_DIR: folder, ...options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true,
      },
    );
    const complaints: string[] = [];
    createInterface({ input: child.stderr }).on('line', (line) => complaints.push(line));
    const authority = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [, port] = /Extension host agent listening on (\d+)/.exec(line) ?? [];
        if (port) resolve(`127.0.0.1:${port}`);
      });
      child.on('error', reject);
      child.on('exit', (code) => reject(new Error(`VS Code's server ended with ${code}: ${complaints.join('\n')}`)));
    });
    return new CodeServer(child, folder, authority);
  }

  /**
   * The address of a window.
   * @param folder the workspace; none when left out
   * @param options.development folder of an extension to load as it is
   * @param options.tests module whose `run()` is called in the extension host
   */
  url(
    folder: string | undefined,
    options: { development?: string; tests?: string; skipWelcome?: boolean } = {},
  ): string {
    const remote = (path: string) => `vscode-remote://${this.authority}${path}`;
    const payload = [
      ...(options.development ? [['extensionDevelopmentPath', remote(options.development)]] : []),
      ...(options.tests ? [['extensionTestsPath', remote(options.tests)]] : []),
    ];
    const url = new URL(`http://${this.authority}/`);
    if (folder?.endsWith('.code-workspace')) url.searchParams.set('workspace', folder);
    else if (folder) url.searchParams.set('folder', folder);
    else url.searchParams.set('ew', 'true');
    if (payload.length > 0) url.searchParams.set('payload', JSON.stringify(payload));
    return url.href;
  }

  /** Changes the user's settings; open windows take them over. */
  async configure(settings: Record<string, unknown>): Promise<void> {
    await writeSettings(this.#folder, settings);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#kill);
    while (this.#kill()) await sleep(LOOK_EVERY_MS);
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Ends its whole group. @returns whether there was one */
  readonly #kill = (): boolean => {
    try {
      process.kill(-(this.#process.pid as number), 'SIGKILL');
      return true;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
      throw error;
    }
  };
}

async function writeSettings(folder: string, settings: Record<string, unknown> = {}): Promise<void> {
  await writeFile(join(folder, 'data/Machine/settings.json'), JSON.stringify({ ...QUIET, ...settings }));
}

/** The browser that shows the window. @throws Error naming what to install */
export async function findChromium(): Promise<string> {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const find = () =>
    [process.env.CODERUNNER_CHROMIUM ?? '', ...names.map((name) => `/usr/bin/${name}`)].find(
      (path) => path && existsSync(path),
    );
  const found = find();
  if (found) return found;
  if (onPath('apt-get'))
    await change('VS Code’s window is tested in Chromium, which is not there.', aptInstall('chromium'), never());
  const installed = find();
  if (installed) return installed;
  throw new Error('There is no Chromium here: install it, or name one with CODERUNNER_CHROMIUM.');
}

async function install(): Promise<void> {
  if (existsSync(COMPLETE) && existsSync(MODULES)) return;
  // Headers that its native modules are built against.
  const headers = ['/usr/include/krb5.h', '/usr/include/libsecret-1'];
  if (!headers.every(existsSync) && onPath('apt-get'))
    await change(
      'VS Code’s native modules need some headers to be built.',
      aptInstall('build-essential', 'python3', 'pkg-config', 'libkrb5-dev', 'libsecret-1-dev'),
      never(),
    );
  await rm(CACHE, { recursive: true, force: true });
  await mkdir(CACHE, { recursive: true });
  const manifest = {
    private: true,
    dependencies: { 'code-server': CODE_SERVER },
    // npm runs no script of a package that is not named here.
    allowScripts: { argon2: true, 'code-server': true },
  };
  await writeFile(join(CACHE, 'package.json'), JSON.stringify(manifest));
  // What an outer npm says of the Node that it runs on itself, code-server would take for the one that it is installed with; what it says
  // of scripts is not about those of these packages.
  const others = ['npm_config_user_agent', 'npm_config_ignore_scripts', 'npm_config_allow_scripts'];
  const npm = ['env', ...others.flatMap((name) => ['-u', name]), 'npm', 'install', '--prefix', CACHE];
  npm.push('--no-audit', '--no-fund', '--no-package-lock');
  const failure = await run(npm, never());
  if (failure || !existsSync(MODULES))
    throw new Error(`code-server could not be installed (${failure ?? 'without its modules'}).`);
  await writeFile(COMPLETE, '');
}

function never(): AbortSignal {
  return new AbortController().signal;
}
