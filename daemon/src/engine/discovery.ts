/** Finds a container engine as docker's and podman's own clients do: an ordered list of places, the first that answers wins. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { connect, isIP } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { CodeRunnerError } from '../protocol/index.ts';
import { EngineHttp, Overdue } from './http.ts';
import { connectBySsh, type Destination } from './ssh.ts';

const ANSWER_WITHIN_MS = 3_000;
const USUAL_SOCKET = 'a usual socket';

/** Where an engine may be, and who says so. */
export interface Place {
  source: string;
  /** As `DOCKER_HOST` would say it; empty where who names it does not know it himself. */
  address: string;
  /** Folder of `ca.pem`, `cert.pem` and `key.pem`, where the engine is reached over TLS. */
  certificates?: string;
}

/** A place that was tried and why it is no engine. */
export interface Attempt extends Place {
  problem: string;
}

/**
 * The places in the order in which they are tried. One that somebody named (setting, variable, context) is the only one:
 * falling back would run programs elsewhere than they said.
 */
export function places(setting: string, env: NodeJS.ProcessEnv = process.env, home = homedir()): Place[] {
  const named =
    variable('CODERUNNER_ENGINE', setting, env, home) ??
    variable('DOCKER_HOST', env.DOCKER_HOST, env, home) ??
    dockerContext(env, home) ??
    variable('CONTAINER_HOST', env.CONTAINER_HOST, env, home);
  return named ? [named] : usualSockets(env, home);
}

function variable(
  source: string,
  address: string | undefined,
  env: NodeJS.ProcessEnv,
  home: string,
): Place | undefined {
  if (!address) return undefined;
  if (!env.DOCKER_TLS_VERIFY || !/^(tcp|https):/.test(address)) return { source, address };
  return { source, address, certificates: env.DOCKER_CERT_PATH || dockerFolder(env, home) };
}

function dockerFolder(env: NodeJS.ProcessEnv, home: string): string {
  return env.DOCKER_CONFIG || join(home, '.docker');
}

/** The context that `docker context use` or DOCKER_CONTEXT chose; the one named `default` is the usual sockets. */
function dockerContext(env: NodeJS.ProcessEnv, home: string): Place | undefined {
  const folder = dockerFolder(env, home);
  const name = env.DOCKER_CONTEXT || readJson(join(folder, 'config.json'))?.currentContext;
  if (typeof name !== 'string' || name === '' || name === 'default') return undefined;
  const id = createHash('sha256').update(name).digest('hex');
  const meta = readJson(join(folder, 'contexts', 'meta', id, 'meta.json')) as
    | { Endpoints?: { docker?: { Host?: string } } }
    | undefined;
  const found = { source: `docker's context "${name}"`, address: meta?.Endpoints?.docker?.Host ?? '' };
  const certificates = join(folder, 'contexts', 'tls', id, 'docker');
  return existsSync(certificates) ? { ...found, certificates } : found;
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // not there, or not docker's: then it names no engine
  }
}

function usualSockets(env: NodeJS.ProcessEnv, home: string): Place[] {
  if (process.platform === 'win32') return [{ source: 'the usual pipe', address: 'npipe:////./pipe/docker_engine' }];
  const runtimeDir = env.XDG_RUNTIME_DIR || `/run/user/${process.getuid?.() ?? 0}`;
  const paths = [
    '/var/run/docker.sock',
    join(runtimeDir, 'docker.sock'),
    join(home, '.docker', 'run', 'docker.sock'),
    join(home, '.docker', 'desktop', 'docker.sock'),
    join(home, '.colima', 'default', 'docker.sock'),
    join(runtimeDir, 'podman', 'podman.sock'),
    '/run/podman/podman.sock',
  ];
  return [...new Set(paths)].map((path) => ({ source: USUAL_SOCKET, address: `unix://${path}` }));
}

/** The clients of one engine. */
interface Clients {
  /** What takes streams of its own: images, and what happens in the engine. */
  docker: Docker;
  /** Everything else. */
  http: EngineHttp;
}

export interface FindOptions {
  signal?: AbortSignal;
  env?: NodeJS.ProcessEnv;
  home?: string;
  /** How long each place may take to answer. */
  withinMs?: number;
}

/**
 * The first place with an engine that answers.
 * @throws CodeRunnerError engine_unavailable; `details` lists the {@link Attempt}s
 */
export async function findEngine(setting: string, options: FindOptions = {}): Promise<Clients & { place: Place }> {
  const { signal, env, home, withinMs = ANSWER_WITHIN_MS } = options;
  const attempts: Attempt[] = [];
  for (const candidate of places(setting, env, home)) {
    signal?.throwIfAborted();
    const problem = await tryPlace(candidate, withinMs);
    if (typeof problem !== 'string') return { ...problem, place: candidate };
    attempts.push({ ...candidate, problem });
  }
  throw unavailable(attempts);
}

function unavailable(attempts: Attempt[]): CodeRunnerError {
  const told = attempts.find((attempt) => !maybeNothing(attempt)) ?? (attempts.length === 1 ? attempts[0] : undefined);
  const message = told
    ? `The container engine ${told.address ? `at ${told.address} (${told.source})` : `of ${told.source}`} cannot be used: ${told.problem}.`
    : 'No container engine is running: neither Docker nor Podman was found.';
  const hint = told && hintFor(told);
  return new CodeRunnerError('engine_unavailable', message, {
    details: attempts,
    ...(hint === undefined ? {} : { hint }),
  });
}

