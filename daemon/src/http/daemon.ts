/** A whole daemon: built from its parts, announced, and taken down again. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { EmbeddedBroker } from '../broker/embedded.ts';
import type { Config } from '../config.ts';
import { Packages } from '../packages/packages.ts';
import { EngineLink } from '../pool/engine-link.ts';
import { Pool } from '../pool/pool.ts';
import { CodeRunnerError, type DaemonStatus, PROTOCOL_VERSION } from '../protocol/index.ts';
import { CompileCache } from '../runs/compile-cache.ts';
import { Runs } from '../runs/runs.ts';
import { Images } from '../runtimes/images.ts';
import { Runtimes } from '../runtimes/runtimes.ts';
import { Blobs } from '../store/blobs.ts';
import { openDatabase, Store } from '../store/store.ts';
import { VERSION } from '../version.ts';
import { buildApp } from './app.ts';
import { ownersByToken } from './auth.ts';

/** Who the daemon's own token belongs to. */
const LOCAL_OWNER = 'local';
/** How often a quiet daemon writes its log back and forgets old runs. */
const TIDY_EVERY_MS = 60_000;
/** Containers of a language wait from the start where it was used within this time: over a weekend, not over a holiday. */
const USED_WITHIN_MS = 7 * 24 * 3_600_000;
/** How long whoever stops a daemon is kept waiting for its engine to remove the containers: a busy one needs seconds, one that hangs never comes to it. */
const REMOVED_WITHIN_MS = 20_000;

/** What clients of this machine find in `daemon.json`. */
export interface Discovery {
  url: string;
  token: string;
  pid: number;
  version: string;
  protocol: number;
  startedAt: string;
}

export interface Daemon {
  readonly url: string;
  readonly token: string;
  /** Resolves when it has stopped, whoever stopped it. */
  readonly stopped: Promise<void>;
  /** @param force ends running programs at once instead of after the grace, also when it is stopping already */
  stop(force?: boolean): Promise<void>;
}

/**
 * Starts the daemon. It serves when this resolves, with or without a container engine.
 * @param options.stopWhenIdle stops by itself after `idleStop` without clients and runs
 * @param options.owners whose other tokens are, besides the daemon's own
 * @throws CodeRunnerError already_running, port_taken, disk_full, bad_setting
 */
export async function startDaemon(
  config: Config,
  options: { stopWhenIdle: boolean; log: Logger; owners?: ReadonlyMap<string, string> },
): Promise<Daemon> {
  const { log } = options;
  await using rollback = new AsyncDisposableStack();
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  await mustBeOurs(config.dataDir);
  rollback.use(lockDataDir(config.dataDir));
  const store = rollback.use(new Store(config.dataDir));
  const blobs = new Blobs(config.dataDir, config.blobBytes);
  const compileCache = new CompileCache({ store, config, log });
  const link = rollback.use(new EngineLink(config));
  await link.start();
  const images = new Images(config, () => link.engine);
  const runtimes = await Runtimes.load(config, images);
  const tellBroken = () => {
    for (const { id, problem } of runtimes.broken) log.error({ runtime: id }, problem);
  };
  tellBroken();
  const instance = await instanceOf(config.dataDir);
  const used = store.usedRuntimes(new Date(Date.now() - USED_WITHIN_MS).toISOString());
  const pool = rollback.use(new Pool({ config, link, images, instance, runtimes: runtimes.usable, used, log }));
  const packages = rollback.use(new Packages({ config, link, images, pool, instance, log }));
  const broker = new EmbeddedBroker(config.maxRunning);
  const runs = new Runs({ config, store, blobs, compileCache, broker, pool, packages, link, images, runtimes, log });

  runtimes.on('changed', () => {
    tellBroken();
    log.info({ runtimes: runtimes.usable.length }, 'the languages were read again');
  });

  const token = config.token || randomBytes(32).toString('base64url');
  const startedAt = new Date().toISOString();
  const clients = new Set<unknown>();
  let url = '';
  let activeAt = Date.now();
  let stopping: Promise<void> | undefined;
  const hurry = new AbortController();
  let resolveStopped = () => {};
  const stopped = new Promise<void>((resolve) => {
    resolveStopped = resolve;
  });

  const status = (): DaemonStatus => ({
    version: VERSION,
    protocol: PROTOCOL_VERSION,
    pid: process.pid,
    startedAt,
    url,
    memoryBytes: process.memoryUsage.rss(),
    clients: clients.size,
    runs: runs.counts,
    pool: pool.status(),
  });
  const app = await buildApp({
    config,
    runs,
    pool,
    packages,
    blobs,
    images,
    runtimes,
    ownerOf: ownersByToken(new Map([...(options.owners ?? []), [token, LOCAL_OWNER]])),
    version: VERSION,
    log,
    clients,
    status,
    shutdown: (force) => stopByItself(force),
    onActivity: () => {
      activeAt = Date.now();
    },
  });
  rollback.defer(() => app.close());
  runs.restore();
  url = await listen(app, config);

  const tidying = setInterval(
    () => {
      const busy = runs.counts.queued + runs.counts.running > 0;
      if (!busy) {
        tidy(store, [blobs, compileCache, packages], config).catch((error) =>
          log.error({ err: error }, 'tidying up failed; trying again later'),
        );
      }
      if (busy || clients.size > 0) activeAt = Date.now();
      else if (options.stopWhenIdle && Date.now() - activeAt >= config.idleStop) {
        log.info('stopping: nobody needs this daemon');
        stopByItself(false);
      }
    },
    Math.min(TIDY_EVERY_MS, config.idleStop / 2),
  );
  rollback.defer(() => clearInterval(tidying));

  packages.start();
  await pool.start();
  runs.start();
  await announce(config.dataDir, {
    url,
    token,
    pid: process.pid,
    version: VERSION,
    protocol: PROTOCOL_VERSION,
    startedAt,
  });
  log.info({ url, engine: pool.status().engine }, 'ready');

  const resources = rollback.move();
  /** All that is asked of it fails then, and everybody who waits for it goes on. */
  const giveUpEngine = () => {
    log.warn('the engine is slow to remove the containers: the next daemon removes what is left of them');
    void link[Symbol.asyncDispose]();
  };
  const stop = async () => {
    log.info({ force: hurry.signal.aborted }, 'stopping');
    try {
      clearInterval(tidying);
      await rm(discoveryFile(config.dataDir), { force: true });
      pool.close();
      await runs.stop(config.stopGrace, hurry.signal);
      const overdue = setTimeout(giveUpEngine, REMOVED_WITHIN_MS);
      await resources.disposeAsync().finally(() => clearTimeout(overdue));
      log.info('stopped');
    } finally {
      resolveStopped();
    }
  };
  const stopByItself = (force: boolean) => {
    daemon.stop(force).catch((error) => log.error({ err: error }, 'stopping left something behind'));
  };
  const daemon: Daemon = {
    url,
    token,
    stopped,
    stop(force = false) {
      if (force) hurry.abort();
      stopping ??= stop();
      return stopping;
    },
  };
  return daemon;
}

