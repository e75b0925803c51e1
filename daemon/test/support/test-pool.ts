/** A pool in front of an engine, without a daemon around it. Disposing of it leaves nothing behind. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import pino from 'pino';
import { type Config, loadConfig } from '../../src/config.ts';
import { EngineLink } from '../../src/pool/engine-link.ts';
import { type Lease, type LeaseRequest, Pool, type Timing } from '../../src/pool/pool.ts';
import type { PoolStatus } from '../../src/protocol/index.ts';
import { Images } from '../../src/runtimes/images.ts';
import { loadRuntimes } from '../../src/runtimes/load.ts';
import type { Runtime } from '../../src/runtimes/runtime.ts';

type RuntimeStatus = PoolStatus['runtimes'][number];

interface LogLine {
  msg: string;
  [field: string]: unknown;
}

export class TestPool implements AsyncDisposable {
  readonly pool: Pool;
  readonly link: EngineLink;
  readonly images: Images;
  readonly python: Runtime;
  readonly instance: string;
  /** What the pool logged: warnings and worse. */
  readonly logged: readonly LogLine[];

  private constructor(parts: Pick<TestPool, 'pool' | 'link' | 'images' | 'python' | 'instance' | 'logged'>) {
    this.pool = parts.pool;
    this.link = parts.link;
    this.images = parts.images;
    this.python = parts.python;
    this.instance = parts.instance;
    this.logged = parts.logged;
  }

  /** A pool of Python, which was used lately, that has not been started. Its image is built if it is not there. */
  static async open(settings: Partial<Config> = {}, used?: string[], timing?: Timing): Promise<TestPool> {
    const test = await TestPool.withoutImage(settings, await pythonRuntime(), used, timing);
    if (!test.link.problem) {
      await test.images.build([test.python], { onProgress() {}, signal: new AbortController().signal });
    }
    return test;
  }

  static async withoutImage(
    settings: Partial<Config>,
    python: Runtime,
    used = ['python'],
    timing?: Timing,
  ): Promise<TestPool> {
    const config = loadConfig(process.env, settings);
    const instance = `test-${randomUUID()}`;
    const link = new EngineLink(config);
    await link.start();
    const images = new Images(config, () => link.engine);
    await images.prepare([python]);
    const logged: LogLine[] = [];
    const log = pino({ level: 'warn' }, { write: (line) => void logged.push(JSON.parse(line)) });
    const pool = new Pool({
      config,
      link,
      images,
      instance,
      runtimes: [python],
      used,
      log,
      ...(timing ? { timing } : {}),
    });
    return new TestPool({ pool, link, images, python, instance, logged });
  }

  /** A pool that is started and filled. */
  static async full(settings?: Partial<Config>): Promise<TestPool> {
    const test = await TestPool.open(settings);
    try {
      await test.pool.start();
      await test.whenFull();
      return test;
    } catch (error) {
      await test[Symbol.asyncDispose]();
      throw error;
    }
  }

  get docker(): Docker {
    return this.link.engine.docker;
  }

  get status(): RuntimeStatus {
    return this.pool.status().runtimes[0] as RuntimeStatus;
  }

  whenFull(): Promise<void> {
    return until(() => this.status.idle === this.status.target && this.status.creating === 0);
  }

  lease(more: Partial<Omit<LeaseRequest, 'runtime'>> = {}): Promise<Lease> {
    return this.pool.lease({
      runtime: this.python,
      owner: 'ann',
      memoryBytes: this.python.limits.memoryBytes,
      signal: new AbortController().signal,
      ...more,
    });
  }

  /** Ids of the containers that carry this pool's label, whatever their state. */
  containers(docker: Docker = this.docker): Promise<string[]> {
    return containersOf(docker, this.instance);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool[Symbol.asyncDispose]();
    await this.link[Symbol.asyncDispose]();
  }
}

export async function pythonRuntime(): Promise<Runtime> {
  const { runtimes } = await loadRuntimes();
  const python = runtimes.find(({ id }) => id === 'python');
  if (!python) throw new Error('The runtime python is broken.');
  return python;
}

export async function containersOf(docker: Docker, instance: string): Promise<string[]> {
  const filters = { label: [`coderunner.instance=${instance}`] };
  return (await docker.listContainers({ all: true, filters })).map(({ Id }) => Id);
}

const UNTIL_MS = 60_000;

/** Resolves when the condition holds. Throws when it never does, so that a failing test ends. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + UNTIL_MS;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`This never came true: ${condition}`);
    await delay(10);
  }
}
