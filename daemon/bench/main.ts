/**
 * `npm run bench`: measures CodeRunner against doing the same without it. docs/performance.md says how and why.
 *
 *   --only ID      one benchmark, or several with commas between; may be given several times. Those of the editor, `vscode.…`, run only so
 *   --quick        the short form: fails on wrong results only, its times say little
 *   --json FILE    writes the results for programs
 *   --daemon FILE  another build of the daemon than the one in dist/, to compare two
 */
import { writeFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Editor } from '../../extension/bench/editor.ts';
import { BENCHMARKS, IN_EDITOR } from './benchmarks.ts';
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
const all = { ...BENCHMARKS, ...IN_EDITOR };
const ids = options.only?.flatMap((list) => list.split(',')) ?? Object.keys(BENCHMARKS);
const unknown = ids.find((id) => !Object.hasOwn(all, id));
if (unknown !== undefined) {
  say(`There is no benchmark "${unknown}". There are: ${Object.keys(all).join(', ')}.`);
  process.exit(2);
}

/** The exit code of a program that somebody ended. */
const INTERRUPTED = 130;

const results: Result[] = [];
const date = new Date().toISOString();
const docker = await connectEngine();
say('starting a daemon and waiting for its pool');
await using resources = new AsyncDisposableStack();
const daemon = resources.use(await BenchDaemon.start(options.daemon));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void resources.disposeAsync().finally(() => process.exit(INTERRUPTED)));
const sandbox = resources.use(await Sandbox.connect(daemon));
let window: Promise<Editor> | undefined;
const editor = () => {
  window ??= Editor.open(daemon.dataDir).then((opened) => resources.use(opened));
  return window;
};
const machine = describeMachine((await daemon.status()).pool.engine.name);
for (const id of ids) {
  const load = loadavg()[0] ?? 0;
  say(`${id} (load ${load.toFixed(2)})`);
  const measurement = await all[id]?.({ daemon, sandbox, docker, editor, quick: options.quick }).catch(
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
