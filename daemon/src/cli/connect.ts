/** The daemon of this user and machine, for the commands that talk to it. */
import { discover, type LocalDaemon } from '../client/address.ts';
import { DaemonApi } from '../client/api.ts';
import { Client } from '../client/client.ts';
import { DAEMON_NODE_FLAGS, ensureDaemon } from '../client/ensure.ts';
import { type Config, loadConfig } from '../config.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import { say } from './output.ts';

/** How this program is started as a daemon that serves until nobody needs it. */
const DAEMON = ['start', '--foreground', '--stop-when-idle'];

export interface Connected extends AsyncDisposable {
  client: Client;
  config: Config;
}

/** A client of the daemon, which is started when it is first needed. @param onStart told when that is done */
export function connect(options: { signal?: AbortSignal; quiet?: boolean } = {}): Connected {
  const config = loadConfig();
  const client = new Client({
    async locate() {
      const daemon = await start(config, DAEMON, options.signal);
      if (daemon.startedNow && !options.quiet) await say('coderunner: started the daemon');
      return daemon;
    },
  });
  return { client, config, [Symbol.asyncDispose]: () => client[Symbol.asyncDispose]() };
}

/** @param args what makes this program a daemon */
export function start(config: Config, args: readonly string[] = DAEMON, signal?: AbortSignal) {
  const program = process.argv[1] as string;
  return ensureDaemon({
    dataDir: config.dataDir,
    command: [process.execPath, ...DAEMON_NODE_FLAGS, program, ...args],
    signal,
  });
}

/** What a daemon that is known can be asked. */
export function apiOf(daemon: { url: string; token: string }): DaemonApi {
  return new DaemonApi({ locate: async () => daemon, forget() {} });
}

/** The daemon that runs. @throws CodeRunnerError not_running */
export async function running(config: Config): Promise<LocalDaemon> {
  const daemon = await discover(config.dataDir);
  if (daemon) return daemon;
  throw new CodeRunnerError('not_running', 'No daemon is running.', {
    hint: 'Start one with `coderunner start`; `coderunner run` does so by itself.',
  });
}

/** Has the daemon read the folders of languages again. @returns false where none is running */
export async function tellDaemon(config: Config): Promise<boolean> {
  const daemon = await discover(config.dataDir);
  if (daemon) await apiOf(daemon).reloadRuntimes();
  return daemon !== undefined;
}
