/** A whole daemon over the real engine, in this process, with a client as everybody has it. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import pino from 'pino';
import { Client, type RunHandle, type SourceFile, type StartRequest } from '../../src/client/index.ts';
import { loadConfig } from '../../src/config.ts';
import { Engine } from '../../src/engine/engine.ts';
import { startDaemon } from '../../src/http/daemon.ts';
import type { Run } from '../../src/protocol/index.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';
import { buildImages } from './images.ts';

/** What a person would do when the program has printed `after`: type, close the input, send a signal. */
export interface Reaction {
  after: string;
  type?: string;
  close?: true;
  signal?: string;
}

export interface Program extends Omit<StartRequest, 'stdin'> {
  /** All of its input: text goes with the request, bytes are streamed. Without any, and without reactions, there is none. */
  stdin?: string | Uint8Array;
  /** Done one after the other, each once. */
  reactions?: readonly Reaction[];
}

export interface Finished {
  run: Run;
  stdout: Buffer;
  stderr: Buffer;
}

export class TestDaemon implements AsyncDisposable {
  readonly client: Client;
  readonly runtimes: readonly Runtime[];
  readonly #resources: AsyncDisposableStack;

  private constructor(client: Client, runtimes: readonly Runtime[], resources: AsyncDisposableStack) {
    this.client = client;
    this.runtimes = runtimes;
    this.#resources = resources;
  }

  /**
   * Starts one that has the images of all languages; missing ones are built, which takes minutes.
   * @param wanted only these languages, with services as in `python+mariadb`
   */
  static async start(wanted?: readonly string[]): Promise<TestDaemon> {
    await using rollback = new AsyncDisposableStack();
    const dataDir = await mkdtemp(join(tmpdir(), 'coderunner-test-'));
    rollback.defer(() => rm(dataDir, { recursive: true, force: true }));
    const config = loadConfig(process.env, { dataDir, host: '127.0.0.1', port: 0, token: '', poolSize: 1 });
    const { runtimes } = await prepareImages(config, wanted);
    const daemon = await startDaemon(config, { stopWhenIdle: false, log: pino({ level: 'silent' }) });
    rollback.defer(() => daemon.stop(true));
    const client = rollback.use(new Client({ locate: async () => daemon }));
    return new TestDaemon(client, runtimes, rollback.move());
  }

  /** Runs a program to its end. @throws Error when some of its output did not arrive, or a reaction had no occasion */
  async run({ reactions = [], stdin, ...request }: Program): Promise<Finished> {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const waiting = [...reactions];
    const started = Promise.withResolvers<RunHandle>();
    let seen = '';
    const react = async () => {
      const handle = await started.promise;
      for (let next = waiting[0]; next && seen.includes(next.after); next = waiting[0]) {
        waiting.shift();
        seen = '';
        if (next.type !== undefined) await handle.write(Buffer.from(next.type));
        if (next.close) await handle.eof();
        if (next.signal !== undefined) await handle.signal(next.signal);
      }
    };
    const live = reactions.length > 0 || stdin instanceof Uint8Array;
    const input = live ? {} : { stdin: (stdin as string | undefined) ?? null };
    const handle = await this.client.start(
      { ...request, ...input },
      {
        onOutput({ channel, data }) {
          (channel === 'stderr' ? stderr : stdout).push(Buffer.from(data));
          if (waiting.length === 0) return undefined;
          seen += Buffer.from(data).toString();
          return react();
        },
        onGap(from, to) {
          throw new Error(`Output from ${from} to ${to} was lost.`);
        },
      },
    );
    started.resolve(handle);
    if (stdin instanceof Uint8Array) {
      await handle.write(stdin);
      await handle.eof();
    }
    const run = await handle.done;
    if (waiting.length > 0) throw new Error(`It ended without printing ${JSON.stringify(waiting[0]?.after)}.`);
    return { run, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
  }

  /** The contents of a file that a run produced. */
  async produced(run: Run, path: string): Promise<Buffer> {
    const file = run.files.find((candidate) => candidate.path === path);
    if (!file)
      throw new Error(`The run produced no ${path}, but ${run.files.map((one) => one.path).join(', ') || 'nothing'}.`);
    const chunks: Uint8Array[] = [];
    for await (const chunk of await this.client.api.blob(file.sha256)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }
}

async function prepareImages(config: ReturnType<typeof loadConfig>, wanted: readonly string[] | undefined) {
  await using engine = await Engine.connect(config);
  return await buildImages(config, engine, wanted);
}

/** A folder's files, as the workspace of a run. */
export async function workspace(folder: string): Promise<SourceFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return { path: relative(folder, path).split(sep).join('/'), content: await readFile(path) };
      }),
  );
}
