/** Where a daemon is, and how the one of this machine is found. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PROTOCOL_VERSION } from '../protocol/constants.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { VERSION } from '../version.ts';

const HEALTHY_WITHIN_MS = 2_000;

/** Not imported: the names that an import asks node:http for include its WebSocket, and with that comes all of `fetch`. */
const { get } = process.getBuiltinModule('node:http');

export interface DaemonAddress {
  /** Such as `http://127.0.0.1:40123`. */
  url: string;
  token: string;
  /** Of its protocol, where it is known before talking to it. */
  protocol?: number;
  version?: string;
}

/** A daemon of this machine, as its discovery file describes it. */
export interface LocalDaemon extends DaemonAddress {
  pid: number;
  version: string;
  protocol: number;
  startedAt: string;
}

export function discoveryFile(dataDir: string): string {
  return join(dataDir, 'daemon.json');
}

/**
 * The daemon that serves this data folder. A file that a dead daemon left is ignored.
 * @returns undefined where none is running
 */
export async function discover(dataDir: string): Promise<LocalDaemon | undefined> {
  const found = await readDiscovery(dataDir);
  return found && isAlive(found.pid) && (await isHealthy(found.url)) ? found : undefined;
}

/** @throws CodeRunnerError version_mismatch, saying which side is older */
export function checkProtocol(daemon: Pick<DaemonAddress, 'protocol' | 'version'>): void {
  if (daemon.protocol === undefined || daemon.protocol === PROTOCOL_VERSION) return;
  const [older, hint] =
    daemon.protocol < PROTOCOL_VERSION
      ? ['older', 'Stop it (`coderunner stop`) so that a new one starts, or update it where it runs.']
      : ['newer', 'Update this program.'];
  throw new CodeRunnerError(
    'version_mismatch',
    `The daemon${daemon.version ? ` ${daemon.version}` : ''} is ${older} than this program (${VERSION}), and they do not understand each other.`,
    { hint, details: { daemon: daemon.protocol, client: PROTOCOL_VERSION } },
  );
}

async function readDiscovery(dataDir: string): Promise<LocalDaemon | undefined> {
  let text: string;
  try {
    text = await readFile(discoveryFile(dataDir), 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code === 'ENOTDIR') throw noFolder(dataDir, 'it is a file, or below one', error);
    throw new CodeRunnerError('not_running', `${discoveryFile(dataDir)} cannot be read: ${(error as Error).message}.`, {
      hint: 'Only the user who started the daemon may read it. Use a data folder of your own (CODERUNNER_DATA_DIR).',
      cause: error,
    });
  }
  try {
    const { url, token, pid, version, protocol, startedAt } = JSON.parse(text);
    const complete = [url, token, version, startedAt].every((value) => typeof value === 'string');
    if (complete && URL.canParse(url) && Number.isInteger(pid) && pid > 0 && Number.isInteger(protocol))
      return { url, token, pid, version, protocol, startedAt };
  } catch (error) {
    // The daemon moves the file into place whole, so half a file is nobody's; other errors are not ours to hide.
    if (!(error instanceof SyntaxError)) throw error;
  }
  return undefined;
}

/** Of a data folder that cannot be one. */
export function noFolder(dataDir: string, why: string, cause: unknown): CodeRunnerError {
  return new CodeRunnerError('bad_setting', `${dataDir} cannot be the data folder: ${why}.`, {
    hint: 'Name a folder that you may write to with CODERUNNER_DATA_DIR.',
    cause,
  });
}

/** Whether a process is there, be it another user's. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Not by `fetch`: loading that costs more than a short program takes to run. */
function isHealthy(url: string): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(new URL('/healthz', url), { timeout: HEALTHY_WITHIN_MS, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > 1_000) request.destroy();
      });
      response.on('close', () => resolve(response.statusCode === 200 && text.includes('"ok"')));
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}
