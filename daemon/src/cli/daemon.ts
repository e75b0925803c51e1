/** `coderunner start`, `stop`, `status` and `version`: the daemon of this user. */
import { setTimeout as sleep } from 'node:timers/promises';
import { discover, isAlive } from '../client/address.ts';
import { loadConfig } from '../config.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { DaemonStatus } from '../protocol/resources.ts';
import { formatBytes, formatDuration } from '../protocol/units.ts';
import { VERSION } from '../version.ts';
import { apiOf, running, start } from './connect.ts';
import { accentOut, print, printJson, say, table } from './output.ts';

const LOOK_EVERY_MS = 20;
/** Beyond its own grace a daemon needs a moment to remove its containers. */
const STOPS_WITHIN_MS = 60_000;
/** Who waits longer than that is told what for. */
const PATIENCE_MS = 3_000;

/** Starts a daemon in the background, unless one runs. */
export async function startInBackground(options: { stopWhenIdle: boolean; json: boolean }): Promise<number> {
  const args = ['start', '--foreground', ...(options.stopWhenIdle ? ['--stop-when-idle'] : [])];
  const { url, pid, version, startedNow } = await start(loadConfig(), args);
  if (options.json) await printJson({ url, pid, version, started: startedNow });
  else await print(`The daemon ${startedNow ? 'serves' : 'was running already'}: ${url} (process ${pid})`);
  return 0;
}

/** Stops the daemon and waits until it is gone. @param options.force ends running programs at once */
export async function stop(options: { force: boolean }): Promise<number> {
  const config = loadConfig();
  const daemon = await discover(config.dataDir);
  if (!daemon) {
    await say('No daemon is running.');
    return 0;
  }
  await apiOf(daemon).shutdown(options.force);
  const askedAt = performance.now();
  let isTold = false;
  while (isAlive(daemon.pid)) {
    const waited = performance.now() - askedAt;
    if (!isTold && waited > PATIENCE_MS) {
      isTold = true;
      await say(
        'Waiting for running programs (not with --force) and for the container engine, which removes the containers.\n' +
          'What it is too slow for, the next daemon removes.',
      );
    }
    if (waited > config.stopGrace + STOPS_WITHIN_MS)
      throw new CodeRunnerError('internal', `The daemon (process ${daemon.pid}) was told to stop, but goes on.`, {
        hint: `Look at its log, or end it: kill -9 ${daemon.pid}`,
      });
    await sleep(LOOK_EVERY_MS);
  }
  await say('The daemon has stopped.');
  return 0;
}

export async function status(options: { json: boolean }): Promise<number> {
  const daemon = await running(loadConfig());
  const now = await apiOf(daemon).status();
  if (options.json) await printJson(now);
  else await print(describe(now));
  return 0;
}

export async function version(options: { json: boolean }): Promise<number> {
  const daemon = await discover(loadConfig().dataDir);
  const versions = { coderunner: VERSION, node: process.versions.node, daemon: daemon?.version ?? null };
  if (options.json) await printJson(versions);
  else
    await print(
      `coderunner ${VERSION} (Node ${process.versions.node})\ndaemon ${daemon ? daemon.version : 'not running'}`,
    );
  return 0;
}

function describe({ version, url, pid, startedAt, memoryBytes, clients, runs, pool }: DaemonStatus): string {
  const { engine, runtimes } = pool;
  const up = Math.max(0, Date.now() - Date.parse(startedAt));
  const lines = [
    `daemon   ${version} at ${url}, process ${pid}, up ${formatDuration(Math.ceil(up / 1_000) * 1_000)}, ${formatBytes(memoryBytes)}`,
    `engine   ${engine.state === 'up' ? engine.name : accentOut('red', `not there: ${engine.problem}`)}`,
    `runs     ${runs.running} running, ${runs.queued} waiting`,
    `clients  ${clients}`,
  ];
  if (runtimes.length > 0) {
    const rows = runtimes.map(({ runtime, idle, target, creating, leased, hits, misses, problem }) => [
      runtime,
      `${idle} of ${target}`,
      `${creating}`,
      `${leased}`,
      hits + misses === 0 ? '' : `${hits} of ${hits + misses}`,
      problem ?? '',
    ]);
    lines.push('', table(['CONTAINERS', 'WAITING', 'COMING', 'IN USE', 'WAS WAITING', 'PROBLEM'], rows));
  }
  return lines.join('\n');
}
