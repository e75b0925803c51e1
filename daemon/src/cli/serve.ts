/** `coderunner start --foreground`: this process is the daemon. */
import pino from 'pino';
import { loadConfig } from '../config.ts';
import { startDaemon } from '../http/daemon.ts';

/** Serves until a signal, a client or its idleness stops it. A second signal ends running programs at once. */
export async function serve(options: { stopWhenIdle: boolean }): Promise<number> {
  const config = loadConfig();
  // Synchronous, so that the last words before an end are in the log.
  const log = pino({ level: config.logLevel }, pino.destination({ dest: 2, sync: true }));
  process.on('uncaughtExceptionMonitor', (error) => log.fatal({ err: error }, 'the daemon fails'));
  const daemon = await startDaemon(config, { ...options, log });
  let asked = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      asked++;
      daemon.stop(asked > 1).catch((error) => log.error({ err: error }, 'stopping left something behind'));
    });
  }
  await daemon.stopped;
  return 0;
}
