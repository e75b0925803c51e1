/**
 * Breaks one thing after the other under a daemon that is kept busy, and says after each what must hold and does not. Everything that
 * is chosen comes from one seed. Start reading at `runChaos`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type EndState, isEnd, type Run, type RunList } from '../../src/protocol/index.ts';
import { within } from '../support/within.ts';
import { FAULTS, type Fault } from './faults.ts';
import { type Followed, Load } from './load.ts';
import { Random } from './random.ts';
import { type Usage, World } from './world.ts';

const CLIENTS = 3;
const RUNS_PER_CLIENT = 3;
/** By then some of a round's runs wait, some run, and some have ended. */
const MOST_EVENTS = 45;
/** Whatever has not come about by then never will, on a machine that is as busy as can be. */
const SETTLES_WITHIN_MS = 120_000;
/** The same for a load: a program may take two minutes, and may have to be asked for again. */
const LOAD_WITHIN_MS = 240_000;
const LOOK_EVERY_MS = 100;
/** Connections that a daemon keeps open to its engine for a while; a leak is more than that after some rounds. */
const SPARE_DESCRIPTORS = 12;
const SPARE_BYTES = 128 * 2 ** 20;
const LISTED = 200;
/** How many rounds an ended run is looked at again: what it ended as must stay, also across restarts. */
const REMEMBERED_ROUNDS = 3;

export interface ChaosOptions {
  rounds: number;
  seed: number;
  /** Names of {@link FAULTS}; all of them where it is left out. */
  faults?: readonly string[];
  /** Ends it after the present round. */
  signal?: AbortSignal;
  onRound?(line: string): void;
}

export interface ChaosReport {
  /** Rounds by fault. */
  tried: Map<string, number>;
  /** Runs by how they ended. */
  ended: Map<EndState, number>;
  /** Before the first fault, and after the last one. */
  usage: { before: Usage; after: Usage };
  /** The most that a daemon at rest was seen to use. */
  most: Usage;
}

/** What was tried and what held, for people. */
export function inWords({ tried, ended, usage: { before, after }, most }: ChaosReport): string {
  const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  const ends = [...ended].map(([state, count]) => `${count} ${state}`);
  return [
    'Tried:',
    ...[...tried].sort().map(([name, count]) => `  ${count} × ${FAULTS[name]?.title}`),
    `Held, after each: every run has one end (${ends.join(', ')}), which its client was told and which stays; no`,
    '  container, process or file is left; the pool is full; descriptors and memory are back:',
    `  descriptors ${before.descriptors} before, ${after.descriptors} after, ${most.descriptors} at most;`,
    `  memory ${mib(before.residentBytes)} before, ${mib(after.residentBytes)} after, ${mib(most.residentBytes)} at most.`,
  ].join('\n');
}

/** Something that must hold does not. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

/** @throws Violation, with the seed, the round, the fault and what was found */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const names = options.faults ?? Object.keys(FAULTS);
  await using world = await World.start();
  const chaos = new Chaos(world, options.seed);
  // The first runs of a daemon load what it loads once.
  await chaos.round(0, undefined).catch((error) => {
    throw violation(world, `seed ${options.seed}, before the first fault`, error);
  });
  const before = await world.usage();
  chaos.bound = before;
  const tried = new Map<string, number>();
  let deck: string[] = [];
  for (let round = 1; round <= options.rounds; round++) {
    if (options.signal?.aborted) break;
    if (deck.length === 0) deck = new Random(options.seed, -round).shuffled(names);
    const name = deck.pop() as string;
    const fault = FAULTS[name];
    if (!fault) throw new RangeError(`There is no fault "${name}".`);
    try {
      const startedAt = performance.now();
      const states = await chaos.round(round, fault);
      tried.set(name, (tried.get(name) ?? 0) + 1);
      const { descriptors, residentBytes } = await world.usage();
      options.onRound?.(
        `${round} ${name}: ${[...states].map(([state, count]) => `${count} ${state}`).join(', ')}; ` +
          `${descriptors} descriptors, ${Math.round(residentBytes / 2 ** 20)} MiB, ` +
          `${Math.round((performance.now() - startedAt) / 100) / 10} s`,
      );
    } catch (error) {
      throw violation(world, `seed ${options.seed}, round ${round}, ${name}`, error);
    }
  }
  const after = await world.usage();
  await world.stopDaemon().catch((error) => {
    throw violation(world, `seed ${options.seed}, at the end`, error);
  });
  return { tried, ended: chaos.ended, usage: { before, after }, most: chaos.most };
}

function violation(world: World, where: string, error: unknown): Violation {
  const { message } = error as Error;
  const logs = [
    ['daemon', world.log],
    ['engine', world.engine.log],
  ] as const;
  const told = logs.map(([whose, lines]) => `--- the end of the ${whose}'s log\n${lines.join('\n')}`);
  return new Violation([`${where}: ${message}`, ...told].join('\n'), { cause: error });
}

