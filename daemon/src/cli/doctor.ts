/**
 * `coderunner doctor`: looks at everything that CodeRunner stands on, and says for each thing that is not right what that
 * means and how to mend it. It changes nothing but for one sandbox that it starts and removes again.
 */
import { once } from 'node:events';
import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config.ts';
import type { Attempt } from '../engine/discovery.ts';
import { Engine } from '../engine/engine.ts';
import { type Discovery, discoveryFile } from '../http/daemon.ts';
import { Sandbox } from '../pool/sandbox.ts';
import { CodeRunnerError, formatBytes, formatDuration } from '../protocol/index.ts';
import { Images, OWN_DEBIAN } from '../runtimes/images.ts';
import { loadRuntimes, type Runtime } from '../runtimes/runtime.ts';
import { VERSION } from '../version.ts';

export interface Check {
  /** Stable, for programs. */
  id: string;
  title: string;
  /** `warn`: it works, but not as well as it could. `skip`: cannot be told, because of another check. */
  state: 'ok' | 'warn' | 'fail' | 'skip';
  found: string;
  /** What it means for the person; empty where all is well. */
  meaning: string;
  /** What to do about it; empty where all is well. */
  remedy: string;
}

type Finding = Pick<Check, 'state' | 'found'> & Partial<Check>;

const LEAST_NODE = 24;
/** API 1.41 is Docker 20.10; older ones lack options that the sandboxes are hardened with. */
const LEAST_API_MINOR = 41;
const CALL_WITHIN_MS = 5_000;
const REGISTRY_WITHIN_MS = 10_000;
const MOST_CLOCK_DRIFT_MS = 5_000;
/** An image takes 150 to 400 MB, its build somewhat more. */
const ENOUGH_DISK_BYTES = 3 * 2 ** 30;
const LEAST_DISK_BYTES = 256 * 2 ** 20;
/** The share of the memory that waiting sandboxes may take when all of them are used to their limit. */
const POOL_SHARE = 0.8;

/** What the engine says of itself: the part of `GET /info` that is looked at, which Docker and Podman both fill. */
interface EngineInfo {
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  PidsLimit?: boolean;
  CpuCfsQuota?: boolean;
  CgroupVersion?: string;
  SecurityOptions?: string[];
  Runtimes?: Record<string, unknown>;
  DefaultRuntime?: string;
  Driver?: string;
  DockerRootDir?: string;
  MemTotal?: number;
  SystemTime?: string;
}

interface Surroundings {
  config: Config;
  engine: Engine;
  info: EngineInfo;
  images: Images;
  runtimes: readonly Runtime[];
}

/**
 * Makes all checks, in the order in which one stands on the other.
 * @throws nothing that a check can find: that is in its result
 */
export async function runDoctor(config: Config): Promise<Check[]> {
  const { runtimes, broken } = await loadRuntimes(config.runtimesPath);
  const onThisMachine = [
    await check('node', 'Node.js', checkNode),
    await check('data.folder', 'Data folder', () => checkDataFolder(config.dataDir)),
    await check('data.disk', 'Disk space of the data folder', () => checkDisk(config.dataDir)),
    await check('daemon', 'Daemon', () => checkDaemon(config)),
    await check('port', 'Port', () => checkPort(config)),
    ...(await Promise.all(
      broken.map(({ id, problem }) => check(`runtime.${id}`, `Runtime ${id}`, () => brokenRuntime(problem))),
    )),
  ];
  let engine: Engine;
  try {
    engine = await Engine.connect(config);
  } catch (error) {
    return [...onThisMachine, await check('engine', 'Container engine', () => noEngine(error as Error))];
  }
  await using _ = engine;
  try {
    return [...onThisMachine, ...(await checkWithEngine(config, engine, runtimes))];
  } catch (error) {
    return [...onThisMachine, await check('engine', 'Container engine', () => noEngine(error as Error))];
  }
}

