/** Runs fixtures in real containers, through the agent, without a daemon around them. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { text } from 'node:stream/consumers';
import tar from 'tar-stream';
import type { AgentExit, StageStart } from '../../src/agent/agent.ts';
import { loadConfig } from '../../src/config.ts';
import type { ContainerSpec } from '../../src/engine/container.ts';
import { Engine } from '../../src/engine/engine.ts';
import { Sandbox } from '../../src/pool/sandbox.ts';
import { CHANNEL, type TtySize } from '../../src/protocol/index.ts';
import { expandArgv, type Runtime } from '../../src/runtimes/runtime.ts';
import { buildImages } from './images.ts';

const ENV = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  HOME: '/workspace',
  LANG: 'C.UTF-8',
  USER: 'sandbox',
};
const LIMITS = { wallMs: 60_000, cpuMs: 60_000, outputBytes: 2 ** 27, fileBytes: 2 ** 26, openFiles: 256 };
const CREDIT_BYTES = 2 ** 28;

/** Something done once, when the program has printed `to`. */
export interface Reaction {
  to: string;
  stdin?: string;
  signal?: number;
}

export interface RunOptions {
  /** Folder of this machine whose contents become the workspace. */
  files: string;
  entry: string;
  args?: string[];
  env?: Record<string, string>;
  /** All of its stdin; on a terminal there is no end of it. */
  stdin?: string;
  tty?: TtySize;
  react?: Reaction[];
  warm: boolean;
  /** Output that it may send for now; what no test prints so much as, where nothing else is said. */
  creditBytes?: number;
  /** What differs from the usual limits. */
  limits?: Partial<StageStart['limits']>;
}

export interface RunEnd extends AgentExit {
  stdout: Buffer;
  stderr: Buffer;
}

/** An engine with the image of one language. */
export class TestRuntime implements AsyncDisposable {
  readonly #engine: Engine;
  readonly #runtime: Runtime;
  readonly #image: string;

  private constructor(engine: Engine, runtime: Runtime, image: string) {
    this.#engine = engine;
    this.#runtime = runtime;
    this.#image = image;
  }

  /** Builds the image if it is not there, which takes minutes. */
  static async open(id: string): Promise<TestRuntime> {
    const config = loadConfig();
    const engine = await Engine.connect(config);
    const { runtimes, images } = await buildImages(config, engine, [id]);
    const [runtime] = runtimes as [Runtime];
    return new TestRuntime(engine, runtime, images.tag(runtime));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#engine[Symbol.asyncDispose]();
  }

  /** One run in a container of its own. */
  async run(options: RunOptions): Promise<RunEnd> {
    await using sandbox = await this.sandbox();
    return await this.runIn(sandbox, options);
  }

  /** @param command what the agent is told instead of the runtime's own */
  sandbox(command?: string[]): Promise<Sandbox> {
    const spec = this.#spec();
    return Sandbox.create(this.#engine, { ...spec, command: command ?? spec.command }, AbortSignal.timeout(60_000));
  }

  /** Starts a container that nobody speaks to, and waits for its end. @param command what its agent is told */
  async endUnanswered(command: string[]): Promise<void> {
    const container = await this.#engine.createContainer({ ...this.#spec(), command }, AbortSignal.timeout(60_000));
    try {
      const ended = Promise.withResolvers<void>();
      container.attachment.onClose = () => ended.resolve();
      container.attachment.listen();
      await ended.promise;
    } finally {
      await container.remove();
    }
  }

  async runIn({ agent }: Sandbox, options: RunOptions): Promise<RunEnd> {
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const reactions = [...(options.react ?? [])];
    agent.onOutput = (channel, bytes) => {
      (channel === CHANNEL.stderr ? stderr : stdout).push(bytes);
      const [next] = reactions;
      if (!next || !Buffer.concat(stdout).includes(next.to)) return;
      reactions.shift();
      if (next.stdin !== undefined) agent.stdin(Buffer.from(next.stdin));
      if (next.signal !== undefined) agent.signal(next.signal);
    };
    await agent.sendFiles(archive(options.files));
    agent.credit(options.creditBytes ?? CREDIT_BYTES);
    const end = agent.runStage(this.#start(options));
    if (!options.tty) agent.stdin(Buffer.from(options.stdin ?? ''), true);
    return { ...(await end), stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) };
  }

  /** Has root do something in the container, with the rights that the container has. @returns what it printed */
  async asRoot({ id }: Sandbox, argv: string[]): Promise<string> {
    const container = this.#engine.docker.getContainer(id);
    // On a terminal, so that the output is not in frames.
    const exec = await container.exec({ Cmd: argv, User: '0:0', Tty: true, AttachStdout: true, AttachStderr: true });
    return text(await exec.start({ Tty: true }));
  }

  #spec(): ContainerSpec {
    const { id, limits, warm } = this.#runtime;
    return {
      image: this.#image,
      labels: { 'coderunner.instance': 'test', 'coderunner.runtime': id },
      command: warm ? [...(warm.forks ? ['--warm-forks'] : []), '--', ...warm.argv] : [],
      user: 0,
      memoryBytes: limits.memoryBytes,
      pids: limits.pids,
      cpus: 1,
      workspaceBytes: 2 ** 26,
      workspaceFiles: 10_000,
      tmpBytes: 2 ** 26,
    };
  }

  #start({ entry, args = [], env, tty, warm, limits }: RunOptions): StageStart {
    return {
      stage: 'run',
      argv: expandArgv(this.#runtime.run.argv, { entry, args, options: {} }),
      env: { ...ENV, ...this.#runtime.env, ...(tty ? { TERM: 'xterm-256color' } : {}), ...env },
      cwd: '/workspace',
      tty: tty ?? null,
      warm: warm ? { entry, args } : null,
      limits: { ...LIMITS, ...limits },
    };
  }
}

/** A folder's files as a tar archive. */
async function* archive(folder: string): AsyncGenerator<Uint8Array> {
  const pack = tar.pack();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    pack.entry({ name: relative(folder, path) }, await readFile(path));
  }
  pack.finalize();
  yield* pack as AsyncIterable<Uint8Array>;
}