async function tidy(store: Store, kept: readonly { tidy(): Promise<void> }[], config: Config): Promise<void> {
  store.tidy(config.historyRuns);
  for (const each of kept) await each.tidy();
}

/** Who may put files into the data folder could have the token written into one of theirs. */
async function mustBeOurs(dataDir: string): Promise<void> {
  const { uid, mode } = await stat(dataDir);
  const isForeign = process.getuid !== undefined && uid !== process.getuid();
  const isOpen = process.platform !== 'win32' && (mode & 0o002) !== 0;
  if (!isForeign && !isOpen) return;
  throw new CodeRunnerError(
    'bad_setting',
    isForeign
      ? `The data folder ${dataDir} belongs to another user.`
      : `Every user of this machine may write into the data folder ${dataDir}.`,
    { hint: `Choose a folder of your own with CODERUNNER_DATA_DIR${isForeign ? '' : `, or chmod 700 '${dataDir}'`}.` },
  );
}

/** Where clients of this machine look. */
export function discoveryFile(dataDir: string): string {
  return join(dataDir, 'daemon.json');
}

/** Written aside and moved, so that nobody reads half of it; only its user may read it at all. */
async function announce(dataDir: string, discovery: Discovery): Promise<void> {
  const aside = `${discoveryFile(dataDir)}.${randomBytes(6).toString('hex')}`;
  await writeFile(aside, `${JSON.stringify(discovery, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
  await rename(aside, discoveryFile(dataDir));
}

/** One daemon per data folder: an exclusive SQLite transaction is a lock that the kernel gives back however the process ends. */
function lockDataDir(dataDir: string): Disposable {
  const db = openDatabase(join(dataDir, 'daemon.lock'));
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if ((error as { errcode?: number }).errcode !== 5) throw error;
    throw new CodeRunnerError('already_running', `A daemon is already running on ${dataDir}.`, { cause: error });
  }
  return { [Symbol.dispose]: () => db.close() };
}

/** Where the name of a data folder is kept. */
export function instanceFile(dataDir: string): string {
  return join(dataDir, 'instance');
}

/**
 * Names this data folder on the engine's labels, so that a daemon removes only what its own predecessors left. Its path would not do: machines
 * that share an engine may have the same ones.
 */
async function instanceOf(dataDir: string): Promise<string> {
  const file = instanceFile(dataDir);
  const kept = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  if (/^[0-9a-f]{16}$/.test(kept)) return kept;
  const instance = randomBytes(8).toString('hex');
  await writeFile(file, instance, { mode: 0o600 });
  return instance;
}

async function listen(app: Awaited<ReturnType<typeof buildApp>>, config: Config): Promise<string> {
  try {
    const address = await app.listen({ host: config.host, port: config.port });
    return address.replace('[::]', '[::1]').replace('0.0.0.0', '127.0.0.1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE')
      throw new CodeRunnerError('port_taken', `Port ${config.port} on ${config.host} is taken by another program.`, {
        cause: error,
      });
    if (code === 'EACCES')
      throw new CodeRunnerError('port_taken', `Port ${config.port} is not for this user.`, {
        hint: 'Choose a port from 1024 on with CODERUNNER_PORT.',
        cause: error,
      });
    if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
      throw new CodeRunnerError('bad_setting', `This machine has no address ${config.host} (CODERUNNER_HOST).`, {
        cause: error,
      });
    throw error;
  }
}
