/** What `coderunner doctor` looks at in the container engine: what it can hold programs to, its disk and clock. */
import { stat } from 'node:fs/promises';
import type { Config } from '../../config.ts';
import type { Attempt } from '../../engine/discovery.ts';
import type { Engine } from '../../engine/engine.ts';
import { CodeRunnerError, formatBytes, formatDuration } from '../../protocol/index.ts';
import type { Images } from '../../runtimes/images.ts';
import type { Runtime } from '../../runtimes/runtime.ts';
import type { Finding } from './check.ts';
import { checkDisk } from './machine.ts';

/** API 1.41 is Docker 20.10; older ones lack options that the sandboxes are hardened with. */
const LEAST_API_MINOR = 41;
const MOST_CLOCK_DRIFT_MS = 5_000;
/** The share of the memory that waiting sandboxes may take when all of them are used to their limit. */
const POOL_SHARE = 0.8;

/** What the engine says of itself: the part of `GET /info` that is looked at, which Docker and Podman both fill. */
export interface EngineInfo {
  MemoryLimit?: boolean;
  SwapLimit?: boolean;
  PidsLimit?: boolean;
  CpuCfsQuota?: boolean;
  CgroupVersion?: string;
  SecurityOptions?: string[];
  /** Podman's own word; Docker says it among the security options. */
  Rootless?: boolean;
  Runtimes?: Record<string, unknown>;
  DefaultRuntime?: string;
  Driver?: string;
  DockerRootDir?: string;
  MemTotal?: number;
  SystemTime?: string;
}

export interface Surroundings {
  config: Config;
  engine: Engine;
  info: EngineInfo;
  images: Images;
  runtimes: readonly Runtime[];
}

