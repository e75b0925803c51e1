/** A sandbox as the engine is asked for it. docs/security.md says what each option is for. */
import type { ContainerCreateOptions } from 'dockerode';

/** The run user of the base image has these ids. */
const FIRST_UID = 10_001;
export const RUN_UIDS = 1_000;
const RUN_GID = 10_001;
const SHM_BYTES = 16 * 2 ** 20;
/** Files below /tmp. */
const TMP_FILES = 10_000;

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
  pids: number;
  /** Processors it may use. */
  cpus: number;
  workspaceBytes: number;
  /** Files and folders that the workspace may hold. */
  workspaceFiles: number;
  tmpBytes: number;
  /** Another OCI runtime than the engine's usual one. */
  ociRuntime?: string;
}

/** @param seccomp the profile, as the engine takes it: JSON for Docker, a path for Podman */
export function createOptions(spec: ContainerSpec, seccomp: string): ContainerCreateOptions {
  const uid = FIRST_UID + spec.user;
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
    NetworkDisabled: true,
    HostConfig: {
      // Whatever ends the container, the engine removes it, also when no daemon is there to do so.
      AutoRemove: true,
      ReadonlyRootfs: true,
      NetworkMode: 'none',
      IpcMode: 'private',
      CapDrop: ['ALL'],
      CapAdd: ['SETUID', 'SETGID', 'KILL'],
      SecurityOpt: ['no-new-privileges', `seccomp=${seccomp}`],
      Memory: spec.memoryBytes,
      MemorySwap: spec.memoryBytes,
      PidsLimit: spec.pids,
      NanoCpus: spec.cpus * 1e9,
      ShmSize: SHM_BYTES,
      LogConfig: { Type: 'none', Config: {} },
      Ulimits: [
        { Name: 'core', Soft: 0, Hard: 0 },
        { Name: 'nofile', Soft: 1024, Hard: 1024 },
      ],
      Tmpfs: {
        '/workspace': `rw,exec,nosuid,nodev,size=${spec.workspaceBytes},nr_inodes=${spec.workspaceFiles},uid=${uid},gid=${RUN_GID},mode=0700`,
        '/tmp': `rw,exec,nosuid,nodev,size=${spec.tmpBytes},nr_inodes=${TMP_FILES},mode=1777`,
      },
      ...(spec.ociRuntime === undefined ? {} : { Runtime: spec.ociRuntime }),
    },
  };
}