const NAMES_NONE = 'it names no engine';
const NO_ADDRESS = 'that is no address of an engine';
const NOT_THERE = 'nothing is there';
const NO_ENTRY = 'this user may not enter its folder';
const NO_PERMISSION = 'this user may not use it';
const NOT_RUNNING = 'nobody answers there; the engine is not running';

const HINTS = new Map([
  [
    NO_PERMISSION,
    'Add yourself to the group of the socket (`sudo usermod -aG docker $USER`, then log in again), or use a rootless engine.',
  ],
  [
    NO_ENTRY,
    'Use an engine whose socket this user can reach, a rootless one for example, or let the user enter that folder.',
  ],
]);

function hintFor({ source, problem }: Attempt): string | undefined {
  const isMisnamed = problem === NAMES_NONE || problem.startsWith(NO_ADDRESS);
  if (isMisnamed || (problem === NOT_THERE && source !== USUAL_SOCKET))
    return `Correct ${source}, or leave it out so that the engine is looked for; or start the engine that it means.`;
  return HINTS.get(problem);
}

/** Podman keeps the folder of its usual socket closed to ordinary users, whether there is a socket in it or not. */
function maybeNothing({ source, problem }: Attempt): boolean {
  return problem === NOT_THERE || (problem === NO_ENTRY && source === USUAL_SOCKET);
}

/** Whether none runs at all, and nobody has named a place where it should: then starting or installing one helps. */
export function isEngineAbsent({ details }: CodeRunnerError): boolean {
  return (details as Attempt[]).every(
    (attempt) => attempt.source === USUAL_SOCKET && (maybeNothing(attempt) || attempt.problem === NOT_RUNNING),
  );
}

/** An engine's clients, or what is wrong with the place. */
async function tryPlace({ address, certificates }: Place, withinMs: number): Promise<Clients | string> {
  if (address === '') return NAMES_NONE;
  const socketPath = /^(?:unix|npipe):\/\/(.+)$/.exec(address)?.[1];
  // Connecting would not tell a folder that is closed from a socket that is.
  if (socketPath !== undefined && process.platform !== 'win32' && isInClosedFolder(socketPath)) return NO_ENTRY;
  let clients: Clients;
  try {
    clients = socketPath === undefined ? onNetwork(address, certificates) : atSocket(socketPath);
  } catch (error) {
    return `${NO_ADDRESS} (${(error as Error).message})`;
  }
  try {
    await clients.http.ask('GET', '/_ping', { withinMs });
    return clients;
  } catch (error) {
    if (error instanceof Overdue) return 'it does not answer in time';
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return NOT_THERE;
    if (code === 'EACCES' || code === 'EPERM') return NO_PERMISSION;
    if (code === 'ECONNREFUSED') return NOT_RUNNING;
    return (error as Error).message;
  }
}

function isInClosedFolder(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES';
  }
}

/**
 * Everything is said, also what is not there: the client fills what is left out from DOCKER_HOST and its like, which may mean
 * another engine.
 */
const NOTHING = { host: '', port: undefined, ca: undefined, cert: undefined, key: undefined, timeout: 0 };

function atSocket(path: string): Clients {
  const docker = new Docker({ ...NOTHING, protocol: 'http', socketPath: path } as Docker.DockerOptions);
  return { docker, http: new EngineHttp({ host: 'localhost', connect: () => connect({ path }) }) };
}

function onNetwork(address: string, certificates: string | undefined): Clients {
  const { protocol, hostname, port, username } = new URL(address);
  if (protocol === 'ssh:') return behindSsh({ username, hostname, port });
  if (!['tcp:', 'http:', 'https:'].includes(protocol)) throw new Error(`unknown protocol ${protocol}`);
  const tls = protocol === 'https:' || certificates !== undefined;
  const pem = (name: string) => (certificates === undefined ? undefined : readFileSync(join(certificates, name)));
  const keys = { ca: pem('ca.pem'), cert: pem('cert.pem'), key: pem('key.pem') };
  // Brackets around an address of IPv6 are the URL's.
  const at = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || (tls ? 2376 : 2375)), noDelay: true };
  const servername = isIP(at.host) ? '' : at.host;
  // As an import it would read every certificate that Node knows.
  const { connect: connectTls } = process.getBuiltinModule('node:tls');
  return {
    docker: new Docker({
      ...NOTHING,
      ...keys,
      protocol: tls ? 'https' : 'http',
      host: hostname,
      port: at.port,
    } as Docker.DockerOptions),
    http: new EngineHttp({
      host: `${hostname}:${at.port}`,
      connect: () => (tls ? connectTls({ ...at, ...keys, servername }) : connect(at)),
    }),
  };
}

function behindSsh(destination: Destination): Clients {
  const connection = () => connectBySsh(destination);
  // As an import it would take megabytes more (docs/performance.md).
  const { Agent } = process.getBuiltinModule('node:http');
  const agent = Object.assign(new Agent(), { createConnection: connection });
  return {
    docker: new Docker({ ...NOTHING, protocol: 'http', host: 'docker', agent } as Docker.DockerOptions),
    http: new EngineHttp({ host: 'docker', connect: connection }),
  };
}
