/** What can be done many times a second: runs, and the same programs without CodeRunner. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import type { RunRequest } from '../src/protocol/index.ts';
import { anyContainerOf, runInNewContainer, WarmContainer } from './engine.ts';
import { CLEAN_ENV, expectGreeting } from './hello.ts';
import { PROGRAMS_FOLDER, program, requestFor } from './programs.ts';
import type { Sandbox } from './sandbox.ts';

/** Ours is unchanged since it was compiled; without it each run compiles, as judges and playgrounds do. */
const COMPILE_AND_RUN = ['sh', '-c', 'made=$(mktemp) && g++ -O2 "$0" -o "$made" && "$made" && rm "$made"'];

/** The languages of the table, and what comes before the file's name where a hello is run without CodeRunner: on this machine, and in a container. */
export const HELLOS = {
  python: { file: 'hello.py', bare: ['/usr/bin/python3'], contained: ['python3'] },
  javascript: { file: 'hello.js', bare: [process.execPath], contained: ['node'] },
  cpp: { file: 'hello.cpp', bare: COMPILE_AND_RUN, contained: COMPILE_AND_RUN },
} as const;
export type Hello = keyof typeof HELLOS;

/** As a run has them, except for the memory: `prlimit` can only limit addresses, of which Node reserves gigabytes. */
const LIMITS = ['--core=0', '--nofile=1024', '--cpu=60', `--fsize=${64 * 2 ** 20}`];

/** Runs a hello once; throws where the result is wrong. Nobody looks at it any more when the signal is aborted. */
export type Once = (signal: AbortSignal) => Promise<void>;

/** A run of the hello, as it is sent. */
export function helloRequest(hello: Hello): RunRequest {
  return requestFor(program(HELLOS[hello].file));
}

/** A run by CodeRunner. @param more what the request has besides the program */
export function run(sandbox: Sandbox, hello: Hello, more: Partial<RunRequest> = {}): Once {
  const request = { ...helloRequest(hello), ...more };
  return async (signal) => {
    const { run, output } = await sandbox.run(request, { signal });
    if (signal.aborted) return;
    if (run.state !== 'succeeded') throw new Error(`A run ended ${run.state}: ${run.message ?? run.error?.message}`);
    expectGreeting(output);
  };
}

/** Processes of this machine, with the same limits. */
export async function bare(hello: Hello, resources: AsyncDisposableStack): Promise<Once> {
  const folder = await mkdtemp(join(tmpdir(), 'coderunner-bench-bare-'));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const { bare, file } = HELLOS[hello];
  return async () => {
    const child = spawn('prlimit', [...LIMITS, ...bare, file], {
      cwd: PROGRAMS_FOLDER,
      env: { ...CLEAN_ENV, TMPDIR: folder },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
    expectGreeting(output);
  };
}

/** A container for each, created, started, waited for and removed. */
export async function dockerRun(docker: Docker, hello: Hello): Promise<Once> {
  const image = await imageOf(docker, hello);
  const { contained, file } = HELLOS[hello];
  const options = { image, argv: [...contained, `/work/${file}`], folder: PROGRAMS_FOLDER };
  return async () => expectGreeting((await runInNewContainer(docker, options)).output);
}

/** Commands in one container that is up already, which holds the program. */
export async function warmExec(docker: Docker, hello: Hello, resources: AsyncDisposableStack): Promise<Once> {
  const container = resources.use(await WarmContainer.start(docker, await imageOf(docker, hello)));
  const file = program(HELLOS[hello].file);
  const argv = [...HELLOS[hello].contained, file.name];
  await container.copyAndExec(file, argv);
  return async () => expectGreeting(await container.exec(argv));
}

async function imageOf(docker: Docker, hello: Hello): Promise<string> {
  return (await anyContainerOf(docker, hello)).Config.Image;
}
