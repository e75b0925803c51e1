/** The broker inside the daemon: fair between owners, by priority within an owner, in order within a priority. */
import type { Broker, Job } from './broker.ts';

/** One owner's waiting jobs. */
class Line {
  running = 0;
  waiting = 0;
  /** When the owner was last served; decides between owners with equally many running. */
  servedAt = 0;
  /** Jobs by priority; within one, those that came first are first. */
  readonly #byPriority = new Map<number, Set<Job>>();

  add(job: Job, first = false): void {
    this.waiting++;
    const same = this.#byPriority.get(job.priority);
    if (!same) this.#byPriority.set(job.priority, new Set([job]));
    else if (first) this.#byPriority.set(job.priority, new Set([job, ...same]));
    else same.add(job);
  }

  take(): Job | undefined {
    let most: number | undefined;
    for (const priority of this.#byPriority.keys()) if (most === undefined || priority > most) most = priority;
    if (most === undefined) return undefined;
    const [job] = this.#byPriority.get(most) as Set<Job>;
    if (job) this.remove(job);
    return job;
  }

  remove(job: Job): void {
    const same = this.#byPriority.get(job.priority);
    if (same?.delete(job)) this.waiting--;
    if (same?.size === 0) this.#byPriority.delete(job.priority);
  }

  get isEmpty(): boolean {
    return this.waiting === 0;
  }
}

export class EmbeddedBroker implements Broker {
  readonly #concurrency: number;
  /** As many one owner may have worked on: the rest is free for whoever comes. */
  readonly #mostOfOne: number;
  readonly #lines = new Map<string, Line>();
  readonly #waiting = new Map<string, Job>();
  #active = 0;
  #clock = 0;
  #paused = false;
  #work: ((job: Job) => Promise<'done' | 'again'>) | undefined;
  /** Told when nothing is worked on any more. */
  readonly #idle: (() => void)[] = [];

  /** @param concurrency jobs that are worked on at once; from 8 on an eighth of them is kept from a single owner */
  constructor(concurrency: number) {
    this.#concurrency = concurrency;
    this.#mostOfOne = concurrency - Math.floor(concurrency / 8);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  waitingOf(owner: string): number {
    return this.#lines.get(owner)?.waiting ?? 0;
  }

  get active(): number {
    return this.#active;
  }

  enqueue(job: Job): void {
    this.#line(job.owner).add(job);
    this.#waiting.set(job.id, job);
    this.#dispatch();
  }

  remove(id: string): boolean {
    const job = this.#waiting.get(id);
    if (!job) return false;
    this.#waiting.delete(id);
    this.#line(job.owner).remove(job);
    this.#forgetIfIdle(job.owner);
    return true;
  }

  consume(work: (job: Job) => Promise<'done' | 'again'>): void {
    this.#work = work;
    this.#dispatch();
  }

  resume(): void {
    this.#paused = false;
    this.#dispatch();
  }

  async stop(): Promise<void> {
    this.#work = undefined;
    if (this.#active > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #dispatch(): void {
    while (this.#work && !this.#paused && this.#active < this.#concurrency) {
      const line = this.#next();
      const job = line?.take();
      if (!line || !job) return;
      this.#waiting.delete(job.id);
      this.#active++;
      line.running++;
      line.servedAt = ++this.#clock;
      void this.#process(this.#work, line, job);
    }
  }

  async #process(work: (job: Job) => Promise<'done' | 'again'>, line: Line, job: Job): Promise<void> {
    // Whoever works on it says what went wrong.
    const outcome = await work(job).catch(() => 'done' as const);
    this.#active--;
    line.running--;
    if (outcome === 'again') {
      this.#paused = true;
      this.#line(job.owner).add(job, true);
      this.#waiting.set(job.id, job);
    }
    this.#forgetIfIdle(job.owner);
    this.#dispatch();
    if (this.#active === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** The owner with the fewest running jobs; among equals, the one that has waited longest to be served. */
  #next(): Line | undefined {
    let best: Line | undefined;
    for (const line of this.#lines.values()) {
      if (line.isEmpty || line.running >= this.#mostOfOne) continue;
      if (!best || line.running < best.running || (line.running === best.running && line.servedAt < best.servedAt))
        best = line;
    }
    return best;
  }

  #line(owner: string): Line {
    let line = this.#lines.get(owner);
    if (!line) {
      line = new Line();
      this.#lines.set(owner, line);
    }
    return line;
  }

  #forgetIfIdle(owner: string): void {
    const line = this.#lines.get(owner);
    if (line?.isEmpty && line.running === 0) this.#lines.delete(owner);
  }
}
