/** Starts the daemon of this machine where none runs. */
import { spawn } from 'node:child_process';
import { mkdir, open, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CodeRunnerError } from '../protocol/errors.ts';
import { checkProtocol, discover, type LocalDaemon, noFolder } from './address.ts';
import { NO_BACKGROUND_COMPILERS } from './node-flags.ts';

/** A daemon serves within half a second or so, longer on a machine that is busy or has just started. */
const SERVES_WITHIN_MS = 30_000;
const LOOK_EVERY_MS = 15;
/** Between starts while another daemon has the data folder and does not serve; longer each time. */
const RELAUNCH_FIRST_MS = 300;
const RELAUNCH_MOST_MS = 3_000;
/** A log that is longer when a daemon starts is put aside, so that it cannot grow for ever. */
const LONGEST_LOG_BYTES = 10 * 2 ** 20;
const LAST_LOG_BYTES = 4_096;

/**
 * How Node runs a daemon. A small young generation frees the memory of passing output sooner, and saves an idle daemon 5 MB;
 * the optimising compilers would take 9 MB for a program that mostly waits and moves bytes, and save it a tenth of its
 * processor time when output floods; the smaller of V8's choices save 3 MB more. docs/performance.md has the measurements.
 */
export const DAEMON_NODE_FLAGS = [
  ...NO_BACKGROUND_COMPILERS,
  '--max-semi-space-size=1',
  '--optimize-for-size',
] as const;

export interface EnsureOptions {
  dataDir: string;
  /**
   * The program and its arguments, such as `[node, ...DAEMON_NODE_FLAGS, coderunner.mjs, 'start', '--foreground',
   * '--stop-when-idle']`.
   */
  command: readonly [string, ...string[]];
  env?: NodeJS.ProcessEnv;
  signal?: AbortSignal | undefined;
}

/** What the daemons of a data folder print: theirs, and that of a runtime that breaks. */
export function logFile(dataDir: string): string {
  return join(dataDir, 'daemon.log');
}

/**
 * The daemon that serves a data folder; starts one, in a session of its own, where there is none.
 * @throws CodeRunnerError version_mismatch; not_running, with the end of its log, when it does not come up; the signal's reason
 */
export async function ensureDaemon(options: EnsureOptions): Promise<LocalDaemon & { startedNow: boolean }> {
  const running = await discover(options.dataDir);
  if (running) {
    checkProtocol(running);
    return { ...running, startedNow: false };
  }
  const cancellable = options.signal ? { signal: options.signal } : {};
  let launched = await launch(options);
  const giveUpAt = performance.now() + SERVES_WITHIN_MS;
  let relaunchMs = RELAUNCH_FIRST_MS;
  for (;;) {
    await sleep(LOOK_EVERY_MS, undefined, cancellable);
    const started = await discover(options.dataDir);
    if (started) {
      checkProtocol(started);
      return { ...started, startedNow: started.pid === launched.pid };
    }
    const failure = launched.ended();
    if (failure !== undefined) {
      const said = await logSince(options.dataDir, launched.logFrom);
      if (!said.includes('already_running'))
        throw didNotStart(options.dataDir, said, `The daemon ended as soon as it was started (${failure}).`);
      // Another one is coming up, and will be found; or one is stopping, and its place will be free.
      if (performance.now() > giveUpAt) throw occupied(options.dataDir);
      await sleep(relaunchMs, undefined, cancellable);
      relaunchMs = Math.min(relaunchMs * 2, RELAUNCH_MOST_MS);
      if (!(await discover(options.dataDir))) launched = await launch(options);
    }
    if (performance.now() > giveUpAt)
      throw didNotStart(
        options.dataDir,
        await logSince(options.dataDir, launched.logFrom),
        'The daemon was started, but does not serve.',
      );
  }
}

/** @returns its process, why it ended, once it has, and where in the log its lines begin */
async function launch({ dataDir, command, env }: EnsureOptions) {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw noFolder(dataDir, (error as Error).message, error);
  }
  const path = logFile(dataDir);
  const size = await sizeOf(path);
  if (size > LONGEST_LOG_BYTES) await rename(path, `${path}.1`);
  const log = await open(path, 'a', 0o600);
  let failure: string | undefined;
  let pid: number | undefined;
  try {
    const [program, ...args] = command;
    const child = spawn(program, args, {
      cwd: dataDir,
      detached: true,
      env: env ?? process.env,
      stdio: ['ignore', log.fd, log.fd],
      windowsHide: true,
    });
    pid = child.pid;
    child.on('error', (error) => {
      failure = error.message;
    });
    child.on('exit', (code, signal) => {
      failure = signal ?? `exit code ${code}`;
    });
    child.unref();
  } finally {
    await log.close();
  }
  return { pid, ended: () => failure, logFrom: size > LONGEST_LOG_BYTES ? 0 : size };
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}

function occupied(dataDir: string): CodeRunnerError {
  return new CodeRunnerError('not_running', `Another daemon has the data folder ${dataDir}, but does not serve.`, {
    hint: `It may still be stopping: ${logFile(dataDir)} tells. Wait for it, or end that process.`,
  });
}

function didNotStart(dataDir: string, said: string, message: string): CodeRunnerError {
  return new CodeRunnerError('not_running', message, {
    hint: `${said.trim() ? `It said:\n${said.trim()}\n` : ''}See ${logFile(dataDir)}, and \`coderunner doctor\`.`,
  });
}

async function logSince(dataDir: string, from: number): Promise<string> {
  await using log = await open(logFile(dataDir), 'r');
  const { size } = await log.stat();
  const start = Math.max(from, size - LAST_LOG_BYTES);
  const { bytesRead, buffer } = await log.read({ position: start, buffer: Buffer.alloc(Math.max(1, size - start)) });
  return buffer.toString('utf8', 0, bytesRead);
}
