/** `coderunner lsp`: a language server for editors, on stdin and stdout. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { watch } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { createConnection } from 'vscode-languageserver/node';
import { type Config, loadConfig } from '../config.ts';
import { serveLanguages } from '../lsp/server.ts';
import { uriOf } from '../lsp/uris.ts';
import type { Run } from '../protocol/resources.ts';
import { addedRuntimesFolder, loadRuntimes, ownRoots } from '../runtimes/load.ts';

/** What is kept of a program's output: errors stand at the end. */
const KEPT_CHARACTERS = 256 * 1024;
const SETTLES_AFTER_MS = 100;

/** Serves until the client goes. */
export async function serveLsp(): Promise<never> {
  const config = loadConfig();
  const connection = createConnection(process.stdin, process.stdout);
  const update = serveLanguages(connection, await languages(config), launch);
  await watchLanguages(config, async () => update(await languages(config)));
  // The connection ends the process, when it is told to or when the client is gone.
  return new Promise<never>(() => {});
}

async function languages(config: Config) {
  const { runtimes, broken } = await loadRuntimes(config);
  // Editors keep what a server writes there as its log.
  for (const { problem } of broken) process.stderr.write(`${problem}\n`);
  return runtimes;
}

/** Users' own languages come and go; a copy, or an editor that saves, changes many things at once. */
async function watchLanguages(config: Config, changed: () => Promise<void>): Promise<void> {
  const complain = (error: Error) => void process.stderr.write(`Languages are not followed: ${error.message}\n`);
  let settling: NodeJS.Timeout | undefined;
  const settle = () => {
    clearTimeout(settling);
    settling = setTimeout(() => changed().catch(complain), SETTLES_AFTER_MS);
  };
  await mkdir(addedRuntimesFolder(config), { recursive: true, mode: 0o700 }).catch(complain);
  for (const folder of ownRoots(config)) {
    try {
      watch(folder, { recursive: true }, settle).on('error', complain);
    } catch (error) {
      complain(error as Error);
    }
  }
}

/** Runs a file as `coderunner run` does: that is the one place that knows which files go along. */
async function launch(path: string, signal: AbortSignal) {
  const child = spawn(process.execPath, [process.argv[1] as string, 'run', '--json', '--', path], {
    cwd: dirname(path),
    stdio: ['ignore', 'pipe', 'pipe'],
    windowsHide: true,
  });
  const stop = () => child.kill('SIGINT');
  signal.addEventListener('abort', stop, { once: true });
  // Who shows what it prints is gone by then.
  process.once('exit', stop);
  if (signal.aborted) stop();
  let output = '';
  const read = async () => {
    let end: Pick<Run, 'state' | 'exitCode' | 'message' | 'wallMs' | 'cpuMs' | 'peakMemoryBytes'> | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      const event = JSON.parse(line);
      if (event.type === 'end') end = event;
      if (event.type === 'error') throw new Error(event.error.message);
      if (event.type !== 'stdout' && event.type !== 'stderr') continue;
      const piece = event.encoding === 'base64' ? Buffer.from(event.data, 'base64').toString() : event.data;
      output = (output + piece).slice(-KEPT_CHARACTERS);
    }
    return end;
  };
  try {
    const [ended, complaints] = await Promise.all([read(), text(child.stderr), once(child, 'close')]);
    if (!ended) throw new Error(complaints.trim() || 'The program could not be run.');
    return {
      root: uriOf(dirname(path)),
      entry: basename(path),
      output,
      verdict: ended.message ?? (ended.exitCode === null ? ended.state : `Exit code ${ended.exitCode}`),
      wallMs: ended.wallMs,
      cpuMs: ended.cpuMs,
      peakMemoryBytes: ended.peakMemoryBytes,
    };
  } finally {
    signal.removeEventListener('abort', stop);
    process.off('exit', stop);
  }
}
