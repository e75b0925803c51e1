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

/** The languages of the table, and how each hello is run without CodeRunner. */
export const HELLOS = {
  python: { file: 'hello.py', bare: ['/usr/bin/python3', 'hello.py'] },
  javascript: { file: 'hello.js', bare: [process.execPath, 'hello.js'] },
  // Ours is unchanged since it was compiled; by hand it is compiled each time, as judges and playgrounds do.
  cpp: { file: 'hello.cpp', bare: ['sh', '-c', 'g++ -O2 hello.cpp -o "$0" && exec "$0"'] },
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
  let count = 0;
  const sample = async () => {
    const made = join(folder, `${count++}`);
    const argv = [...HELLOS[hello].bare, ...(hello === 'cpp' ? [made] : [])];
    const child = spawn('prlimit', [...LIMITS, ...argv], {
      cwd: PROGRAMS_FOLDER,
      env: CLEAN_ENV,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output] = await Promise.all([text(child.stdout), once(child, 'close')]);
    expectGreeting(output);
    if (hello === 'cpp') await rm(made);
  };
  return sample;
}

/** A container for each, created, started, waited for and removed. */
export async function dockerRun(docker: Docker): Promise<Once> {
  const image = (await anyContainerOf(docker, 'python')).Config.Image;
  const sample = async () => {
    const options = { image, argv: ['python3', `/work/${HELLOS.python.file}`], folder: PROGRAMS_FOLDER };
    expectGreeting((await runInNewContainer(docker, options)).output);
  };
  return sample;
}

/** Commands in one container that is up already, which holds the program. */
export async function warmExec(docker: Docker, resources: AsyncDisposableStack): Promise<Once> {
  const image = (await anyContainerOf(docker, 'python')).Config.Image;
  const container = resources.use(await WarmContainer.start(docker, image));
  const file = program(HELLOS.python.file);
  const argv = ['python3', file.name];
  await container.copyAndExec(file, argv);
  return async () => expectGreeting(await container.exec(argv));
}
