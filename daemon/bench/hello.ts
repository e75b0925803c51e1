/** The smallest program of a language: what a run costs besides the program. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import type { Context } from './context.ts';
import { anyContainerOf, runInNewContainer, WarmContainer } from './engine.ts';
import { alternate, type Subject, summarise } from './measure.ts';
import { PROGRAMS_FOLDER, program, requestFor } from './programs.ts';
import type { Bar, Measurement } from './report.ts';

export const GREETING = 'hello\n';
/** Nothing of the bench's own environment: a stray variable can double the time an interpreter takes to start. */
export const CLEAN_ENV = { PATH: '/usr/local/bin:/usr/bin:/bin' };

export async function pythonHello(context: Context): Promise<Measurement> {
  const python = '/usr/bin/python3';
  const version = (await execute(python, ['-V'])).output.trim();
  return compareHello(context, 'hello.py', { what: `bare ${python} (${version})`, argv: [python, 'hello.py'] }, 0.6);
}

export async function javascriptHello(context: Context): Promise<Measurement> {
  const what = `bare node (${process.version}, the one that runs this bench)`;
  return compareHello(context, 'hello.js', { what, argv: [process.execPath, 'hello.js'] }, 0.3);
}

/** The same program in a container of its own, which is created, started and removed for it. */
export async function dockerRun(context: Context): Promise<Measurement> {
  const { docker } = context;
  const image = await imageOf(context, 'python');
  const sample = async () => {
    const options = { image, argv: ['python3', '/work/hello.py'], folder: PROGRAMS_FOLDER };
    const { ms, output } = await runInNewContainer(docker, options);
    expectGreeting(output);
    return ms;
  };
  const against = { what: 'docker run --rm (by the engine’s API), same image, no hardening', sample };
  return compare(context, 'python hello', [sandboxHello(context, 'hello.py'), against], undefined);
}

/** The same program copied into a container that is up already, and executed there. */
export async function copyExec(context: Context): Promise<Measurement> {
  const { docker } = context;
  const file = program('hello.py');
  await using container = await WarmContainer.start(docker, await imageOf(context, 'python'));
  const sample = async () => {
    const { ms, output } = await container.copyAndExec(file, ['python3', file.name]);
    expectGreeting(output);
    return ms;
  };
  const against = { what: 'copy + exec in a warm container (by the engine’s API), same image', sample };
  // The container must be there until the last sample.
  return await compare(context, 'python hello', [sandboxHello(context, 'hello.py'), against], { atMost: 0.25 });
}

async function compareHello(
  context: Context,
  file: string,
  bare: { what: string; argv: string[] },
  atMost: number,
): Promise<Measurement> {
  const sample = async () => {
    const { ms, output } = await execute(bare.argv[0] as string, bare.argv.slice(1));
    expectGreeting(output);
    return ms;
  };
  return compare(context, file, [sandboxHello(context, file), { what: bare.what, sample }], { atMost });
}

interface Named extends Subject {
  what: string;
}

interface SandboxSubject extends Subject {
  /** How many runs found a container waiting, and an interpreter in it; how many there were. */
  readonly hits: { container: number; interpreter: number; runs: number };
}

async function compare(
  { daemon, quick }: Context,
  what: string,
  [ours, theirs]: [SandboxSubject, Named],
  bar: Bar | undefined,
): Promise<Measurement> {
  // The pool refills while the other subject runs unless that waits too.
  const prepare = () => daemon.poolFull();
  const subjects = [
    { prepare, sample: ours.sample },
    { prepare, sample: theirs.sample },
  ];
  const [oursMs = [], theirsMs = []] = await alternate(
    subjects,
    quick ? { rounds: 5, warmUps: 1 } : { rounds: 100, warmUps: 5 },
  );
  const times = summarise(oursMs);
  const theirTimes = summarise(theirsMs);
  const { container, interpreter, runs } = ours.hits;
  return {
    what: `${what}, submit → exit seen by a client on loopback`,
    times,
    against: { what: theirs.what, times: theirTimes },
    ratio: times.p50Ms / theirTimes.p50Ms,
    ...(bar ? { bar } : {}),
    notes: [
      `${container} of ${runs} runs found a container waiting (${runs - container} misses), ${interpreter} an interpreter`,
      `against: min ${theirTimes.minMs.toFixed(1)}, p50 ${theirTimes.p50Ms.toFixed(1)}, p95 ${theirTimes.p95Ms.toFixed(1)}, p99 ${theirTimes.p99Ms.toFixed(1)}`,
    ],
  };
}

function sandboxHello({ sandbox }: Context, file: string): SandboxSubject {
  const request = requestFor(program(file));
  const hits = { container: 0, interpreter: 0, runs: 0 };
  const sample = async () => {
    const begin = performance.now();
    const { run, output } = await sandbox.run(request);
    const ms = performance.now() - begin;
    if (run.state !== 'succeeded') throw new Error(`The run ended ${run.state}: ${run.message ?? run.error?.message}`);
    expectGreeting(output);
    hits.runs++;
    if (run.warm.container) hits.container++;
    if (run.warm.interpreter) hits.interpreter++;
    return ms;
  };
  return { sample, hits };
}

/** Runs a program on this machine, from spawn to its end, with everything that it printed. */
async function execute(command: string, args: string[]): Promise<{ ms: number; output: string }> {
  const begin = performance.now();
  const child = spawn(command, args, { cwd: PROGRAMS_FOLDER, env: CLEAN_ENV, stdio: ['ignore', 'pipe', 'inherit'] });
  const [output, [code]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  const ms = performance.now() - begin;
  if (code !== 0) throw new Error(`${command} exited with ${code}.`);
  return { ms, output };
}

export function expectGreeting(output: string): void {
  if (output !== GREETING) throw new Error(`Expected ${JSON.stringify(GREETING)}, got ${JSON.stringify(output)}.`);
}

/** Asks a waiting container, so that both subjects use the same image. */
async function imageOf({ daemon, docker }: Context, runtime: string): Promise<string> {
  await daemon.poolFull();
  return (await anyContainerOf(docker, runtime)).Config.Image;
}