async function checkWithEngine(config: Config, engine: Engine, runtimes: readonly Runtime[]): Promise<Check[]> {
  const info = (await engine.docker.info()) as EngineInfo;
  const images = new Images(config, () => engine);
  await images.prepare(runtimes);
  const around: Surroundings = { config, engine, info, images, runtimes };
  return [
    await check('engine', 'Container engine', () => checkEngine(around)),
    await check('engine.storage', 'Storage of images', () => checkStorage(info)),
    await check('engine.limits', 'Limits of memory, processes and processor time', () => checkLimits(info)),
    await check('engine.seccomp', 'Filter of system calls (seccomp)', () => checkSeccomp(info)),
    await check('engine.users', 'Users of containers', () => checkUsers(info)),
    await check('engine.oci-runtime', 'OCI runtime', () => checkOciRuntime(around)),
    await check('engine.disk', 'Disk space of the engine', () => checkEngineDisk(info)),
    await check('engine.clock', 'Clock', () => checkClock(info)),
    await check('pool.memory', 'Memory for waiting sandboxes', () => checkPoolMemory(around)),
    await check('image.base', 'Base image', () => checkBase(around)),
    ...(await Promise.all(
      runtimes.map((runtime) =>
        check(`runtime.${runtime.id}`, `Runtime ${runtime.name}`, () => checkImage(around, runtime)),
      ),
    )),
    await check('sandbox', 'A sandbox', () => checkSandbox(around)),
  ];
}

/** For a terminal: a line a check, and below what is not right what it means and how to mend it. */
export function renderDoctor(checks: readonly Check[]): string {
  const marks = { ok: '✔', warn: '!', fail: '✖', skip: '-' };
  const lines = checks.flatMap(({ title, state, found, meaning, remedy }) => [
    `${marks[state]} ${title}: ${found}`,
    ...(meaning ? [`    ${meaning}`] : []),
    ...(remedy ? [`    → ${remedy}`] : []),
  ]);
  const count = (state: Check['state']) => checks.filter((one) => one.state === state).length;
  const [failed, warned] = [count('fail'), count('warn')];
  const summary =
    failed > 0
      ? `${failed} of ${checks.length} checks failed.`
      : warned > 0
        ? `Everything works; ${warned} of ${checks.length} checks have a remark.`
        : 'Everything is as it should be.';
  return `${[...lines, '', summary].join('\n')}\n`;
}

/** One check. That it cannot be made is a finding too. */
async function check(id: string, title: string, find: () => Finding | Promise<Finding>): Promise<Check> {
  const finding = await Promise.try(find).catch(
    (error: Error): Finding => ({
      state: 'fail',
      found: `this could not be looked at: ${error.message}`,
      meaning: 'What it is about may not work.',
      remedy: error instanceof CodeRunnerError ? error.hint : 'Mend what the message says, then look again.',
    }),
  );
  return { id, title, meaning: '', remedy: '', ...finding };
}

function checkNode(): Finding {
  const found = `Node ${process.versions.node}`;
  if (Number.parseInt(process.versions.node, 10) >= LEAST_NODE) return { state: 'ok', found };
  return {
    state: 'fail',
    found,
    meaning: `CodeRunner needs Node ${LEAST_NODE} or newer.`,
    remedy: `Install Node ${LEAST_NODE}, or start CodeRunner with \`npm start\`, which brings its own.`,
  };
}

