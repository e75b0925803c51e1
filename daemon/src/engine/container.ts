/** A sandbox as the engine is asked for it. docs/security.md says what each option is for. */
import type { ContainerCreateOptions } from 'dockerode';

/** The run user of the base image has these ids. */
const FIRST_UID = 10_001;
export const RUN_UIDS = 1_000;

/** The id of a run user, by its number: {@link ContainerSpec.user}. */
export function uidOf(user: number): number {
  return FIRST_UID + user;
}
const RUN_GID = 10_001;
const SHM_BYTES = 16 * 2 ** 20;
/** Files below /tmp, where nothing else is said. */
const TMP_FILES = 10_000;

/** What no program needs and tells of the machine, or of what others do on it; a list of ours takes the place of the engine's. */
const MASKED = [
  // What engines mask by themselves, the older ones not all of it.
  ...['acpi', 'asound', 'kcore', 'keys', 'latency_stats', 'sched_debug', 'scsi', 'timer_list', 'timer_stats'].map(proc),
  '/sys/firmware',
  // Power and heat follow what other programs compute.
  '/sys/devices/virtual/powercap',
  '/sys/devices/virtual/thermal',
  // So do these counters; the last can also be told, by anybody, to watch the whole machine.
  ...['interrupts', 'softirqs', 'diskstats', 'locks', 'key-users', 'pressure'].map(proc),
  // How the machine was started and is made.
  ...['cmdline', 'config.gz', 'iomem', 'ioports', 'modules', 'partitions'].map(proc),
  '/sys/devices/virtual/dmi',
];

function proc(name: string): string {
  return `/proc/${name}`;
}

/** A volume of the engine, as a folder of a container. */
export interface VolumeMount {
  volume: string;
  target: string;
  readOnly: boolean;
}

export interface ContainerSpec {
  image: string;
  labels: Record<string, string>;
  /** Arguments for the agent. */
  command: string[];
  /**
   * Which of the run user's ids, from 0 to {@link RUN_UIDS} - 1. Sandboxes that live at the same time should have different
   * ones.
   */
  user: number;
  memoryBytes: number;
  /** What it has before that, where a compiler needs more than the program may have; the engine lowers it when told so. */
  firstMemoryBytes?: number;
  pids: number;
  /** Processors it may use. */
  cpus: number;
  workspaceBytes: number;
  /** Files and folders that the workspace may hold. */
  workspaceFiles: number;
  tmpBytes: number;
  /** Files and folders that /tmp may hold. */
  tmpFiles?: number;
  /** One at /workspace takes the place of the workspace in memory. */
  mounts?: readonly VolumeMount[];
  /** The network it is on; none where none is named. */
  network?: string;
  /** Names of hosts have an answer in it. */
  resolvesNames?: boolean;
  /** Another OCI runtime than the engine's usual one. */
  ociRuntime?: string;
}

const WORKSPACE = '/workspace';

/** gVisor, whose own threads on the machine count as the container's; so many more are enough for it. */
const GVISOR = /^runsc\b/;
const GVISOR_PIDS = 512;

/** Processes of one run user in all sandboxes of the machine: so many that it never counts before the limit of the sandbox does. */
const PODMAN_NPROC = 4_096;

/** What the sandboxes of an engine have in common. */
export interface EngineTraits {
  isPodman: boolean;
  /** The profile, as the engine takes it: JSON for Docker, a path for Podman. */
  seccomp: string;
}

/** A folder in memory. Podman takes neither a number of files nor an owner: there, everybody in the sandbox may use it, which is one user. */
function tmpfs({ isPodman }: EngineTraits, bytes: number, files: number, owner?: { uid: number; gid: number }): string {
  const options = `rw,exec,nosuid,nodev,size=${bytes}`;
  if (isPodman) return `${options},mode=1777`;
  const mode = owner ? `uid=${owner.uid},gid=${owner.gid},mode=0700` : 'mode=1777';
  return `${options},nr_inodes=${files},${mode}`;
}

/** A sandbox, as an engine with these traits takes it. */
export function createOptions(spec: ContainerSpec, traits: EngineTraits): ContainerCreateOptions {
  const uid = uidOf(spec.user);
  // Podman does not change the limit of a container that runs (4.3: not at all), and what is promised is the program's.
  const memoryBytes = traits.isPodman ? spec.memoryBytes : (spec.firstMemoryBytes ?? spec.memoryBytes);
  const { mounts = [], network, resolvesNames = false } = spec;
  return {
    Image: spec.image,
    Cmd: ['--uid', `${uid}`, ...spec.command],
    Labels: spec.labels,
    Hostname: 'sandbox',
    Env: [],
    Tty: false,
    OpenStdin: true,
    // The agent reads the end of its input when the daemon is gone, however that ended, and ends its container.
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    NetworkDisabled: network === undefined,
    HostConfig: {
      // Whatever ends the container, the engine removes it, also when no daemon is there to do so.
      AutoRemove: true,
      ReadonlyRootfs: true,
      NetworkMode: network ?? 'none',
      // The engine's own name server runs outside of the container's network, and would carry questions out of it.
      ...(network === undefined || resolvesNames ? {} : { Dns: ['127.0.0.1'] }),
      IpcMode: 'private',
      MaskedPaths: MASKED,
      CapDrop: ['ALL'],
      CapAdd: ['SETUID', 'SETGID', 'KILL'],
      SecurityOpt: [
        'no-new-privileges',
        `seccomp=${traits.seccomp}`,
        ...(traits.isPodman ? [`mask=${MASKED.join(':')}`] : []), // it takes no notice of the list
      ],
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      PidsLimit: spec.pids + (GVISOR.test(spec.ociRuntime ?? '') ? GVISOR_PIDS : 0),
      NanoCpus: spec.cpus * 1e9,
      ShmSize: SHM_BYTES,
      LogConfig: { Type: 'none', Config: {} },
      Ulimits: [
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'nofile', Soft: 1024, Hard: 1024 },
        // Podman asks for a million processes where none are named, which a Podman that may not raise limits is refused.
        ...(traits.isPodman ? [{ Name: 'nproc', Soft: PODMAN_NPROC, Hard: PODMAN_NPROC }] : []),
      ],
      Tmpfs: {
        ...(mounts.some(({ target }) => target === WORKSPACE)
          ? {}
          : { [WORKSPACE]: tmpfs(traits, spec.workspaceBytes, spec.workspaceFiles, { uid, gid: RUN_GID }) }),
        '/tmp': tmpfs(traits, spec.tmpBytes, spec.tmpFiles ?? TMP_FILES),
        // Podman makes this one writable, and without a limit, in every container that is read-only.
        ...(traits.isPodman ? { '/var/tmp': 'ro,nosuid,nodev,noexec' } : {}),
      },
      Mounts: mounts.map(({ volume, target, readOnly }) => ({
        Type: 'volume',
        Source: volume,
        Target: target,
        ReadOnly: readOnly,
        // One that is read holds what it holds; one that is written takes the folder's owner from the image.
        VolumeOptions: { NoCopy: readOnly, Labels: {}, DriverConfig: { Name: '', Options: {} } },
      })),
      ...(spec.ociRuntime === undefined ? {} : { Runtime: spec.ociRuntime }),
    },
  };
}
