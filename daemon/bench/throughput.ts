/** `npm run bench:throughput`: how many runs a second one machine serves, and what they cost. docs/performance.md explains the table. */
import { writeFile } from 'node:fs/promises';
import { loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { DaemonApi } from '../src/client/api.ts';
import type { RunRequest } from '../src/protocol/index.ts';
import { type Line, verdicts } from './bars.ts';
import { bursts, growth, type Held, manyRuns, playLecture } from './crowd.ts';
import { BenchDaemon, BUNDLE } from './daemon.ts';
import { connectEngine } from './engine.ts';
import { GREETING } from './hello.ts';
import { between, Processors, type ProcessorTimes, scaled } from './processors.ts';
import { describeMachine } from './report.ts';
import { bare, dockerRun, HELLOS, type Hello, helloRequest, type Once, run, warmExec } from './rivals.ts';
import { Sandbox } from './sandbox.ts';
import { type Measured, type Sustained, sustain, together } from './sustained.ts';

const HELP = `Measures how many hellos a second this machine serves, with CodeRunner and without.

  npm run bench:throughput -- [OPTIONS]

  --seconds N      how long each line is measured, once it has settled (2)
  --rounds N       how often each is measured, in turns (1)
  --at-once LIST   how many at a time (1,4,16,64)
  --languages LIST (python,javascript,cpp)
  --only LIST      of: table, batch, burst, lecture, memory (all but memory)
  --minutes N      how long the lecture is, in which 40 people press Run together (0.5)
  --runs N         how many runs, in containers used again, the daemon's memory is watched for (1000); asks for memory
  --daemon FILE    another build of the daemon than the one in dist/, to compare two
  --json FILE      writes the results for programs, too

As it is without options it takes ten minutes or so on two processors; two with --languages python --at-once 4,16 --only table,batch,burst.`;

/** Beyond this many at a time a compiler or a container for each only waits for the others. */
const MOST_HEAVY = 4;
/** The same for processes that the engine puts into a container. */
const MOST_EXECS = 16;
/** What runs of one program with many inputs are measured by; fewer when the time is over. */
const BATCH_INPUTS = 10_000;
const MEMORY_LANES = 16;
const DEFAULT_MEMORY_RUNS = 1_000;
const MB = 1_000_000;
const INTERRUPTED = 130;

const PARTS = ['table', 'batch', 'burst', 'lecture', 'memory'];

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '2' },
    rounds: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '1,4,16,64' },
    languages: { type: 'string', default: Object.keys(HELLOS).join(',') },
    only: { type: 'string' },
    minutes: { type: 'string', default: '0.5' },
    runs: { type: 'string' },
    daemon: { type: 'string', default: BUNDLE },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(HELP);
  process.exit();
}
const seconds = positive('seconds', values.seconds);
const rounds = positive('rounds', values.rounds);
const minutes = positive('minutes', values.minutes);
const atOnce = values['at-once'].split(',').map((number) => positive('at-once', number));
const languages = among('languages', values.languages, Object.keys(HELLOS)) as Hello[];
const memoryRuns = values.runs === undefined ? undefined : positive('runs', values.runs);
const usual = ['table', 'batch', 'burst', 'lecture', ...(memoryRuns === undefined ? [] : ['memory'])];
const parts = values.only === undefined ? usual : among('only', values.only, PARTS);

/** How runs can be asked for, by name: what the request has besides the program. */
const WAYS: Record<string, Partial<RunRequest>> = { fresh: { reuse: 'never' }, reuse: { reuse: 'owner' } };

/** One way to run a program. */
interface Rival {
  way: string;
  once: Once;
  /** More at a time are not measured: the rate stays as it is. */
  most: number;
}

const date = new Date().toISOString();
const begun = performance.now();
const docker = await connectEngine();
say('starting a daemon and waiting for its pool');
await using resources = new AsyncDisposableStack();
const daemon = resources.use(await BenchDaemon.start(values.daemon));
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    // What is under way fails once its daemon goes, which must not end this before that is gone.
    process.on('uncaughtException', () => {});
    void resources.disposeAsync().finally(() => process.exit(INTERRUPTED));
  });
const sandbox = resources.use(await Sandbox.connect(daemon));
const processors = new Processors(daemon.pid);
const machine = describeMachine((await daemon.status()).pool.engine.name);
const fresh = (hello: Hello) => run(sandbox, hello, WAYS.fresh);
const once = () => fresh('python')(new AbortController().signal);
const again = run(sandbox, 'python', WAYS.reuse);

