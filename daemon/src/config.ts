/**
 * Every setting of the daemon, once. A value comes from the environment, else from the configuration file, else from the
 * default here. `docs/configuration.md` is generated from this table.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { CodeRunnerError } from './protocol/errors.ts';
import { formatBytes, formatDuration, parseBytes, parseDuration } from './protocol/units.ts';

export interface Setting<T> {
  env: string;
  description: string;
  default: T;
  /** What the default is called in the documentation, where it depends on the machine. */
  defaultText: string;
  /** From text (environment) or a JSON value (file); undefined where the value will not do. */
  parse(value: unknown): T | undefined;
  /** What `parse` takes, for error messages and the documentation. */
  takes: string;
  /** A value as people write it, where that is not what it is. */
  show?(value: T): string;
}

/** The languages and the seccomp profile that come with CodeRunner; as far from the sources as from the bundle. */
export const BUNDLED_RUNTIMES = fileURLToPath(new URL('../../runtimes/', import.meta.url));

const paths = envPaths('coderunner', { suffix: '' });

function text(env: string, description: string, fallback: string, defaultText = fallback || '(none)'): Setting<string> {
  return {
    env,
    description,
    default: fallback,
    defaultText,
    takes: 'text',
    parse: (v) => (typeof v === 'string' ? v : undefined),
  };
}

function folder(env: string, description: string, fallback: string, defaultText: string): Setting<string> {
  const parse = (v: unknown) => (typeof v === 'string' && v !== '' ? resolve(v) : undefined);
  return { env, description, default: fallback, defaultText, takes: 'a path', parse };
}

function list(env: string, description: string, fallback: string[]): Setting<string[]> {
  const parse = (v: unknown) => {
    const items = typeof v === 'string' ? v.split(',').map((item) => item.trim()) : v;
    if (!Array.isArray(items) || !items.every((item) => typeof item === 'string')) return undefined;
    return items.filter((item) => item !== '');
  };
  return {
    env,
    description,
    default: fallback,
    defaultText: fallback.join(',') || '(none)',
    takes: 'names separated by commas',
    parse,
  };
}

function choice<const T extends string>(
  env: string,
  description: string,
  values: readonly T[],
  fallback: T,
): Setting<T> {
  const parse = (v: unknown) => values.find((value) => value === v);
  return { env, description, default: fallback, defaultText: fallback, takes: `one of ${values.join(', ')}`, parse };
}

/** `NAME=URL` items; several of one name are all allowed, the first is the one that the tool asks. */
function registries(env: string, description: string): Setting<string[]> {
  const names = list(env, description, []);
  const parse = (v: unknown) => {
    const items = names.parse(v);
    return items?.every((item) => registryOf(item)) ? items : undefined;
  };
  return { ...names, parse, takes: 'NAME=URL separated by commas; http or https, without user, password and query' };
}

