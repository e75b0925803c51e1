/** What is broken, one thing a round, and what that may do to the runs that were under way. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { EndState, ErrorCode } from '../../src/protocol/index.ts';
import type { Load } from './load.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

const CLI = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));
const HOUR_MS = 3_600_000;
/** A program's own limit where nothing should reach it, and where a frozen sandbox has to. */
const PLENTY_MS = 120_000;
const FROZEN_MS = 2_000;
/** The daemon always has a container soon. */
const CONTAINER_WITHIN_MS = 60_000;

interface Scene {
  world: World;
  load: Load;
  random: Random;
  /** No other run of the suite has it. */
  token: string;
}

export interface Fault {
  /** For people. */
  title: string;
  /** How runs may end besides well, how many of them (any number where it is left out), and what the daemon says it could not do. */
  mayEnd?: { states: readonly EndState[]; most?: number; code?: ErrorCode };
  /** Each program's limit of time. */
  wallMs: number;
  /** Does it, and heals what does not heal by itself. */
  strike(scene: Scene): Promise<void>;
}

export const FAULTS: Readonly<Record<string, Fault>> = {
  'container-kill': {
    title: 'a container killed',
    mayEnd: { states: ['lost'], most: 1 },
    wallMs: PLENTY_MS,
    async strike({ world, random }) {
      const docker = await world.engine.client();
      const victim = await anyContainer(world, random);
      // Its run may have ended, and it with it, while it was chosen.
      await docker.getContainer(victim).kill().catch(gone);
    },
  },
  'agent-kill': {
    title: 'an agent killed',
    mayEnd: { states: ['lost'], most: 1 },
    wallMs: PLENTY_MS,
    async strike(scene) {
      await signalAgent(scene, 'SIGKILL');
    },
  },
  'agent-stop': {
    title: 'an agent frozen',
    mayEnd: { states: ['timed_out', 'lost'] },
    wallMs: FROZEN_MS,
    async strike(scene) {
      const pid = await signalAgent(scene, 'SIGSTOP');
      // Who is frozen while it waits in the pool is not missed before a run gets it, which may be in another round.
      await scene.load.settled;
      try {
        process.kill(pid, 'SIGCONT');
      } catch (error) {
        gone(error);
      }
    },
  },
  'engine-kill': {
    title: 'the engine killed and started again',
    mayEnd: { states: ['lost'] },
    wallMs: PLENTY_MS,
    async strike({ world }) {
      await world.restartEngine();
    },
  },
  'daemon-kill': {
    title: 'the daemon killed and started again',
    mayEnd: { states: ['lost'] },
    wallMs: PLENTY_MS,
    async strike({ world }) {
      await world.daemon.end('SIGKILL');
      await world.startDaemon();
    },
  },
  'daemon-stop': {
    title: 'the daemon frozen and thawed',
    wallMs: PLENTY_MS,
    async strike({ world, random }) {
      const { pid } = world.daemon;
      process.kill(pid, 'SIGSTOP');
      try {
        await sleep(random.below(2_000));
      } finally {
        process.kill(pid, 'SIGCONT');
      }
    },
  },
  'connection-cut': {
    title: "a client's connections cut",
    wallMs: PLENTY_MS,
    async strike({ load, random }) {
      random.pick(load.clients).cut();
    },
  },
  'client-kill': {
    title: 'a client killed',
    wallMs: PLENTY_MS,
    async strike({ world, token }) {
      const source = 'import time\nprint("ready", flush=True)\ntime.sleep(0.5)\n';
      await writeFile(join(world.clientFolder, 'main.py'), source);
      const client = spawn(process.execPath, [CLI, 'run', 'main.py', token], {
        cwd: world.clientFolder,
        env: { ...process.env, CODERUNNER_DATA_DIR: world.dataDir },
        stdio: ['ignore', 'pipe', 'pipe'],
        detached: true, // Ctrl+C is for the suite
      });
      const exited = once(client, 'exit');
      const said: string[] = [];
      createInterface({ input: client.stderr }).on('line', (line) => said.push(line));
      for await (const line of createInterface({ input: client.stdout })) if (line === 'ready') break;
      if (client.exitCode !== null) throw new Error(`The client ended by itself: ${said.join('\n')}`);
      client.kill('SIGKILL');
      await exited;
    },
  },
  'disk-full': {
    title: 'the disk full, then not',
    mayEnd: { states: ['failed'], code: 'disk_full' },
    wallMs: PLENTY_MS,
    async strike({ world, random }) {
      const free = await world.fillDisk();
      try {
        await sleep(500 + random.below(2_000));
      } finally {
        await free();
      }
    },
  },
  'clock-jump': {
    title: "the daemon's clock set forward or back",
    wallMs: PLENTY_MS,
    async strike({ world, random }) {
      const hours = random.pick([-24 * 365, -24, -1, 1, 24, 24 * 365 * 5]);
      await world.shiftClock(hours * HOUR_MS);
    },
  },
};

/** One of the daemon's containers, waiting or at work. */
async function anyContainer(world: World, random: Random): Promise<string> {
  const giveUpAt = performance.now() + CONTAINER_WITHIN_MS;
  do {
    const containers = await world.containers();
    if (containers.length > 0) return random.pick(containers.sort());
    await sleep(10);
  } while (performance.now() < giveUpAt);
  throw new Error('the daemon has no container, for too long');
}

/** @returns the process that got it */
async function signalAgent({ world, random }: Scene, signal: NodeJS.Signals): Promise<number> {
  const docker = await world.engine.client();
  for (;;) {
    try {
      const { State } = await docker.getContainer(await anyContainer(world, random)).inspect();
      if (State.Pid === 0) continue; // created, and not started yet
      process.kill(State.Pid, signal);
      return State.Pid;
    } catch (error) {
      gone(error); // and another one is looked for
    }
  }
}

/** @throws whatever is not that a container or process has just ended */
function gone(error: unknown): void {
  const { statusCode, code } = error as { statusCode?: number; code?: string };
  if (statusCode !== 404 && statusCode !== 409 && code !== 'ESRCH') throw error;
}