console.log(
  `${machine.cpu}, ${machine.cores} cores; ${machine.kernel}; Node ${machine.node}; ${machine.engine}; load ${machine.loadBefore.toFixed(2)}`,
);
if (machine.loadBefore > machine.cores)
  console.log('The machine is busy with something else: rates and waits say little, and that is a part of “rest”.');
const memoryBefore = daemon.residentBytes();
const report: Record<string, unknown> = { machine, date };
const measures: Record<string, () => Promise<unknown>> = { table, batch, burst, lecture, memory };
for (const part of parts) report[part] = await measures[part]?.();
await daemon.poolFull();
console.log(
  `\nThe daemon's memory: ${figure(memoryBefore / MB)} MB before, ${figure(daemon.residentBytes() / MB)} after. All of it took ${((performance.now() - begun) / 1_000).toFixed(0)} s.`,
);
if (values.json) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`);

async function table(): Promise<unknown> {
  const lines: Line[] = [];
  for (const language of languages) {
    // The first run brings the language into the pool, and compiles what is compiled.
    await fresh(language)(new AbortController().signal);
    await daemon.poolFull();
    const rivals = await rivalsOf(language);
    for (const lanes of atOnce) lines.push(...(await compare(language, rivals, lanes, lines)));
  }
  console.log(
    '\n| language | way | at once | runs/s | p50 ms | p99 ms | × bare | CPU ms a run: daemon | engine | programs | client | rest |',
  );
  console.log('| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |');
  for (const { language, way, atOnce, perSecond, times, againstBare, cpuMs } of lines) {
    const cells = [language, way, atOnce, figure(perSecond), figure(times.p50Ms), figure(times.p99Ms)];
    const cpu = [cpuMs.daemon, cpuMs.engine, cpuMs.programs, cpuMs.client, cpuMs.rest].map(figure);
    console.log(`| ${[...cells, againstBare === null ? '' : figure(againstBare), ...cpu].join(' | ')} |`);
  }
  console.log();
  for (const { what, value, bar, met } of verdicts(lines))
    console.log(`${met ? '✔' : '✖'} ${what}: ${figure(value)} (${bar})`);
  if (!processors.seesContainers) console.log('What runs in containers is a part of “rest” on this machine.');
  return { lines, verdicts: verdicts(lines) };
}

async function rivalsOf(language: Hello): Promise<Rival[]> {
  const compiles = language === 'cpp';
  return [
    { way: 'bare', once: await bare(language, resources), most: compiles ? MOST_HEAVY : Number.POSITIVE_INFINITY },
    { way: 'docker run', once: await dockerRun(docker, language), most: MOST_HEAVY },
    { way: 'exec', once: await warmExec(docker, language, resources), most: compiles ? MOST_HEAVY : MOST_EXECS },
    ...Object.entries(WAYS).map(([way, more]) => ({
      way,
      once: run(sandbox, language, more),
      most: Number.POSITIVE_INFINITY,
    })),
  ];
}

/** All ways in turns, as many at a time. */
async function compare(
  language: Hello,
  rivals: readonly Rival[],
  lanes: number,
  before: readonly Line[],
): Promise<Line[]> {
  const measured = rivals.filter(({ most }) => lanes <= most);
  const samples = measured.map((): Measured[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, { way, once }] of measured.entries()) {
      await daemon.poolFull();
      const sample = await sustain(once, { lanes, seconds, processors });
      samples[index]?.push(sample);
      say(
        `${elapsed()} ${language}, ${way}, ${lanes} at once: ${figure(together([sample]).perSecond)} a second (load ${(loadavg()[0] ?? 0).toFixed(1)})`,
      );
    }
  }
  const lines = measured.map(({ way }, index) => ({
    language,
    way,
    atOnce: lanes,
    ...together(samples[index] as Measured[]),
  }));
  const isBare = (line: { language: string; way: string }) => line.language === language && line.way === 'bare';
  const reference = [...before, ...lines].findLast(isBare);
  return lines.map((line) => ({
    ...line,
    againstBare: reference && !isBare(line) ? line.perSecond / reference.perSecond : null,
  }));
}

/** One program with many inputs, which the daemon spreads itself. */
async function batch(): Promise<Sustained> {
  await daemon.poolFull();
  const api = new DaemonApi({ locate: async () => daemon, forget: () => {} });
  const inputs = Array.from({ length: BATCH_INPUTS }, (_, index) => ({ name: `${index}`, expected: GREETING }));
  const { stdin: _stdin, ...program } = helloRequest('python');
  const times: number[] = [];
  const settled = 2 * machine.cores;
  let from = { at: 0, cpu: processors.read() };
  let ended = 0;
  for await (const line of api.batch({ ...program, inputs })) {
    if (line.type === 'end') break;
    if (!line.passed) throw new Error(`A run of a batch ended ${line.run.state}: ${line.run.message}`);
    const now = performance.now();
    ended++;
    if (ended === settled) from = { at: now, cpu: processors.read() };
    else if (ended > settled) times.push(Date.parse(line.run.endedAt ?? '') - Date.parse(line.run.createdAt));
    if (ended > settled && now - from.at >= seconds * 1_000) break;
  }
  const measured = { seconds: (performance.now() - from.at) / 1_000, times, cpu: between(from.cpu, processors.read()) };
  const result = together([measured]);
  console.log(
    `\nA batch of python hellos: ${figure(result.perSecond)} a second, each ${figure(result.times.p50Ms)} ms (p99 ${figure(result.times.p99Ms)}); CPU ms a run: ${cpuText(result.cpuMs)}`,
  );
  return result;
}

async function burst(): Promise<unknown> {
  say('a minute of idleness, then a burst of 40, twice');
  const [unprepared, prepared] = await bursts(daemon, once);
  console.log(
    `\nA burst of 40 hellos: the first after ${figure(prepared.minMs)} ms, the last after ${figure(prepared.maxMs)} (bar: 1,000, where memory allows for 40); the first time, with a pool that does not expect it, ${figure(unprepared.maxMs)}`,
  );
  return { unprepared, prepared };
}

async function lecture(): Promise<unknown> {
  say(`a lecture of ${minutes} minutes`);
  await daemon.poolFull();
  const before = processors.read();
  const times = await playLecture(once, minutes);
  const cpuMs = scaled([between(before, processors.read())], 1 / times.n);
  console.log(
    `\nA lecture of ${minutes} minutes, ${times.n} runs: p50 ${figure(times.p50Ms)} ms, p95 ${figure(times.p95Ms)}, p99 ${figure(times.p99Ms)}, the last ${figure(times.maxMs)}; CPU ms a run: ${cpuText(cpuMs)}`,
  );
  return { times, cpuMs };
}

async function memory(): Promise<unknown> {
  const held: Held[] = [];
  console.log('\n| runs | the daemon’s memory, MB | open files |\n| --: | --: | --: |');
  for await (const one of manyRuns(daemon, () => again(new AbortController().signal), {
    runs: memoryRuns ?? DEFAULT_MEMORY_RUNS,
    lanes: MEMORY_LANES,
  })) {
    held.push(one);
    console.log(`| ${one.runs.toLocaleString('en')} | ${figure(one.residentBytes / MB)} | ${one.openFiles} |`);
  }
  const more = growth(held);
  console.log(`${figure(more)} MB more in the last quarter than in the second.`);
  return { held, growthMb: more };
}

function cpuText(cpuMs: ProcessorTimes): string {
  return Object.entries(cpuMs)
    .map(([name, ms]) => `${name} ${figure(ms)}`)
    .join(', ');
}

/** Since the bench began, as minutes and seconds. */
function elapsed(): string {
  const seconds = Math.floor((performance.now() - begun) / 1_000);
  return `${Math.floor(seconds / 60)}:${`${seconds % 60}`.padStart(2, '0')}`;
}

/** Three digits that mean something. */
function figure(value: number): string {
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : `${Number(value.toPrecision(3))}`;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (value > 0 && Number.isFinite(value)) return value;
  say(`--${name} takes numbers above 0, not "${text}". ${HELP}`);
  process.exit(2);
}

function among(name: string, list: string, known: readonly string[]): string[] {
  const chosen = list.split(',');
  const unknown = chosen.find((one) => !known.includes(one));
  if (unknown === undefined) return chosen;
  say(`--${name} does not know "${unknown}": ${known.join(', ')}.`);
  process.exit(2);
}

/** Progress goes to stderr: stdout is the report. */
function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
