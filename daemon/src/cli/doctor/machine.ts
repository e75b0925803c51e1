/** What `coderunner doctor` looks at on this machine, whatever engine there is: Node, the data folder, the daemon, its port. */
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname } from 'node:path';
import type { Config } from '../../config.ts';
import { type Discovery, discoveryFile } from '../../http/daemon.ts';
import { formatBytes } from '../../protocol/index.ts';
import { VERSION } from '../../version.ts';
import type { Finding } from './check.ts';

const LEAST_NODE = 24;
const CALL_WITHIN_MS = 5_000;
/** An image takes 150 to 400 MB, its build somewhat more. */
const ENOUGH_DISK_BYTES = 3 * 2 ** 30;
const LEAST_DISK_BYTES = 256 * 2 ** 20;

export function checkNode(): Finding {
  const found = `Node ${process.versions.node}`;
  if (Number.parseInt(process.versions.node, 10) >= LEAST_NODE) return { state: 'ok', found };
  return {
    state: 'fail',
    found,
    meaning: `CodeRunner needs Node ${LEAST_NODE} or newer.`,
    remedy: `Install Node ${LEAST_NODE}, or start CodeRunner with \`npm start\`, which brings its own.`,
  };
}

export async function checkDataFolder(dataDir: string): Promise<Finding> {
  const there = await nearestFolder(dataDir);
  if (!(await stat(there)).isDirectory()) {
    return {
      state: 'fail',
      found: `${there} is no folder`,
      meaning: 'The daemon keeps its history there and cannot start without it.',
      remedy: 'Move that file away, or choose another folder with CODERUNNER_DATA_DIR.',
    };
  }
  try {
    await access(there, constants.W_OK);
  } catch (error) {
    return {
      state: 'fail',
      found: `${there} cannot be written (${(error as NodeJS.ErrnoException).code})`,
      meaning: 'The daemon keeps its history there and cannot start without it.',
      remedy: `Give yourself the folder (\`sudo chown -R "$USER" '${there}'\`), or choose another with CODERUNNER_DATA_DIR.`,
    };
  }
  if (there !== dataDir) return { state: 'ok', found: `${dataDir} (made at the first start)` };
  const { uid, mode: kindAndMode } = await stat(dataDir);
  const mode = kindAndMode & 0o777;
  if (process.getuid !== undefined && uid !== process.getuid()) {
    return {
      state: 'fail',
      found: `${dataDir} belongs to another user`,
      meaning: 'The daemon does not put its token where another user could read it, and does not start.',
      remedy: 'Choose a folder of your own with CODERUNNER_DATA_DIR.',
    };
  }
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    return {
      // Where everybody may write, the daemon does not start.
      state: (mode & 0o002) !== 0 ? 'fail' : 'warn',
      found: `${dataDir} is open to other users (mode ${mode.toString(8)})`,
      meaning: 'Other users of this machine may read the programs that were run and what they printed.',
      remedy: `chmod 700 '${dataDir}'`,
    };
  }
  return { state: 'ok', found: dataDir };
}

export async function checkDisk(folder: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(await nearestFolder(folder));
  const freeBytes = bavail * bsize;
  const found = `${formatBytes(freeBytes)} free`;
  if (freeBytes >= ENOUGH_DISK_BYTES) return { state: 'ok', found };
  return {
    state: freeBytes < LEAST_DISK_BYTES ? 'fail' : 'warn',
    found,
    meaning: 'Images and uploaded files may not fit any more; builds and runs then fail.',
    remedy: `Free some space where ${folder} is.`,
  };
}

export async function checkDaemon(config: Config): Promise<Finding> {
  const source = await readFile(discoveryFile(config.dataDir), 'utf8').catch(() => undefined);
  if (source === undefined) return { state: 'ok', found: 'not running; the first run starts it' };
  const stale = (why: string): Finding => ({
    state: 'warn',
    found: `${discoveryFile(config.dataDir)} tells of a daemon that is not there (${why})`,
    meaning: 'A daemon ended without tidying up. The next one replaces the file and removes what was left.',
    remedy: 'coderunner start',
  });
  let discovery: Discovery;
  try {
    discovery = JSON.parse(source);
    const response = await fetch(new URL('/healthz', discovery.url), { signal: AbortSignal.timeout(CALL_WITHIN_MS) });
    if (!response.ok) return stale(`${discovery.url} answers with ${response.status}`);
  } catch (error) {
    return stale((error as Error).message);
  }
  const found = `${discovery.version} at ${discovery.url}, process ${discovery.pid}`;
  if (discovery.version === VERSION) return { state: 'ok', found };
  return {
    state: 'warn',
    found,
    meaning: `This command is version ${VERSION}; two versions may not understand each other.`,
    remedy: 'coderunner stop, then coderunner start',
  };
}

/** Whether the daemon could listen. Any free port will do unless one is set. */
export async function checkPort({ host, port, dataDir }: Config): Promise<Finding> {
  if (port === 0) return { state: 'ok', found: `any free one of ${host}` };
  const probe = createServer();
  try {
    probe.listen(port, host);
    await once(probe, 'listening');
    return { state: 'ok', found: `${port} of ${host} is free` };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const daemon = await readFile(discoveryFile(dataDir), 'utf8').catch(() => '');
    if (code === 'EADDRINUSE' && daemon.includes(`:${port}"`)) return { state: 'ok', found: `${port}, of the daemon` };
    return {
      state: 'fail',
      found: `${port} of ${host} cannot be listened on (${code})`,
      meaning: 'The daemon cannot start.',
      remedy:
        code === 'EADDRINUSE'
          ? 'Another program has it: end that, or choose another port with CODERUNNER_PORT; 0 takes any free one.'
          : 'Choose an address of this machine with CODERUNNER_HOST, and a port from 1024 on with CODERUNNER_PORT.',
    };
  } finally {
    probe.close();
  }
}

/** The folder itself, or the nearest one above it that exists. */
async function nearestFolder(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    const found = await stat(path).catch(() => undefined);
    if (found || path === dirname(path)) return path;
  }
}