class Chaos {
  readonly ended = new Map<EndState, number>();
  most: Usage = { descriptors: 0, residentBytes: 0 };
  /** What a daemon at rest used before the first fault. */
  bound: Usage | undefined;
  readonly #world: World;
  readonly #seed: number;
  /** Runs of the latest rounds, by what they are known to have ended as. */
  #known: Map<string, { state: string; round: number }> = new Map();

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#seed = seed;
  }

  /** One load, one fault in the middle of it, and everything that must hold after it. @returns how the runs ended */
  async round(round: number, fault: Fault | undefined): Promise<Map<EndState, number>> {
    const random = new Random(this.#seed, round);
    const label = `r${this.#seed}-${round}`;
    const scene = { label, clients: CLIENTS, runs: RUNS_PER_CLIENT, wallMs: fault?.wallMs ?? 120_000, random };
    let followed: Followed[];
    {
      await using load = await Load.start(() => this.#world.daemon, scene);
      const events = random.below(MOST_EVENTS);
      const open = () => [...load.underWay].join(', ');
      await within(LOAD_WITHIN_MS, () => `${events} events of ${open()}`, load.reached(events));
      const struck = fault?.strike({ world: this.#world, load, random, token: `${label}-fault` });
      await within(LOAD_WITHIN_MS, `${fault?.title}, and mended`, Promise.resolve(struck));
      followed = await within(LOAD_WITHIN_MS, () => `an end of ${open()}`, load.done);
    }
    await this.#settle();
    const listed = await within(SETTLES_WITHIN_MS, 'the daemon lists its runs', this.#listed(label));
    this.#judge(followed, listed, fault);
    await within(SETTLES_WITHIN_MS, 'the daemon tells how earlier runs ended', this.#stayed(listed, round));
    await within(SETTLES_WITHIN_MS, 'what the daemon uses is known', this.#measure());
    const states = countBy(listed.map(({ state }) => state as EndState));
    for (const [state, count] of states) this.ended.set(state, (this.ended.get(state) ?? 0) + count);
    return states;
  }

  /** Waits until nothing runs, waits, or is left over. */
  async #settle(): Promise<void> {
    const giveUpAt = performance.now() + SETTLES_WITHIN_MS;
    for (;;) {
      const looked = this.#world.unrest();
      const found = await within(SETTLES_WITHIN_MS, 'the daemon and the engine say what they have', looked);
      if (found.length === 0) return;
      if (performance.now() > giveUpAt) throw new Error(`does not come to rest: ${found.join('; ')}`);
      await sleep(LOOK_EVERY_MS);
    }
  }

  /** The round's runs as the daemon's history has them, also those whose client never heard that they were taken. */
  async #listed(label: string): Promise<Run[]> {
    const { runs } = await this.#world.daemon.json<RunList>('GET', `/v1/runs?limit=${LISTED}`);
    return runs.filter(({ args }) => args[0]?.startsWith(`${label}-`));
  }

  #judge(followed: readonly Followed[], listed: readonly Run[], fault: Fault | undefined): void {
    const byId = new Map(listed.map((run) => [run.id, run]));
    if (byId.size !== listed.length) throw new Error('the history has a run twice');
    const twice = listed.find(({ args }, index) => listed.findIndex((run) => run.args[0] === args[0]) !== index);
    if (twice) throw new Error(`${twice.args[0]} was asked for once, and is in the history twice`);
    for (const { id, token, program, end, gaps, complete, inputRefused } of followed) {
      const run = `${program} ${token} (${id})`;
      const kept = byId.get(id);
      if (!kept) throw new Error(`${run} is not in the history`);
      if (kept.state !== end.state) throw new Error(`${run} was told ${end.state}, the history says ${kept.state}`);
      if (inputRefused !== undefined && (end.state === 'succeeded' || end.state === 'cancelled'))
        throw new Error(`${run} ended as ${end.state}, and its input was not taken: ${inputRefused}`);
      if (end.state === 'succeeded' && !complete && gaps === 0)
        throw new Error(`${run} succeeded, and some of its output did not come`);
    }
    const unusual = listed.filter(({ state }) => state !== 'succeeded');
    const open = listed.find(({ state }) => !isEnd(state));
    if (open) throw new Error(`${open.id} is ${open.state}, and nothing runs`);
    const { states, most, code }: NonNullable<Fault['mayEnd']> = fault?.mayEnd ?? { states: [] };
    const wrong = unusual.find(({ state, error }) => !states.includes(state as EndState) || error?.code !== code);
    if (wrong) throw new Error(`${wrong.args[0]} (${wrong.id}) ended as ${wrong.state}: ${wrong.message}`);
    if (most !== undefined && unusual.length > most)
      throw new Error(`${unusual.length} runs did not succeed, ${most} may`);
  }

  /** What ended stays as it ended. */
  async #stayed(listed: readonly Run[], round: number): Promise<void> {
    for (const [id, { state, round: when }] of this.#known) {
      const now = await this.#world.daemon.run(id);
      if (now.state !== state) throw new Error(`${id} had ended as ${state}, and is ${now.state} now`);
      if (when <= round - REMEMBERED_ROUNDS) this.#known.delete(id);
    }
    for (const { id, state } of listed) this.#known.set(id, { state, round });
  }

  async #measure(): Promise<void> {
    const now = await this.#world.usage();
    this.most = {
      descriptors: Math.max(this.most.descriptors, now.descriptors),
      residentBytes: Math.max(this.most.residentBytes, now.residentBytes),
    };
    if (!this.bound) return;
    const { descriptors, residentBytes } = this.bound;
    if (now.descriptors > descriptors + SPARE_DESCRIPTORS)
      throw new Error(`the daemon has ${now.descriptors} descriptors open, ${descriptors} before the first fault`);
    if (now.residentBytes > residentBytes + SPARE_BYTES)
      throw new Error(`the daemon uses ${now.residentBytes} bytes, ${residentBytes} before the first fault`);
  }
}

function countBy<T>(items: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}
