/** `coderunner start --foreground`: this process is the daemon. */
import pino from 'pino';
import { loadConfig } from '../config.ts';
import { startDaemon } from '../http/daemon.ts';

/** An engine that hangs must not keep a daemon that was told twice; the containers end when their connections do. */
const ENDS_WITHIN_MS = 5_000;

/** Serves until a signal, a client or its idleness stops it. A second signal ends running programs at once. */
export async function serve(options: { stopWhenIdle: boolean }): Promise<number> {
  const config = loadConfig();
  // Synchronous, so that the last words before an end are in the log.
  const log = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }));
  process.on('uncaughtExceptionMonitor', (error) => log.fatal({ err: error }, 'the daemon fails'));
  const daemon = await startDaemon(config, { ...options, log });
  const overdue = Promise.withResolvers<void>();
  let asked = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      asked++;
      daemon.stop(asked > 1).catch((error) => log.error({ err: error }, 'stopping left something behind'));
      if (asked > 1) setTimeout(overdue.resolve, ENDS_WITHIN_MS);
    });
  }
  await Promise.race([daemon.stopped, overdue.promise]);
  return 0;
}
