/** Who used the processors: this daemon, the engine, what runs in containers, this bench, everything else. Linux only. */
import { readdirSync, readFileSync } from 'node:fs';
import { TICKS_PER_SECOND } from './daemon.ts';

/** Where the kernel adds up what all containers used, those that are gone included: control groups of version 1, and of version 2. */
const CONTAINER_CLOCKS = [
  { file: '/sys/fs/cgroup/cpuacct/docker/cpuacct.usage', ms: (text: string) => Number(text) / 1e6 },
  { file: '/sys/fs/cgroup/docker/cpu.stat', ms: usageOf },
  { file: '/sys/fs/cgroup/system.slice/docker.slice/cpu.stat', ms: usageOf },
];
const ENGINE_PROCESSES = new Set(['dockerd', 'containerd']);

/** Milliseconds of processor time. */
export interface ProcessorTimes {
  daemon: number;
  /** `dockerd` and `containerd`, with the helpers that they waited for. */
  engine: number;
  /** Programs, the agents and interpreters around them, and what this bench started bare. */
  programs: number;
  /** This bench, which is the client. */
  client: number;
  /** All else: `containerd-shim` and `runc`, the kernel making and removing containers, and whoever else uses this machine. */
  rest: number;
}

export class Processors {
  readonly #daemon: number;
  readonly #engine: readonly number[];
  readonly #containers = CONTAINER_CLOCKS.find(({ file }) => read(file) !== undefined);

  /** @param daemon the id of its process */
  constructor(daemon: number) {
    this.#daemon = daemon;
    this.#engine = processesCalled(ENGINE_PROCESSES);
  }

  /** Whether what runs in containers is told apart from the rest. */
  get seesContainers(): boolean {
    return this.#containers !== undefined;
  }

  /** What was used since the machine started. */
  read(): ProcessorTimes {
    const own = timesOf(process.pid);
    const daemon = timesOf(this.#daemon).own;
    const engine = this.#engine.reduce((sum, pid) => sum + timesOf(pid).own + timesOf(pid).children, 0);
    const containers = this.#containers ? this.#containers.ms(read(this.#containers.file) ?? '') : 0;
    const programs = containers + own.children;
    const rest = busyMs() - daemon - engine - programs - own.own;
    return { daemon, engine, programs, client: own.own, rest };
  }
}

const NAMES = ['daemon', 'engine', 'programs', 'client', 'rest'] as const satisfies (keyof ProcessorTimes)[];

/** What was used between two readings. */
export function between(before: ProcessorTimes, after: ProcessorTimes): ProcessorTimes {
  return each((name) => after[name] - before[name]);
}

/** The sum of several, times a factor. */
export function scaled(times: readonly ProcessorTimes[], factor: number): ProcessorTimes {
  return each((name) => times.reduce((sum, one) => sum + one[name], 0) * factor);
}

function each(of: (name: keyof ProcessorTimes) => number): ProcessorTimes {
  return Object.fromEntries(NAMES.map((name) => [name, of(name)])) as Record<(typeof NAMES)[number], number>;
}

function busyMs(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (
    readFileSync('/proc/stat', 'utf8').split('\n', 1)[0] as string
  )
    .split(/\s+/)
    .map(Number);
  return ticksToMs(user + nice + system + irq + softirq);
}

/** A process, and those of its children that have ended and were waited for. One that is gone used nothing. */
function timesOf(pid: number): { own: number; children: number } {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return { own: 0, children: 0 };
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15).map(Number);
  return { own: ticksToMs(user + system), children: ticksToMs(childUser + childSystem) };
}

function processesCalled(names: ReadonlySet<string>): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && names.has(read(`/proc/${name}/comm`)?.trim() ?? ''))
    .map(Number);
}

function usageOf(text: string): number {
  return Number(/^usage_usec (\d+)$/m.exec(text)?.[1] ?? 0) / 1e3;
}

function ticksToMs(ticks: number): number {
  return (ticks * 1_000) / TICKS_PER_SECOND;
}

/** A file of the kernel's; undefined where it is not there, or no longer. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