export function noEngine(error: Error): Finding {
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

export async function checkEngine({ engine }: Surroundings): Promise<Finding> {
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
  const { CgroupVersion = '1' } = info;
  const limits = {
    memory: info.MemoryLimit,
    swap: info.SwapLimit,
    processes: info.PidsLimit,
    processor: info.CpuCfsQuota,
  };
  // A rootless Podman tells what the kernel can limit, also where version 1 lets it limit nothing.
  const isPowerless = isRootless(info) && CgroupVersion === '1';
  const missing = Object.entries(limits).filter(([, there]) => isPowerless || there === false);
  const version = `cgroup version ${CgroupVersion}`;
  if (missing.length === 0) return { state: 'ok', found: version };
  const names = missing.map(([name]) => name);
  return {
    state: names.includes('memory') || names.includes('processes') ? 'fail' : 'warn',
    found: `${version}, without ${names.join(', ')}`,
    meaning: 'A program could take all of these from the machine; the engine ignores the limits that it is told.',
    remedy:
      'With a rootless engine, use cgroup version 2, and let systemd delegate the controllers to users (Delegate=cpu cpuset io memory pids for user@.service). ' +
      'Else switch them on at boot: cgroup_enable=memory swapaccount=1.',
  };
}

export function checkSeccomp(info: EngineInfo): Finding {
  if (hasOption(info, 'seccomp')) return { state: 'ok', found: 'supported' };
  return {
    state: 'fail',
    found: 'the engine does not support it',
    meaning: 'Programs could use every system call of the kernel, and containers are refused that ask for a filter.',
    remedy: 'Use a kernel with CONFIG_SECCOMP_FILTER and an engine that was built with seccomp.',
  };
}

export function checkStorage({ Driver }: EngineInfo): Finding {
  if (!Driver) return { state: 'skip', found: 'the engine does not tell how' };
  if (Driver !== 'vfs') return { state: 'ok', found: Driver };
  return {
    state: 'warn',
    found: Driver,
    meaning: 'Each container gets a copy of its whole image: sandboxes start slowly and fill the disk.',
    remedy:
      'Let the engine use overlay2 or fuse-overlayfs ("storage-driver" in Docker\'s daemon.json, "driver" in Podman\'s storage.conf), on a ' +
      'file system that has it.',
  };
}

export function checkUsers(info: EngineInfo): Finding {
  if (isRootless(info)) return { state: 'ok', found: 'the engine is rootless: root of a container is nobody outside' };
  if (hasOption(info, 'userns')) return { state: 'ok', found: 'remapped: root of a container is nobody outside' };
  return { state: 'ok', found: 'not remapped; programs run as users 10001 to 11000 without capabilities' };
}

function isRootless(info: EngineInfo): boolean {
  return info.Rootless === true || hasOption(info, 'rootless');
}

function hasOption({ SecurityOptions = [] }: EngineInfo, name: string): boolean {
  return SecurityOptions.some((option) => option.startsWith(`name=${name}`));
}

export function checkOciRuntime({ config, info }: Surroundings): Finding {
  const wanted = config.ociRuntime;
  if (!wanted) return { state: 'ok', found: `${info.DefaultRuntime ?? 'the engine’s own'}` };
  const known = Object.keys(info.Runtimes ?? {});
  if (known.length === 0 || known.includes(wanted)) return { state: 'ok', found: wanted };
  return {
    state: 'fail',
    found: `${wanted} is not known to the engine; it has ${known.join(', ')}`,
    meaning: 'No sandbox can be created.',
    remedy: `Add "${wanted}" to "runtimes" in Docker's daemon.json, or in Podman's containers.conf, and reload it, or unset CODERUNNER_OCI_RUNTIME.`,
  };
}

export async function checkEngineDisk(info: EngineInfo): Promise<Finding> {
  const folder = info.DockerRootDir;
  const here = folder !== undefined && (await stat(folder).catch(() => undefined)) !== undefined;
  return here ? checkDisk(folder) : { state: 'skip', found: 'the engine’s disk is not one of this machine' };
}

/** An engine may take its time to answer: its clock is right where it says a moment of that time. */
export function checkClock(info: EngineInfo, askedAt: number, answeredAt: number): Finding {
  const engineTime = Date.parse(info.SystemTime ?? '');
  if (Number.isNaN(engineTime)) return { state: 'skip', found: 'the engine does not tell its time' };
  const driftMs = Math.max(askedAt - engineTime, engineTime - answeredAt);
  if (driftMs <= MOST_CLOCK_DRIFT_MS) return { state: 'ok', found: 'engine and this machine agree' };
  return {
    state: 'warn',
    found: `the engine's clock is off by ${formatDuration(driftMs)}`,
    meaning: 'Programs see a wrong time, and certificates may seem to be invalid while images are built.',
    remedy: 'Restart the engine (its virtual machine loses time while a laptop sleeps), or set the clock.',
  };
}

/** How many languages people use in a week. */
const LANGUAGES_AT_ONCE = 3;

export function checkPoolMemory({ config, info, runtimes }: Surroundings): Finding {
  if (!info.MemTotal) return { state: 'skip', found: 'the engine does not tell its memory' };
  // Containers wait of the languages that are used; the largest of those that there are, to be on the safe side.
  const largest = runtimes.map(({ limits }) => limits.memoryBytes).sort((a, b) => b - a);
  const perSet = largest.slice(0, LANGUAGES_AT_ONCE).reduce((sum, memoryBytes) => sum + memoryBytes, 0);
  const needed = perSet * config.poolSize;
  const found = `${config.poolSize} for each of ${Math.min(runtimes.length, LANGUAGES_AT_ONCE)} languages may use ${formatBytes(needed)} of ${formatBytes(info.MemTotal)}`;
  if (needed <= info.MemTotal * POOL_SHARE) return { state: 'ok', found };
  return {
    state: 'warn',
    found,
    meaning: 'If programs use all the memory they may have, the machine runs out of it.',
    remedy: `Set CODERUNNER_POOL_SIZE to ${Math.max(1, Math.floor((info.MemTotal * POOL_SHARE) / perSet))}.`,
  };
}
