/**
 * `npm run bench`: measures CodeRunner against doing the same without it. docs/performance.md says how and why.
 *
 *   --only ID      one benchmark; may be given several times
 *   --quick        the short form: fails on wrong results only, its times say little
 *   --json FILE    writes the results for programs
 *   --daemon FILE  another build of the daemon than the one in dist/, to compare two
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { BENCHMARKS } from './benchmarks.ts';
import { BenchDaemon, BUNDLE } from './daemon.ts';
import { connectEngine } from './engine.ts';
import { describeMachine, type Measurement, type Result, renderReport, toResult } from './report.ts';
import { Sandbox } from './sandbox.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    daemon: { type: 'string', default: BUNDLE },
  },
});
const ids = options.only ?? Object.keys(BENCHMARKS);
const unknown = ids.find((id) => !Object.hasOwn(BENCHMARKS, id));
if (unknown !== undefined) {
  say(`There is no benchmark "${unknown}". There are: ${Object.keys(BENCHMARKS).join(', ')}.`);
  process.exit(2);
}

/** The exit code of a program that somebody ended. */
const INTERRUPTED = 130;

const results: Result[] = [];
const date = new Date().toISOString();
const docker = await connectEngine();
say('starting a daemon and waiting for its pool');
await using daemon = await BenchDaemon.start(options.daemon);
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void daemon[Symbol.asyncDispose]().finally(() => process.exit(INTERRUPTED)));
await using sandbox = await Sandbox.connect(daemon);
const machine = describeMachine((await daemon.status()).pool.engine.name);
for (const id of ids) {
  const load = loadavg()[0] ?? 0;
  say(`${id} (load ${load.toFixed(2)})`);
  const measurement = await BENCHMARKS[id]?.({ daemon, sandbox, docker, quick: options.quick }).catch(
    (error: Error): Measurement => ({ what: 'did not come to its end', wrong: [String(error.stack)] }),
  );
  if (!measurement) continue;
  const result = toResult(id, measurement);
  if (load > availableParallelism())
    result.notes.push(`the machine was busy with something else (load ${load.toFixed(1)})`);
  results.push(result);
}

console.log(renderReport(machine, results));
if (options.json) await writeFile(options.json, `${JSON.stringify({ machine, date, results }, null, 2)}\n`);
const wrong = results.some((result) => result.wrong.length > 0);
const over = results.some((result) => result.pass === false);
process.exitCode = wrong || (over && !options.quick) ? 1 : 0;

/** Progress goes to stderr: stdout is the report. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
