/** Clients that keep a daemon busy, and what each of them was told of each of its runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type DaemonAddress, type RunHandle } from '../../src/client/index.ts';
import { CodeRunnerError, type ErrorCode, isEnd, type Run } from '../../src/protocol/index.ts';
import { PROGRAMS, type Program, type ProgramName } from './programs.ts';
import type { Random } from './random.ts';
import { TcpProxy } from './tcp-proxy.ts';

/** How long a client waits for a daemon that comes back: longer than any fault takes on a busy machine. */
const RECONNECT_MS = 120_000;
const AGAIN_AFTER_MS = 50;
const SLOW_READER_MS = 10;
/** Refusals that pass; the run was not taken, and is asked for again. */
const PASSING = new Set<ErrorCode>([
  'not_running',
  'shutting_down',
  'engine_unavailable',
  'engine_failing',
  'disk_full',
]);

/** One run as its client saw it. */
export interface Followed {
  program: ProgramName;
  token: string;
  id: string;
  /** As the client was told at its end. */
  end: Run;
  /** Some output was lost on the way, as the client was told. */
  gaps: number;
  /** All that the program prints arrived. */
  complete: boolean;
  /** Why its input was not taken. */
  inputRefused: string | undefined;
}

/** One client with a connection of its own that can be cut. */
export class LoadClient implements AsyncDisposable {
  readonly #proxy: TcpProxy;
  readonly #client: Client;

  private constructor(proxy: TcpProxy, token: () => string) {
    this.#proxy = proxy;
    const locate = async (): Promise<DaemonAddress> => ({ url: proxy.url, token: token() });
    this.#client = new Client({ locate, reconnectMs: RECONNECT_MS });
  }

  /** @param daemon where the daemon is by now */
  static async start(daemon: () => { url: string; token: string }): Promise<LoadClient> {
    return new LoadClient(await TcpProxy.start(() => daemon().url), () => daemon().token);
  }

  /** @returns how many connections were cut */
  cut(): number {
    return this.#proxy.cut();
  }

  /**
   * Asks for a run until it is taken, and follows it to its end.
   * @param wallMs the program's own limit
   * @param onEvent is called for everything that happens to the run
   * @throws Error where the daemon refuses for good, or something came that the program did not print
   */
  async run(name: ProgramName, token: string, wallMs: number, onEvent: () => void): Promise<Followed> {
    const program: Program = PROGRAMS[name];
    const wanted = program.prints(token);
    let arrived = 0;
    let gaps = 0;
    let ended: Run | undefined;
    let wrong: string | undefined;
    const handle = await this.#start(program, token, wallMs, {
      onState: (run) => {
        if (ended && run.state !== ended.state) wrong ??= `was told ${run.state} after ${ended.state}, which is an end`;
        if (isEnd(run.state)) ended = run;
        onEvent();
      },
      onGap: (from, to) => {
        gaps += to - from;
      },
      onOutput: async ({ channel, seq, data }) => {
        onEvent();
        if (channel === 'stdout' && !wanted.subarray(seq, seq + data.length).equals(data))
          wrong ??= `printed something else at ${seq}`;
        arrived += data.length;
        if (program.slowly) await sleep(SLOW_READER_MS);
      },
    });
    const inputRefused = await this.#feed(handle, program.input?.(token));
    const end = await handle.done;
    if (wrong !== undefined) throw new Error(`${name} ${handle.id} ${wrong}`);
    return { program: name, token, id: handle.id, end, gaps, complete: arrived === wanted.length, inputRefused };
  }

  async #start(
    program: Program,
    token: string,
    wallMs: number,
    observer: Parameters<Client['start']>[1],
  ): Promise<RunHandle> {
    const request = {
      runtime: 'python',
      files: [{ path: 'main.py', content: Buffer.from(program.source) }],
      limits: { wallMs },
      args: [token],
      // An attempt whose answer was lost may have been taken: the next one asks for the same run.
      key: token,
      ...(program.input ? {} : { stdin: null }),
    };
    const giveUpAt = performance.now() + RECONNECT_MS;
    for (;;) {
      try {
        return await this.#client.start(request, observer);
      } catch (error) {
        const passing = error instanceof CodeRunnerError && PASSING.has(error.code);
        if (!passing || performance.now() > giveUpAt) throw error;
        await sleep(AGAIN_AFTER_MS);
      }
    }
  }

  /** @returns why the input was not taken; undefined where it was */
  async #feed(handle: RunHandle, lines: readonly string[] = []): Promise<string | undefined> {
    try {
      for (const line of lines) await handle.write(Buffer.from(line));
      if (lines.length > 0) await handle.eof();
      return undefined;
    } catch (error) {
      if (!(error instanceof CodeRunnerError)) throw error;
      // That the run has ended is the one good reason; else the program would wait for the rest.
      await handle.cancel();
      return error.message;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
    await this.#proxy[Symbol.asyncDispose]();
  }
}

