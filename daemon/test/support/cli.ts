/** The command line as people have it: the built program as a child process, with a data folder, and so a daemon, of its own. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Another build can be tested by naming it. */
const PROGRAM =
  process.env.CODERUNNER_TEST_PROGRAM ?? fileURLToPath(new URL('../../dist/coderunner.mjs', import.meta.url));

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: Buffer;
  stderr: string;
}

/** A command that runs. */
export class Running {
  readonly child: ChildProcessWithoutNullStreams;
  /** Resolves when it has ended and both streams are read. */
  readonly ended: Promise<Ended>;
  readonly #stdout: Buffer[] = [];
  readonly #stderr: Buffer[] = [];

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    child.stdout.on('data', (bytes: Buffer) => this.#stdout.push(bytes));
    child.stderr.on('data', (bytes: Buffer) => this.#stderr.push(bytes));
    // A command that ends before it has read all of its input is no failure of the test.
    child.stdin.on('error', () => {});
    this.ended = once(child, 'close').then(([code, signal]) => ({
      code,
      signal,
      stdout: Buffer.concat(this.#stdout),
      stderr: this.stderr,
    }));
  }

  get stdout(): string {
    return Buffer.concat(this.#stdout).toString();
  }

  get stderr(): string {
    return Buffer.concat(this.#stderr).toString();
  }

  /** Resolves when stdout holds a text. Throws where it ends without. */
  async printed(text: string): Promise<void> {
    while (!this.stdout.includes(text)) {
      const more = await Promise.race([once(this.child.stdout, 'data'), this.ended]);
      if (!Array.isArray(more) && !this.stdout.includes(text))
        throw new Error(`It ended without ${JSON.stringify(text)}: ${this.stdout}\n${this.stderr}`);
    }
  }

  type(text: string | Uint8Array): void {
    this.child.stdin.write(text);
  }
}

export class Cli implements AsyncDisposable {
  /** Where its commands run; files are put here. */
  readonly folder: string;
  readonly #root: string;
  readonly #env: NodeJS.ProcessEnv;

  private constructor(root: string, env: NodeJS.ProcessEnv) {
    this.#root = root;
    this.folder = join(root, 'work');
    this.#env = { ...process.env, CODERUNNER_DATA_DIR: this.dataDir, CODERUNNER_POOL_SIZE: '0', ...env };
  }

  /** No container waits unless `env` says otherwise. */
  static async create(env: NodeJS.ProcessEnv = {}): Promise<Cli> {
    const cli = new Cli(await mkdtemp(join(tmpdir(), 'coderunner-cli-')), env);
    await mkdir(cli.folder);
    return cli;
  }

  get dataDir(): string {
    return join(this.#root, 'data');
  }

  /** Writes a file below the folder. @returns its path as commands may be given it */
  async file(path: string, contents: string | Uint8Array): Promise<string> {
    const full = join(this.folder, path);
    await mkdir(dirname(full), { recursive: true });
    await writeFile(full, contents);
    return path;
  }

  spawn(...args: string[]): Running {
    return this.program(process.execPath, [PROGRAM, ...args]);
  }

  /** Another program in the same surroundings; in its arguments `coderunner` can be had from {@link Cli.shell}. */
  program(command: string, args: string[]): Running {
    return new Running(spawn(command, args, { cwd: this.folder, env: this.#env }));
  }

  /** How a shell is to call the command. */
  get shell(): string {
    return `'${process.execPath}' '${PROGRAM}'`;
  }

  /** Runs a command to its end; without input its stdin is at its end from the start. */
  run(args: string[], input: string | Uint8Array = ''): Promise<Ended> {
    const running = this.spawn(...args);
    running.child.stdin.end(input);
    return running.ended;
  }

  /** Stops the daemon, should there be one, and removes everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.run(['stop', '--force']);
    await rm(this.#root, { recursive: true, force: true });
  }
}
