/** What containers are made of. */
import { randomInt } from 'node:crypto';
import type { Config } from '../config.ts';
import { type ContainerSpec, RUN_UIDS, type VolumeMount } from '../engine/container.ts';
import { compileMemory, type Runtime } from '../runtimes/runtime.ts';
import { mostMemory } from './sandbox.ts';

/** A busy machine takes its time with a JVM or a database; a container that gives up on them runs everything cold. */
const WARM_WITHIN_MS = 45_000;

/** What makes containers alike. */
export interface Kind {
  readonly runtime: Runtime;
  readonly image: string;
  /** For the program. */
  readonly memoryBytes: number;
  readonly mount: VolumeMount | undefined;
}

export class Recipes {
  readonly #config: Config;
  readonly #instance: string;
  /** The user of the run that was prepared for last; other daemons begin elsewhere. */
  #user = randomInt(RUN_UIDS);

  /** @param instance labels them as this daemon's */
  constructor(config: Config, instance: string) {
    this.#config = config;
    this.#instance = instance;
  }

  /** What a container of that kind may come to use, in bytes. */
  bytes(kind: Kind): number {
    return mostMemory(this.#memoryOf(kind));
  }

  /** The user of another run, as {@link ContainerSpec.user}: none that lives has it, but what is much older. */
  nextUser(): number {
    this.#user = (this.#user + 1) % RUN_UIDS;
    return this.#user;
  }

  /** The next container of that kind. */
  next(kind: Kind): ContainerSpec {
    const { runtime, image, mount } = kind;
    const { workspaceBytes, workspaceFiles, tmpBytes, cpus, ociRuntime } = this.#config;
    const { services } = runtime;
    return {
      image,
      labels: { 'coderunner.instance': this.#instance, 'coderunner.runtime': runtime.id },
      command: [
        '--warm-ready-ms',
        `${WARM_WITHIN_MS}`,
        ...services.flatMap(({ executable }) => ['--service', executable]),
        // With packages it would read what a registry wrote before it gives its rights away; such a container is used once.
        ...(runtime.warm?.forks && !mount ? ['--warm-forks'] : []),
        ...(runtime.warm ? ['--', ...runtime.warm.argv] : []),
      ],
      user: this.nextUser(),
      ...this.#memoryOf(kind),
      pids: runtime.limits.pids + sum(services.map(({ pids }) => pids)),
      cpus,
      workspaceBytes,
      workspaceFiles,
      tmpBytes: tmpBytes + sum(services.map(({ diskBytes }) => diskBytes)),
      ...(mount ? { mounts: [mount] } : {}),
      ...(ociRuntime ? { ociRuntime } : {}),
    };
  }

  #memoryOf({ runtime, memoryBytes }: Kind): Pick<ContainerSpec, 'memoryBytes' | 'firstMemoryBytes'> {
    const serving = sum(runtime.services.map((service) => service.memoryBytes));
    const compiling = compileMemory(runtime, memoryBytes, this.#config);
    return {
      memoryBytes: memoryBytes + serving,
      ...(compiling > memoryBytes ? { firstMemoryBytes: compiling + serving } : {}),
    };
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
