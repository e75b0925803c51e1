/** The container engine used directly, the ways everybody uses it: what CodeRunner is compared with. */
import { performance } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import tar from 'tar-stream';
import { loadConfig } from '../src/config.ts';
import { findEngine } from '../src/engine/discovery.ts';

/** Marks what the bench creates, so that it can be found if the bench is killed. */
const LABELS = { 'coderunner.bench': 'true' };

export async function connectEngine(): Promise<Docker> {
  return (await findEngine(loadConfig().engine)).docker;
}

/** A new container for one program, as `docker run --rm -v FOLDER:/work` makes it. @returns what it printed, and the time */
export async function runInNewContainer(
  docker: Docker,
  { image, argv, folder }: { image: string; argv: string[]; folder: string },
): Promise<{ ms: number; output: string }> {
  const begin = performance.now();
  const container = await docker.createContainer({
    Image: image,
    Entrypoint: argv,
    Cmd: [],
    WorkingDir: '/work',
    User: '10001',
    Labels: LABELS,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: { AutoRemove: true, NetworkMode: 'none', Binds: [`${folder}:/work:ro`] },
  });
  const stream = await container.attach({ stream: true, stdout: true, stderr: true });
  const output = collectOutput(docker, stream);
  const exited = container.wait({ condition: 'next-exit' });
  await container.start();
  const [{ StatusCode }, printed] = await Promise.all([exited, output]);
  const ms = performance.now() - begin;
  if (StatusCode !== 0) throw new Error(`The container's program exited with ${StatusCode}: ${printed}`);
  return { ms, output: printed };
}

/** A container that is up already, into which files are copied and commands executed. */
export class WarmContainer implements AsyncDisposable {
  readonly #docker: Docker;
  readonly #container: Docker.Container;

  private constructor(docker: Docker, container: Docker.Container) {
    this.#docker = docker;
    this.#container = container;
  }

  static async start(docker: Docker, image: string): Promise<WarmContainer> {
    const container = await docker.createContainer({
      Image: image,
      Entrypoint: ['sleep', 'infinity'],
      Cmd: [],
      User: '10001',
      Labels: LABELS,
      HostConfig: { NetworkMode: 'none' },
    });
    await container.start();
    return new WarmContainer(docker, container);
  }

  /** Copies one file in and executes a command on it. @returns what it printed, and the time of both */
  async copyAndExec(file: { name: string; content: string }, argv: string[]): Promise<{ ms: number; output: string }> {
    const begin = performance.now();
    const pack = tar.pack();
    pack.entry({ name: file.name, mode: 0o644 }, file.content);
    pack.finalize();
    await this.#container.putArchive(pack as unknown as Readable, { path: '/tmp' });
    const output = await this.exec(argv);
    return { ms: performance.now() - begin, output };
  }

  /** Executes a command where files are copied to. @returns what it printed */
  async exec(argv: string[]): Promise<string> {
    const exec = await this.#container.exec({ Cmd: argv, WorkingDir: '/tmp', AttachStdout: true, AttachStderr: true });
    const output = await collectOutput(this.#docker, await exec.start({}));
    const { ExitCode } = await exec.inspect();
    if (ExitCode !== 0) throw new Error(`The command in the container exited with ${ExitCode}: ${output}`);
    return output;
  }

  /**
   * Does in a folder that holds the file what a shell is told.
   * @returns what that printed, and the time that it took without the exec around it
   */
  async timeInside(script: string, file: { name: string; content: string }): Promise<{ ms: number; output: string }> {
    const timed = `printf %s "$2" > "$1" && s=$(date +%s%N) && { ${script}; } && e=$(date +%s%N) && echo "$((e - s))"`;
    const exec = await this.#container.exec({
      Cmd: ['sh', '-c', timed, 'sh', file.name, file.content],
      Env: ['HOME=/tmp'],
      WorkingDir: '/tmp',
      AttachStdout: true,
      AttachStderr: true,
    });
    const printed = await collectOutput(this.#docker, await exec.start({}));
    const { ExitCode } = await exec.inspect();
    if (ExitCode !== 0) throw new Error(`${script} exited with ${ExitCode}: ${printed}`);
    const [, output = '', nanoseconds] = /^([\s\S]*?)(\d+)\n$/.exec(printed) ?? [];
    return { ms: Number(nanoseconds) / 1e6, output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#container.remove({ force: true });
  }
}

/**
 * Creates, starts and removes copies of a container until the time is over, a few at a time.
 * @param options.like the container that is copied: same image, command, limits and hardening
 * @returns containers per second
 */
export async function cycleContainers(
  docker: Docker,
  options: { like: Docker.ContainerInspectInfo; concurrency: number; seconds: number },
): Promise<number> {
  const { Config, HostConfig } = options.like;
  const begin = performance.now();
  let cycles = 0;
  const loop = async () => {
    while (performance.now() - begin < options.seconds * 1000) {
      const container = await docker.createContainer({
        ...Config,
        Labels: LABELS,
        HostConfig: { ...HostConfig, AutoRemove: false },
      });
      try {
        await container.start();
      } finally {
        await container.remove({ force: true });
      }
      cycles++;
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, loop));
  return cycles / ((performance.now() - begin) / 1000);
}

/** A container that waits or runs now, of one runtime. The newest that is still there when it is looked at. */
export async function anyContainerOf(docker: Docker, runtime: string): Promise<Docker.ContainerInspectInfo> {
  for (const { Id } of await docker.listContainers({ filters: { label: [`coderunner.runtime=${runtime}`] } })) {
    try {
      return await docker.getContainer(Id).inspect();
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode !== 404) throw error;
    }
  }
  throw new Error(`No ${runtime} container waits.`);
}

async function collectOutput(docker: Docker, stream: NodeJS.ReadableStream): Promise<string> {
  const printed = new PassThrough();
  docker.modem.demuxStream(stream, printed, printed);
  stream.once('end', () => printed.end());
  stream.once('close', () => printed.end());
  stream.once('error', (error) => printed.destroy(error as Error));
  return text(printed);
}