/** A tool's name and an address; undefined where it is neither. */
export function registryOf(item: string): { tool: string; url: URL } | undefined {
  const [, tool, address = ''] = /^([a-z][a-z0-9-]*)=(https?:\/\/[^\s"'<>\\^`{|}]+)$/.exec(item) ?? [];
  if (tool === undefined || !URL.canParse(address)) return undefined;
  const url = new URL(address);
  // What installs could read a password, and is not trusted with one.
  return url.username || url.password || url.search || url.hash ? undefined : { tool, url };
}

/** `http://[USER:PASSWORD@]HOST:PORT` */
function httpProxy(env: string, description: string, fallback: string): Setting<string> {
  const parse = (v: unknown) => {
    if (typeof v !== 'string') return undefined;
    const usable = v === '' || /^http:\/\/([^\s@/:"]+:[^\s@/"]*@)?[A-Za-z0-9.-]+:\d{1,5}\/?$/.test(v);
    return usable ? v : undefined;
  };
  return { env, description, default: fallback, defaultText: '(none)', takes: 'http://HOST:PORT', parse };
}

interface Range {
  min: number;
  max: number;
  defaultText?: string;
}

function integer(
  env: string,
  description: string,
  fallback: number,
  { min, max, defaultText }: Range,
): Setting<number> {
  const parse = (v: unknown) => {
    const value = typeof v === 'string' && /^\d+$/.test(v.trim()) ? Number(v) : v;
    return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  };
  return {
    env,
    description,
    default: fallback,
    defaultText: defaultText ?? `${fallback}`,
    takes: `a whole number from ${min} to ${max}`,
    parse,
  };
}

function quantity(
  env: string,
  description: string,
  fallback: number,
  { min, max }: Range,
  read: (text: string) => number | undefined,
  show: (value: number) => string,
): Setting<number> {
  const parse = (v: unknown) => {
    const value = typeof v === 'string' ? read(v) : v;
    return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined;
  };
  return {
    env,
    description,
    default: fallback,
    defaultText: show(fallback),
    takes: `from ${show(min)} to ${show(max)}`,
    parse,
    show,
  };
}

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const bytes = (env: string, description: string, fallback: number, range: Range) =>
  quantity(env, description, fallback, range, parseBytes, formatBytes);
const duration = (env: string, description: string, fallback: number, range: Range) =>
  quantity(env, description, fallback, range, parseDuration, formatDuration);

/** Runs at once when nothing is set: what 80 % of the memory holds of the usual 256 MiB sandboxes, at most 64. */
const usualConcurrency = Math.max(2, Math.min(64, Math.floor((totalmem() * 0.8) / (256 * MiB))));

export const SETTINGS = {
  // Who is served, where
  host: text(
    'CODERUNNER_HOST',
    'Address to listen on. Anything but loopback opens the daemon to the network.',
    '127.0.0.1',
  ),
  port: integer('CODERUNNER_PORT', 'Port to listen on; 0 takes any free one, which the discovery file tells.', 0, {
    min: 0,
    max: 65535,
  }),
  token: text('CODERUNNER_TOKEN', 'Bearer token that clients must send.', '', 'a new random one at each start'),
  allowedHosts: list(
    'CODERUNNER_ALLOWED_HOSTS',
    'Names that requests may carry in `Host` besides the address listened on.',
    [],
  ),
  allowedOrigins: list('CODERUNNER_ALLOWED_ORIGINS', 'Web origins that may use the API besides the daemon’s own.', []),
  dataDir: folder(
    'CODERUNNER_DATA_DIR',
    'Where history, uploaded contents, the log and the discovery file are kept.',
    paths.data,
    'the user’s data folder',
  ),
  logLevel: choice(
    'CODERUNNER_LOG_LEVEL',
    'How much the daemon logs.',
    ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
    'info',
  ),
  idleStop: duration(
    'CODERUNNER_IDLE_STOP',
    'A daemon that a client started stops by itself after this long without clients and runs.',
    30 * MINUTE,
    { min: SECOND, max: 365 * 24 * HOUR },
  ),
  stopGrace: duration('CODERUNNER_STOP_GRACE', 'How long a stopping daemon lets runs finish.', 10 * SECOND, {
    min: 0,
    max: HOUR,
  }),

  // Engine and containers
  engine: text(
    'CODERUNNER_ENGINE',
    'Address of the container engine (`unix:///…`, `tcp://…`).',
    '',
    'found as docker and podman find it',
  ),
  ociRuntime: text(
    'CODERUNNER_OCI_RUNTIME',
    'OCI runtime for the sandboxes, such as `runsc` (gVisor) or `crun`.',
    '',
    'the engine’s own',
  ),
  runtimesPath: folder(
    'CODERUNNER_RUNTIMES_PATH',
    'Folder of your own languages, used as they are, beside those that came with CodeRunner. One with the id of another takes its place.',
    '',
    '(none)',
  ),
  baseImage: text('CODERUNNER_BASE_IMAGE', 'Debian image that all runtimes stand on.', 'debian:trixie-slim'),
  caFile: text(
    'CODERUNNER_CA_FILE',
    'Certificate authorities handed to image builds, where a network inspects TLS.',
    '',
    'NODE_EXTRA_CA_CERTS, SSL_CERT_FILE, else the system’s',
  ),
  cpus: integer('CODERUNNER_CPUS', 'Processors that one sandbox may use.', 1, { min: 1, max: 256 }),
  workspaceBytes: bytes(
    'CODERUNNER_WORKSPACE_BYTES',
    'Size of a sandbox’s workspace (in memory; counts against the run’s memory).',
    128 * MiB,
    { min: MiB, max: 64 * GiB },
  ),
  workspaceFiles: integer('CODERUNNER_WORKSPACE_FILES', 'Files and folders that a workspace may hold.', 20_000, {
    min: 100,
    max: 10_000_000,
  }),
  tmpBytes: bytes('CODERUNNER_TMP_BYTES', 'Size of a sandbox’s /tmp.', 64 * MiB, { min: MiB, max: 64 * GiB }),

  // Pool
  poolSize: integer(
    'CODERUNNER_POOL_SIZE',
    'The least that waits, per language that is used; after many runs at once more do for a while. 0: none ever.',
    3,
    {
      min: 0,
      max: 1000,
    },
  ),
  poolPrewarm: list(
    'CODERUNNER_POOL_PREWARM',
    'Languages whose containers wait from the start, also when they were not used in the last seven days; `all` for all.',
    [],
  ),
  poolKeep: duration(
    'CODERUNNER_POOL_KEEP',
    'How long a container with a project’s packages waits after their last use.',
    10 * MINUTE,
    { min: SECOND, max: 24 * HOUR },
  ),
  memoryBudget: {
    ...bytes(
      'CODERUNNER_MEMORY_BUDGET',
      'Memory that all sandboxes together may come to use: what would go beyond it waits, and installing packages counts. 0 is the default.',
      0,
      { min: 0, max: 1024 * 1024 * GiB },
    ),
    defaultText: '80 % of the engine’s memory',
  },
  createConcurrency: integer(
    'CODERUNNER_CREATE_CONCURRENCY',
    'The most containers that are created at the same time; fewer where that makes each much slower.',
    Math.max(2, availableParallelism()),
    { min: 1, max: 256, defaultText: 'the number of processors, at least 2' },
  ),
  reuse: choice(
    'CODERUNNER_REUSE',
    'Whether a container may serve several runs of one owner, one after the other, where they ask for it, as batches do: it is emptied between them, and destroyed where that cannot be proved. `never`: each run has a container of its own.',
    ['owner', 'never'],
    'owner',
  ),
  reuseKeep: duration(
    'CODERUNNER_REUSE_KEEP',
    'How long a container that was used waits for its owner’s next run.',
    MINUTE,
    { min: SECOND, max: HOUR },
  ),
  reuseRuns: integer('CODERUNNER_REUSE_RUNS', 'Runs that one container serves at most.', 200, { min: 1, max: 1_000 }),

  // Runs
  maxRunning: integer(
    'CODERUNNER_MAX_RUNNING',
    'Runs at the same time; more wait in the queue. From 8 on, an eighth is kept from a single owner, so that others’ begin at once.',
    usualConcurrency,
    {
      min: 1,
      max: 100_000,
      defaultText: 'what 80 % of the memory holds at 256 MiB each, at most 64',
    },
  ),
  maxQueued: integer('CODERUNNER_MAX_QUEUED', 'Runs that may wait; more are refused.', 100_000, {
    min: 1,
    max: 10_000_000,
  }),
  maxQueuedPerOwner: integer(
    'CODERUNNER_MAX_QUEUED_PER_OWNER',
    'Runs of one owner that may wait; more are refused, while others’ are taken.',
    20_000,
    { min: 1, max: 10_000_000 },
  ),
  maxConnections: integer(
    'CODERUNNER_MAX_CONNECTIONS',
    'Streams and requests of one owner at the same time; more are refused.',
    1_000,
    { min: 1, max: 1_000_000 },
  ),
  maxFiles: integer('CODERUNNER_MAX_FILES', 'Files that a run may bring.', 10_000, { min: 1, max: 1_000_000 }),
  maxFileBytes: bytes('CODERUNNER_MAX_FILE_BYTES', 'Size of one file that a run may bring.', 32 * MiB, {
    min: 1,
    max: 16 * GiB,
  }),
  maxRunBytes: bytes('CODERUNNER_MAX_RUN_BYTES', 'Size of all files that a run may bring.', 96 * MiB, {
    min: 1,
    max: 64 * GiB,
  }),
  maxCollectBytes: bytes(
    'CODERUNNER_MAX_COLLECT_BYTES',
    'Size of all produced files that a run may give back.',
    32 * MiB,
    { min: 1, max: 16 * GiB },
  ),
  maxWall: duration('CODERUNNER_MAX_WALL', 'Longest wall-clock limit that a run may ask for.', HOUR, {
    min: SECOND,
    max: 30 * 24 * HOUR,
  }),
  maxCpu: duration('CODERUNNER_MAX_CPU', 'Longest CPU-time limit that a run may ask for.', HOUR, {
    min: SECOND,
    max: 30 * 24 * HOUR,
  }),
  maxMemory: bytes('CODERUNNER_MAX_MEMORY', 'Largest memory limit that a run may ask for.', 2 * GiB, {
    min: 16 * MiB,
    max: 1024 * GiB,
  }),
  maxOutput: bytes('CODERUNNER_MAX_OUTPUT', 'Largest output limit that a run may ask for.', 16 * GiB, {
    min: 1024,
    max: 1024 * GiB,
  }),

  // Packages
  packages: choice(
    'CODERUNNER_PACKAGES',
    'Whether the packages that a project names are installed. Off: no run reaches a network, and none waits for one.',
    ['on', 'off'],
    'on',
  ),
  registries: registries(
    'CODERUNNER_REGISTRIES',
    'Where packages come from instead of the tools’ own registries: `npm=https://…,pip=https://…` (npm, pip, go, cargo, maven). More addresses of one tool are allowed besides its first.',
  ),
  registryProxy: httpProxy(
    'CODERUNNER_REGISTRY_PROXY',
    'HTTP proxy through which registries are reached, where the network has one.',
    '',
  ),
  installScripts: choice(
    'CODERUNNER_INSTALL_SCRIPTS',
    'Whether packages may run scripts of their own while they are installed: npm’s install scripts, and Python packages that come only as source.',
    ['off', 'on'],
    'off',
  ),
  installWall: duration('CODERUNNER_INSTALL_WALL', 'How long installing packages may take.', 10 * MINUTE, {
    min: SECOND,
    max: 24 * HOUR,
  }),
  installMemory: bytes(
    'CODERUNNER_INSTALL_MEMORY',
    'Memory for installing; the packages are in it until they are complete.',
    2 * GiB,
    { min: 64 * MiB, max: 1024 * GiB },
  ),
  layerBytes: bytes('CODERUNNER_LAYER_BYTES', 'Size of the installed packages of one project.', GiB, {
    min: MiB,
    max: 1024 * GiB,
  }),
  packagesBytes: bytes(
    'CODERUNNER_PACKAGES_BYTES',
    'Installed packages that are kept in all; the least recently used go first.',
    5 * GiB,
    { min: MiB, max: 1024 * GiB },
  ),
  packagesAge: duration(
    'CODERUNNER_PACKAGES_AGE',
    'Installed packages that no run used for this long are removed.',
    30 * 24 * HOUR,
    { min: MINUTE, max: 3650 * 24 * HOUR },
  ),

  // What is kept
  outputWindow: bytes(
    'CODERUNNER_OUTPUT_WINDOW',
    'How much of a run’s latest output is kept, for subscribers that lag or come back.',
    MiB,
    { min: 64 * 1024, max: GiB },
  ),
  blobBytes: bytes(
    'CODERUNNER_BLOB_BYTES',
    'Uploaded contents kept per owner; the least recently used go first.',
    512 * MiB,
    { min: MiB, max: 1024 * GiB },
  ),
  compileCacheBytes: bytes(
    'CODERUNNER_COMPILE_CACHE_BYTES',
    'Compiled programs kept per owner, so that unchanged sources are not compiled again; the least recently used go first. 0 keeps none.',
    512 * MiB,
    { min: 0, max: 1024 * GiB },
  ),
  historyRuns: integer('CODERUNNER_HISTORY_RUNS', 'Ended runs that are remembered.', 1_000, {
    min: 1,
    max: 10_000_000,
  }),
} satisfies Record<string, Setting<never> | Setting<string> | Setting<number> | Setting<string[]>>;

type SettingName = keyof typeof SETTINGS;
export type Config = { [K in SettingName]: (typeof SETTINGS)[K]['default'] };

/**
 * Reads the configuration.
 * @param env environment variables, usually `process.env`; `CODERUNNER_CONFIG` names another file
 * @param overrides settings given on the command line; they win
 * @throws CodeRunnerError bad_setting, naming the setting, the value and what it takes
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env, overrides: Partial<Config> = {}): Config {
  const file = readConfigFile(env.CODERUNNER_CONFIG);
  const config: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    const fromEnv = env[setting.env];
    const [source, value] =
      fromEnv !== undefined && fromEnv !== ''
        ? [setting.env, fromEnv]
        : [`${name} in the configuration file`, file[name]];
    config[name] = value === undefined ? setting.default : setting.parse(value);
    if (config[name] === undefined) {
      throw new CodeRunnerError('bad_setting', `${source} is ${JSON.stringify(value)}, but takes ${setting.takes}.`);
    }
  }
  const unknown = Object.keys(file).find((name) => !(name in SETTINGS));
  if (unknown)
    throw new CodeRunnerError('bad_setting', `The configuration file sets "${unknown}", which is no setting.`);
  return { ...(config as Config), ...overrides };
}

/** Where the configuration file is, or would be. */
export function configFile(env: NodeJS.ProcessEnv = process.env): string {
  return env.CODERUNNER_CONFIG || join(paths.config, 'config.json');
}

/** Where a setting's value comes from: its variable, the configuration file, or `default`. */
export function sourceOf(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const variable = (SETTINGS as Record<string, Setting<unknown>>)[name]?.env;
  if (variable !== undefined && env[variable]) return variable;
  return readConfigFile(env.CODERUNNER_CONFIG)[name] === undefined ? 'default' : configFile(env);
}

function readConfigFile(named: string | undefined): Record<string, unknown> {
  const path = configFile({ CODERUNNER_CONFIG: named });
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    if (!named && (error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    throw new CodeRunnerError(
      'bad_setting',
      `The configuration file ${path} cannot be read: ${(error as Error).message}.`,
      { cause: error },
    );
  }
  try {
    const parsed: unknown = JSON.parse(source);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch (error) {
    throw new CodeRunnerError(
      'bad_setting',
      `The configuration file ${path} is not JSON: ${(error as Error).message}.`,
      { cause: error },
    );
  }
  throw new CodeRunnerError('bad_setting', `The configuration file ${path} must hold one JSON object.`);
}
