/** A daemon in a process of its own that many owners share: their tokens come as JSON in `LOAD_OWNERS`, its address goes to the parent. */
import pino from 'pino';
import { loadConfig } from '../../src/config.ts';
import { startDaemon } from '../../src/http/daemon.ts';

const owners = new Map(Object.entries(JSON.parse(process.env.LOAD_OWNERS ?? '{}') as Record<string, string>));
delete process.env.LOAD_OWNERS;
const log = pino({ level: 'error' }, pino.destination({ dest: 2, sync: true }));
const daemon = await startDaemon(loadConfig(), { stopWhenIdle: false, log, owners });
process.on('disconnect', () => daemon.stop(true));
process.send?.(daemon.url);
await daemon.stopped;