/** Some runs of several clients at once. */
export class Load implements AsyncDisposable {
  readonly clients: readonly LoadClient[];
  /** All runs, followed to their ends; rejects with what went wrong with the first of them. */
  readonly done: Promise<Followed[]>;
  /** Resolves when all have ended, well or not. */
  readonly settled: Promise<void>;
  /** Runs that have not ended, for whoever asks why the load does not end. */
  readonly underWay = new Set<string>();
  #events = 0;
  #over = false;
  #waiting: { events: number; resolve: () => void }[] = [];

  private constructor(clients: readonly LoadClient[], plans: readonly Plan[], wallMs: number) {
    this.clients = clients;
    this.done = Promise.all(plans.map((plan, index) => this.#work(clients[index] as LoadClient, plan, wallMs)))
      .then((followed) => followed.flat())
      .finally(() => {
        this.#over = true;
        this.#wake();
      });
    this.settled = this.done.then(
      () => {},
      () => {}, // whoever waits for `done` is told
    );
  }

  /**
   * @param label begins the tokens of its runs
   * @param runs how many each client has, in two rows that run at the same time
   */
  static async start(
    daemon: () => { url: string; token: string },
    options: { label: string; clients: number; runs: number; wallMs: number; random: Random },
  ): Promise<Load> {
    const { label, random } = options;
    const names = Object.keys(PROGRAMS) as ProgramName[];
    const plans = Array.from({ length: options.clients }, (_, client) =>
      Array.from({ length: options.runs }, (_, run) => ({
        program: random.pick(names),
        token: `${label}-${client}-${run}`,
      })),
    );
    return new Load(await Promise.all(plans.map(() => LoadClient.start(daemon))), plans, options.wallMs);
  }

  /** Resolves when that much has happened to its runs, or all have ended. */
  reached(events: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ events, resolve });
      this.#wake();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.clients.map((client) => client[Symbol.asyncDispose]()));
  }

  async #work(client: LoadClient, plan: Plan, wallMs: number): Promise<Followed[]> {
    const halves = [plan.filter((_, index) => index % 2 === 0), plan.filter((_, index) => index % 2 === 1)];
    const followed = halves.map(async (row) => {
      const ended: Followed[] = [];
      for (const { program, token } of row) {
        this.underWay.add(`${program} ${token}`);
        ended.push(await client.run(program, token, wallMs, () => this.#happened()));
        this.underWay.delete(`${program} ${token}`);
      }
      return ended;
    });
    return (await Promise.all(followed)).flat();
  }

  #happened(): void {
    this.#events++;
    this.#wake();
  }

  #wake(): void {
    const due = this.#waiting.filter(({ events }) => this.#over || this.#events >= events);
    this.#waiting = this.#waiting.filter((each) => !due.includes(each));
    for (const { resolve } of due) resolve();
  }
}

type Plan = readonly { program: ProgramName; token: string }[];
