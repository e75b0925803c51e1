/** Sees to it that a container engine runs: finds one, else starts Docker, else installs it from the system's packages. */
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { findEngine, isEngineAbsent } from '../daemon/src/engine/discovery.ts';
import { CodeRunnerError } from '../daemon/src/protocol/index.ts';
import { aptInstall, change, onPath, Refusal, say } from './system.ts';

const DOCKERD_LOG = '/var/log/coderunner-dockerd.log';
const DOCKERD_PID = '/var/run/coderunner-dockerd.pid';
/** A session of its own keeps it from this terminal's Ctrl-C. Its package may have started it just now. */
const START_DOCKERD = `rm -f ${DOCKERD_PID}; pidof dockerd >/dev/null || { cd /; setsid dockerd >>${DOCKERD_LOG} 2>&1 </dev/null & echo $! >${DOCKERD_PID}; }`;
const READY_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 200;
const LAST_LINES = 15;

/** What of the machine decides how it gets an engine. */
export interface Machine {
  platform: NodeJS.Platform;
  dockerd: boolean;
  podman: boolean;
  aptGet: boolean;
  systemd: boolean;
}

/** How a machine without a running engine gets one: commands to run as root, or what the person has to do. */
export type Plan = { why: string; commands: string[][] } | { refusal: string };

/** @param setting the setting `engine`. @throws Refusal or CodeRunnerError engine_unavailable: what is wrong and what to do */
export async function ensureEngine(setting: string, signal: AbortSignal): Promise<void> {
  const problem = await look(setting, signal);
  if (problem === undefined) return;
  // An engine that somebody named, or may not use, is not replaced by another one.
  if (!isEngineAbsent(problem)) throw problem;
  const plan = planEngine({
    platform: process.platform,
    dockerd: onPath('dockerd'),
    podman: onPath('podman'),
    aptGet: onPath('apt-get'),
    systemd: existsSync('/run/systemd/system'),
  });
  if ('refusal' in plan) throw new Refusal(plan.refusal);
  await change(plan.why, plan.commands, signal);
  await waitForEngine(setting, signal);
}

/** What keeps the engine from being used, or undefined where nothing does. */
async function look(setting: string, signal: AbortSignal): Promise<CodeRunnerError | undefined> {
  try {
    await findEngine(setting, { signal });
    return undefined;
  } catch (error) {
    if (error instanceof CodeRunnerError) return error;
    throw error;
  }
}

/** Decides; changes nothing. */
export function planEngine({ platform, dockerd, podman, aptGet, systemd }: Machine): Plan {
  if (platform !== 'linux') {
    return {
      refusal:
        'No container engine is running. Start Docker Desktop, OrbStack, Colima or Podman, or install one of them; then start again.',
    };
  }
  const start = systemd ? ['systemctl', 'start', 'docker'] : ['sh', '-c', START_DOCKERD];
  if (dockerd) return { why: 'Docker is installed, but does not run.', commands: [start] };
  if (podman) {
    const command = systemd ? 'systemctl --user enable --now podman.socket' : 'podman system service --time=0 &';
    return { refusal: `Podman is installed, but its service does not run. Run \`${command}\`; then start again.` };
  }
  if (!aptGet) {
    return {
      refusal:
        'There is no container engine, and no apt-get to install one with. Install Docker or Podman from the system’s packages and start it; then start again.',
    };
  }
  return {
    why: 'There is no container engine; Docker can be installed from the system’s packages.',
    commands: [...aptInstall('docker.io', 'iptables'), start],
  };
}

async function waitForEngine(setting: string, signal: AbortSignal): Promise<void> {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(READY_WITHIN_MS)]);
  for (;;) {
    const problem = await look(setting, signal);
    if (problem === undefined) return say('The container engine runs.');
    if (!isEngineAbsent(problem)) throw problem;
    if (deadline.aborted || !isStarting()) throw new Refusal(`Docker was started, but does not answer.${lastWords()}`);
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}

/** Whether the dockerd that was started here still lives; under systemd there is none, and the deadline decides. */
function isStarting(): boolean {
  if (!existsSync(DOCKERD_PID)) return true;
  return existsSync(`/proc/${readFileSync(DOCKERD_PID, 'utf8').trim()}`);
}

function lastWords(): string {
  if (!existsSync(DOCKERD_LOG)) return ' See `journalctl -u docker`.';
  const lines = readFileSync(DOCKERD_LOG, 'utf8').trimEnd().split('\n').slice(-LAST_LINES);
  return ` Its log, ${DOCKERD_LOG}, ends with:\n${lines.join('\n')}`;
}
