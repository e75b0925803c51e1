/** A daemon of the bench's own, as users get it: the bundled program, in a process and a data folder of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { DAEMON_NODE_FLAGS } from '../src/client/ensure.ts';
import type { DaemonStatus, PoolStatus, RuntimeList } from '../src/protocol/index.ts';

/** The bundle, as users get it. */
export const BUNDLE = fileURLToPath(new URL('../dist/coderunner.mjs', import.meta.url));
const POLL_MS = 10;
const READY_WITHIN_MS = 120_000;
/** The kernel counts processor time in these. */
export const TICKS_PER_SECOND = 100;

export class BenchDaemon implements AsyncDisposable {
  readonly url: string;
  readonly token: string;
  readonly pid: number;
  readonly dataDir: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, dataDir: string, url: string, token: string) {
    this.#process = process;
    this.dataDir = dataDir;
    this.url = url;
    this.token = token;
    this.pid = process.pid as number;
  }

  /**
   * Starts one and waits until its pool is full.
   * @param program the daemon's JavaScript
   * @param settings as environment variables, before those of the bench's own environment
   * @throws Error with the end of its log where that does not come
   */
  static async start(program: string, settings: Record<string, string> = {}): Promise<BenchDaemon> {
    if (!existsSync(program)) throw new Error(`${program} is not there. Build it first: npm run build`);
    const dataDir = await mkdtemp(join(tmpdir(), 'coderunner-bench-'));
    const daemon = spawn(process.execPath, [...DAEMON_NODE_FLAGS, program, 'start', '--foreground'], {
      env: {
        // What is measured has to wait from the start; this daemon has no history that would tell it what is used.
        CODERUNNER_POOL_PREWARM: 'python,javascript',
        ...process.env,
        ...settings,
        CODERUNNER_DATA_DIR: dataDir,
        CODERUNNER_LOG_LEVEL: 'warn',
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    for (const stream of [daemon.stdout, daemon.stderr])
      stream.on('data', (chunk) => {
        log = `${log}${chunk}`.slice(-4_000);
      });
    try {
      const { url, token } = await discover(daemon, dataDir);
      const started = new BenchDaemon(daemon, dataDir, url, token);
      await started.#requireImages();
      await started.poolFull();
      return started;
    } catch (error) {
      daemon.kill();
      await ended(daemon);
      await rm(dataDir, { recursive: true, force: true });
      throw new Error(`${(error as Error).message}\n${log}`, { cause: error });
    }
  }

  status(): Promise<DaemonStatus> {
    return this.#get<DaemonStatus>('/v1/status');
  }

  runtimes(): Promise<RuntimeList> {
    return this.#get<RuntimeList>('/v1/runtimes');
  }

  /** Resolves when as many containers wait as should and nothing is under way, so that the next lease is a hit. */
  async poolFull(): Promise<void> {
    for (const deadline = Date.now() + READY_WITHIN_MS; ; await delay(POLL_MS)) {
      const pool = await this.#get<PoolStatus>('/v1/pool');
      if (pool.runtimes.every(({ target, idle, creating, leased }) => idle >= target && creating + leased === 0))
        return;
      if (Date.now() > deadline) throw new Error(`The pool did not fill: ${JSON.stringify(pool)}`);
    }
  }

  /** Resident memory of the daemon's process. Linux only. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Files and connections that the daemon has open. Linux only. */
  openFiles(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Processor time that the daemon has used so far. Linux only. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill('SIGTERM');
    await ended(this.#process);
    await rm(this.dataDir, { recursive: true, force: true });
  }

  async #requireImages(): Promise<void> {
    const { runtimes } = await this.runtimes();
    const missing = runtimes.filter(({ id, state }) => IN_USE.includes(id) && state !== 'ready');
    if (missing.length > 0)
      throw new Error(
        `Not built: ${missing.map(({ id }) => id).join(', ')}. Run \`npm start -- examples/hello.py\` once.`,
      );
  }

  async #get<T>(path: string): Promise<T> {
    const response = await fetch(this.url + path, { headers: { authorization: `Bearer ${this.token}` } });
    if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
    return (await response.json()) as T;
  }
}

/** The runtimes that the bench runs. */
const IN_USE = ['python', 'javascript'];

/** The daemon announces itself in its data folder when it serves. */
async function discover(daemon: ChildProcess, dataDir: string): Promise<{ url: string; token: string }> {
  for (const deadline = Date.now() + READY_WITHIN_MS; Date.now() < deadline; await delay(POLL_MS)) {
    if (daemon.exitCode !== null || daemon.signalCode !== null) throw new Error('The daemon ended at once.');
    const announced = await readFile(join(dataDir, 'daemon.json'), 'utf8').catch(() => undefined);
    if (announced) return JSON.parse(announced) as { url: string; token: string };
  }
  throw new Error('The daemon did not announce itself in time.');
}

async function ended(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit');
}
