/** Finds a container engine as docker's and podman's own clients do: an ordered list of places, the first that answers wins. */

import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { CodeRunnerError } from '../protocol/index.ts';

const ANSWER_WITHIN_MS = 3_000;

/** Where an engine may be: its address, as `DOCKER_HOST` would say it, and who says so. */
export interface Place {
  source: string;
  address: string;
}

/** A place that was tried and why it is no engine. */
export interface Attempt extends Place {
  problem: string;
}

/**
 * The places in the order in which they are tried. One that somebody named (setting, variable, context) is the only one: falling back would run
 * programs elsewhere than they said.
 */
export function places(setting: string, env: NodeJS.ProcessEnv = process.env, home = homedir()): Place[] {
  const named =
    place('the setting CODERUNNER_ENGINE', setting) ??
    place('DOCKER_HOST', env.DOCKER_HOST) ??
    dockerContext(env, home) ??
    place('CONTAINER_HOST', env.CONTAINER_HOST);
  return named ? [named] : usualSockets(env, home);
}

function place(source: string, address: string | undefined): Place | undefined {
  return address ? { source, address } : undefined;
}

/** The context that `docker context use` or DOCKER_CONTEXT chose; the one named `default` is the usual sockets. */
function dockerContext(env: NodeJS.ProcessEnv, home: string): Place | undefined {
  const folder = env.DOCKER_CONFIG || join(home, '.docker');
  const name = env.DOCKER_CONTEXT || readJson(join(folder, 'config.json'))?.currentContext;
  if (typeof name !== 'string' || name === '' || name === 'default') return undefined;
  const id = createHash('sha256').update(name).digest('hex');
  const meta = readJson(join(folder, 'contexts', 'meta', id, 'meta.json')) as
    | { Endpoints?: { docker?: { Host?: string } } }
    | undefined;
  return place(`docker's context "${name}"`, meta?.Endpoints?.docker?.Host);
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
  return [...new Set(paths)].map((path) => ({ source: 'a usual socket', address: `unix://${path}` }));
}

/** The first place with an engine that answers. @throws CodeRunnerError engine_unavailable; `details` lists the {@link Attempt}s */
export async function findEngine(setting: string, signal?: AbortSignal): Promise<{ docker: Docker; place: Place }> {
  const attempts: Attempt[] = [];
  for (const candidate of places(setting)) {
    signal?.throwIfAborted();
    const problem = await tryPlace(candidate);
    if (typeof problem !== 'string') return { docker: problem, place: candidate };
    attempts.push({ ...candidate, problem });
  }
  throw unavailable(attempts);
}

function unavailable(attempts: Attempt[]): CodeRunnerError {
  const told =
    attempts.find(({ problem }) => problem !== NOT_THERE) ?? (attempts.length === 1 ? attempts[0] : undefined);
  const message = told
    ? `The container engine at ${told.address} (${told.source}) cannot be used: ${told.problem}.`
    : 'No container engine is running: neither Docker nor Podman was found.';
  const hint =
    told?.problem === NO_PERMISSION
      ? 'Add yourself to the group of the socket (`sudo usermod -aG docker $USER`, then log in again), or use a rootless engine.'
      : undefined;
  return new CodeRunnerError('engine_unavailable', message, {
    details: attempts,
    ...(hint === undefined ? {} : { hint }),
  });
}

const NOT_THERE = 'nothing is there';
const NO_PERMISSION = 'this user may not use it';

/** An engine's client, or what is wrong with the place. */
async function tryPlace({ address }: Place): Promise<Docker | string> {
  const socketPath = /^(?:unix|npipe):\/\/(.+)$/.exec(address)?.[1];
  if (socketPath !== undefined && process.platform !== 'win32' && !existsSync(socketPath)) return NOT_THERE;
  let docker: Docker;
  try {
    docker = clientFor(address, socketPath);
  } catch (error) {
    return `that is no address of an engine (${(error as Error).message})`;
  }
  try {
    await ping(docker, ANSWER_WITHIN_MS);
    return docker;
  } catch (error) {
    const { code, name } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return NOT_THERE;
    if (code === 'EACCES' || code === 'EPERM') return NO_PERMISSION;
    if (code === 'ECONNREFUSED') return 'nobody answers there; the engine is not running';
    if (name === 'AbortError' || code === 'ABORT_ERR') return 'it does not answer in time';
    return (error as Error).message;
  }
}

/** Throws what the connection says, or that it took too long. */
export async function ping(docker: Docker, withinMs: number): Promise<void> {
  // The published types do not know that `ping` takes options.
  const withOptions = docker.ping.bind(docker) as unknown as (options: {
    abortSignal: AbortSignal;
  }) => Promise<unknown>;
  await withOptions({ abortSignal: AbortSignal.timeout(withinMs) });
}

function clientFor(address: string, socketPath: string | undefined): Docker {
  if (socketPath !== undefined) return new Docker({ socketPath });
  const url = new URL(address);
  if (url.protocol === 'ssh:')
    return new Docker({ protocol: 'ssh', host: url.hostname, port: url.port || 22, username: url.username });
  if (!['tcp:', 'http:', 'https:'].includes(url.protocol)) throw new Error(`unknown protocol ${url.protocol}`);
  // Certificates and TLS are taken from DOCKER_CERT_PATH and DOCKER_TLS_VERIFY, as docker does.
  const tls = url.protocol === 'https:' || Boolean(process.env.DOCKER_TLS_VERIFY);
  const certs = tls && process.env.DOCKER_CERT_PATH;
  const pem = (name: string) => readFileSync(join(certs || '', name));
  return new Docker({
    protocol: tls ? 'https' : 'http',
    host: url.hostname,
    port: Number(url.port || (tls ? 2376 : 2375)),
    ...(certs ? { ca: pem('ca.pem'), cert: pem('cert.pem'), key: pem('key.pem') } : {}),
  });
}