async function checkDataFolder(dataDir: string): Promise<Finding> {
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

async function checkDisk(folder: string): Promise<Finding> {
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

async function checkDaemon(config: Config): Promise<Finding> {
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
async function checkPort({ host, port, dataDir }: Config): Promise<Finding> {
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

function brokenRuntime(problem: string): Finding {
  return {
    state: 'fail',
    found: problem,
    meaning: 'Programs in this language cannot be run. The other languages are not affected.',
    remedy: 'Correct the file; docs/runtimes.md says what each field takes.',
  };
}

function noEngine(error: Error): Finding {
  const known = error instanceof CodeRunnerError ? error : undefined;
  const attempts = Array.isArray(known?.details) ? (known.details as Attempt[]) : [];
  const tried = attempts.map(({ address, problem }) => `${address} (${problem})`).join('; ');
  return {
    state: 'fail',
    found: tried ? `${error.message} Tried: ${tried}.` : error.message,
    meaning: 'Nothing can be run: every program runs in a container.',
    remedy: known?.hint ?? 'Start Docker or Podman.',
  };
}

async function checkEngine({ engine }: Surroundings): Promise<Finding> {
  const { ApiVersion } = await engine.docker.version();
  const found = `${engine.name}, API ${ApiVersion}`;
  if (Number(ApiVersion.split('.')[1]) >= LEAST_API_MINOR) return { state: 'ok', found };
  return {
    state: 'warn',
    found,
    meaning: 'This engine is older than what CodeRunner is tested with; some of the hardening may be missing.',
    remedy: 'Update Docker to 20.10 or newer, or Podman to 4 or newer.',
  };
}

/** Exported, as the next one, for tests: few machines lack it. */
export function checkLimits(info: EngineInfo): Finding {
  const limits = {
    memory: info.MemoryLimit,
    swap: info.SwapLimit,
    processes: info.PidsLimit,
    processor: info.CpuCfsQuota,
  };
  const missing = Object.entries(limits).filter(([, there]) => there === false);
  const version = `cgroup version ${info.CgroupVersion ?? '1'}`;
  if (missing.length === 0) return { state: 'ok', found: version };
  const names = missing.map(([name]) => name);
  return {
    state: names.includes('memory') || names.includes('processes') ? 'fail' : 'warn',
    found: `${version}, without ${names.join(', ')}`,
    meaning: 'A program could take all of these from the machine; the engine ignores the limits that it is told.',
    remedy:
      'With a rootless engine, let systemd delegate the controllers to users (Delegate=cpu cpuset io memory pids for user@.service). ' +
      'Else switch them on at boot: cgroup_enable=memory swapaccount=1.',
  };
}

export function checkSeccomp(info: EngineInfo): Finding {
  if (info.SecurityOptions?.some((option) => option.startsWith('name=seccomp'))) {
    return { state: 'ok', found: 'supported' };
  }
  return {
    state: 'fail',
    found: 'the engine does not support it',
    meaning: 'Programs could use every system call of the kernel, and containers are refused that ask for a filter.',
    remedy: 'Use a kernel with CONFIG_SECCOMP_FILTER and an engine that was built with seccomp.',
  };
}

function checkStorage({ Driver }: EngineInfo): Finding {
  if (!Driver) return { state: 'skip', found: 'the engine does not tell how' };
  if (Driver !== 'vfs') return { state: 'ok', found: Driver };
  return {
    state: 'warn',
    found: Driver,
    meaning: 'Each container gets a copy of its whole image: sandboxes start slowly and fill the disk.',
    remedy:
      'Let the engine use overlay2 or fuse-overlayfs ("storage-driver" in its daemon.json), on a file system that has it.',
  };
}

function checkUsers({ SecurityOptions = [] }: EngineInfo): Finding {
  const has = (name: string) => SecurityOptions.some((option) => option.startsWith(`name=${name}`));
  if (has('rootless')) return { state: 'ok', found: 'the engine is rootless: root of a container is nobody outside' };
  if (has('userns')) return { state: 'ok', found: 'remapped: root of a container is nobody outside' };
  return { state: 'ok', found: 'not remapped; programs run as users 10001 to 11000 without capabilities' };
}

function checkOciRuntime({ config, info }: Surroundings): Finding {
  const wanted = config.ociRuntime;
  if (!wanted) return { state: 'ok', found: `${info.DefaultRuntime ?? 'the engine’s own'}` };
  const known = Object.keys(info.Runtimes ?? {});
  if (known.length === 0 || known.includes(wanted)) return { state: 'ok', found: wanted };
  return {
    state: 'fail',
    found: `${wanted} is not known to the engine; it has ${known.join(', ')}`,
    meaning: 'No sandbox can be created.',
    remedy: `Add "${wanted}" to "runtimes" in the engine's daemon.json and reload it, or unset CODERUNNER_OCI_RUNTIME.`,
  };
}

async function checkEngineDisk(info: EngineInfo): Promise<Finding> {
  const folder = info.DockerRootDir;
  const here = folder !== undefined && (await stat(folder).catch(() => undefined)) !== undefined;
  return here ? checkDisk(folder) : { state: 'skip', found: 'the engine’s disk is not one of this machine' };
}

function checkClock(info: EngineInfo): Finding {
  const engineTime = Date.parse(info.SystemTime ?? '');
  if (Number.isNaN(engineTime)) return { state: 'skip', found: 'the engine does not tell its time' };
  const driftMs = Math.abs(Date.now() - engineTime);
  if (driftMs <= MOST_CLOCK_DRIFT_MS) return { state: 'ok', found: 'engine and this machine agree' };
  return {
    state: 'warn',
    found: `the engine's clock is off by ${formatDuration(driftMs)}`,
    meaning: 'Programs see a wrong time, and certificates may seem to be invalid while images are built.',
    remedy: 'Restart the engine (its virtual machine loses time while a laptop sleeps), or set the clock.',
  };
}

function checkPoolMemory({ config, info, runtimes }: Surroundings): Finding {
  if (!info.MemTotal) return { state: 'skip', found: 'the engine does not tell its memory' };
  const perSet = runtimes.reduce((sum, runtime) => sum + runtime.limits.memoryBytes, 0);
  const needed = perSet * config.poolSize;
  const found = `${config.poolSize} a runtime may use ${formatBytes(needed)} of ${formatBytes(info.MemTotal)}`;
  if (needed <= info.MemTotal * POOL_SHARE) return { state: 'ok', found };
  return {
    state: 'warn',
    found,
    meaning: 'If programs use all the memory they may have, the machine runs out of it.',
    remedy: `Set CODERUNNER_POOL_SIZE to ${Math.max(1, Math.floor((info.MemTotal * POOL_SHARE) / perSet))}.`,
  };
}

async function checkBase({ config, engine, images }: Surroundings): Promise<Finding> {
  if ((await images.state({ id: 'base' })) === 'ready') return { state: 'ok', found: images.tag({ id: 'base' }) };
  for (const name of [config.baseImage, OWN_DEBIAN]) {
    if (await images.exists(name)) return { state: 'ok', found: `${name}, for the first build` };
  }
  const asked = engine.docker.getImage(config.baseImage).distribution();
  const answer = await Promise.race([
    asked.then(
      () => undefined,
      (error: Error) => error.message.trim(),
    ),
    sleep(REGISTRY_WITHIN_MS, 'no answer', { ref: false }),
  ]);
  if (answer === undefined)
    return { state: 'ok', found: `${config.baseImage} is at its registry, for the first build` };
  if (await canBootstrap()) {
    return {
      state: 'warn',
      found: `no registry gives ${config.baseImage} (${answer})`,
      meaning: 'The base image is built from Debian’s packages instead, which takes a little longer, once.',
      remedy: '',
    };
  }
  return {
    state: 'fail',
    found: `no registry gives ${config.baseImage} (${answer})`,
    meaning: 'The images of the languages stand on it; none of them can be built.',
    remedy:
      'Connect to the registry, name an image of your own with CODERUNNER_BASE_IMAGE, or (Debian, as root) `apt-get install mmdebstrap`.',
  };
}

/** Whether a Debian can be built here: mmdebstrap is there, and the user may. */
async function canBootstrap(): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const folders = (process.env.PATH ?? '').split(':');
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, 'mmdebstrap'), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

async function checkImage({ images }: Surroundings, runtime: Runtime): Promise<Finding> {
  if ((await images.state(runtime)) === 'ready') return { state: 'ok', found: images.tag(runtime) };
  return {
    state: 'fail',
    found: 'its image is not built, or was built from other sources',
    meaning: `${runtime.name} programs cannot run yet.`,
    remedy: `coderunner runtimes build ${runtime.id}`,
  };
}

/** Starts a real one and waits until its agent says that it can take a run. */
async function checkSandbox({ config, engine, images, runtimes }: Surroundings): Promise<Finding> {
  const built = await Promise.all(runtimes.map(async (one) => (await images.state(one)) === 'ready'));
  const runtime = runtimes.find((_, index) => built[index]);
  if (!runtime) return { state: 'skip', found: 'no runtime is built' };
  const started = performance.now();
  try {
    const { cpus, workspaceBytes, workspaceFiles, tmpBytes, ociRuntime } = config;
    await using sandbox = await Sandbox.create(
      engine,
      {
        image: images.tag(runtime),
        labels: { 'coderunner.instance': 'doctor', 'coderunner.runtime': runtime.id },
        command: runtime.warm ? ['--', ...runtime.warm.argv] : [],
        user: 0,
        memoryBytes: runtime.limits.memoryBytes,
        pids: runtime.limits.pids,
        cpus,
        workspaceBytes,
        workspaceFiles,
        tmpBytes,
        ...(ociRuntime ? { ociRuntime } : {}),
      },
      new AbortController().signal,
    );
    const found = `${runtime.name} was ready after ${formatDuration(performance.now() - started)}`;
    if (sandbox.warm || !runtime.warm) return { state: 'ok', found };
    return {
      state: 'warn',
      found: `${found}, but without its waiting interpreter`,
      meaning: 'Each run starts its interpreter anew and takes longer.',
      remedy: `coderunner runtimes build ${runtime.id} --force`,
    };
  } catch (error) {
    return {
      state: 'fail',
      found: `${runtime.name}: ${(error as Error).message}`,
      meaning: 'The engine cannot run a sandbox as it is hardened.',
      remedy:
        // Of an engine's error the usual hint is the doctor.
        error instanceof CodeRunnerError && error.code !== 'engine_error'
          ? error.hint
          : 'See the engine’s own log, and the other lines of this list.',
    };
  }
}

/** The folder itself, or the nearest one above it that exists. */
async function nearestFolder(folder: string): Promise<string> {
  for (let path = folder; ; path = dirname(path)) {
    const found = await stat(path).catch(() => undefined);
    if (found || path === dirname(path)) return path;
  }
}
