/** A data folder with a daemon of its own, and folders to work in, which are gone afterwards. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '../../..');
export const EXTENSION = join(ROOT, 'extension');
const NODE = join(ROOT, 'node_modules/node/bin/node');
const CLI = join(ROOT, 'daemon/dist/coderunner.mjs');
const FIXTURES = join(EXTENSION, 'test/fixtures');

/** What the extension under test is given: whatever daemon it starts is stopped when this is disposed of. */
export class Environment implements AsyncDisposable {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;

  private constructor(folder: string, env: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.env = env;
  }

  static async create(extra: NodeJS.ProcessEnv = {}): Promise<Environment> {
    const folder = await mkdtemp(join(tmpdir(), 'coderunner-extension-'));
    // One container of each language is enough for one person, and kind to a small machine.
    const env = {
      CODERUNNER_DATA_DIR: join(folder, 'data'),
      CODERUNNER_POOL_SIZE: '1',
      CODERUNNER_POOL_PREWARM: 'python,javascript',
      ...extra,
    };
    return new Environment(folder, env);
  }

  /** A copy of test/fixtures/NAME, to be changed as a test likes. */
  async workspace(name: string): Promise<string> {
    const copy = join(this.folder, name);
    await mkdir(copy, { recursive: true });
    await cp(join(FIXTURES, name), copy, { recursive: true });
    return copy;
  }

  /** Runs CodeRunner's command line on this data folder. @returns its exit code */
  async coderunner(...args: string[]): Promise<number | null> {
    const child = spawn(NODE, [CLI, ...args], { env: { ...process.env, ...this.env }, stdio: 'ignore' });
    const [code] = await once(child, 'exit');
    return code;
  }

  /** The daemon that serves this data folder. */
  async daemon(): Promise<{ pid: number; url: string; token: string }> {
    return JSON.parse(await readFile(join(this.folder, 'data/daemon.json'), 'utf8'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.coderunner('stop', '--force');
    await rm(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
