/** What a person watching a run feels: when output begins, how keys echo, how fast much output comes. */
import { performance } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import type { Context } from './context.ts';
import { alternate, summarise } from './measure.ts';
import { program, requestFor } from './programs.ts';
import type { Measurement } from './report.ts';

const MB = 1_000_000;
const MiB = 2 ** 20;

/** From submit to the first byte, without the time that the program itself says it took before it printed. */
export async function firstByte({ daemon, sandbox, quick }: Context): Promise<Measurement> {
  const request = requestFor(program('own_time.py'));
  const sample = async () => {
    const begin = performance.now();
    let first: number | undefined;
    const onOutput = () => {
      first ??= performance.now();
    };
    const { run, output } = await sandbox.run(request, { onOutput });
    const ownMs = Number(output) / 1e6;
    if (run.state !== 'succeeded' || first === undefined || !(ownMs > 0))
      throw new Error(`The run ended ${run.state} and printed ${JSON.stringify(output)}.`);
    return first - begin - ownMs;
  };
  const [samples = []] = await alternate(
    [{ prepare: () => daemon.poolFull(), sample }],
    quick ? { rounds: 5, warmUps: 1 } : { rounds: 100, warmUps: 5 },
  );
  const times = summarise(samples);
  return {
    what: 'python, submit → first output byte seen by a client on loopback, less the program’s own time until it printed',
    times,
    figure: { value: times.p50Ms, unit: 'ms p50' },
    bar: { atMost: 8 },
    notes: [`p99 is ${(times.p99Ms / times.p50Ms).toFixed(1)}× p50; should be at most 3×`],
  };
}

/** A key typed into a terminal until the program, which reads single keys, has echoed it. */
export async function echo({ daemon, sandbox, quick }: Context): Promise<Measurement> {
  await daemon.poolFull();
  const keys = quick ? 10 : 300;
  let seen = (_bytes: Uint8Array) => {};
  const nextOutput = () =>
    new Promise<string>((resolve) => {
      seen = (bytes) => resolve(Buffer.from(bytes).toString('latin1'));
    });
  const request = { ...requestFor(program('echo.py')), tty: { rows: 24, cols: 80 } };
  delete request.stdin;
  const ready = nextOutput();
  const typing = sandbox.start(request, (bytes) => seen(bytes));
  const endedEarly = typing.done.then((run): never => {
    throw new Error(`The program ended ${run.state} before it was told to.`);
  });
  await Promise.race([ready, endedEarly]);
  const type = async (index: number) => {
    const key = String.fromCharCode(97 + (index % 16));
    const begin = performance.now();
    const echoed = nextOutput();
    typing.type(key);
    const answer = await Promise.race([echoed, endedEarly]);
    if (answer !== key) throw new Error(`Typed ${key}, got ${JSON.stringify(answer)}.`);
    return performance.now() - begin;
  };
  const atOnce: number[] = [];
  for (let index = 0; index < keys; index++) atOnce.push(await type(index));
  const spaced: number[] = [];
  for (let index = 0; index < keys; index++) {
    // A fast typist: 30 to 90 ms between keys, the same ones in every bench.
    await delay(30 + ((index * 37) % 61));
    spaced.push(await type(index));
  }
  endedEarly.catch(() => {}); // from here on it should end
  typing.type('q');
  const run = await typing.done;
  const times = summarise(spaced);
  const { p50Ms, p99Ms } = summarise(atOnce);
  return {
    what: 'a key typed to a program in a terminal → its echo seen by the client, 30–90 ms between keys',
    times,
    figure: { value: times.p99Ms, unit: 'ms p99' },
    bar: { atMost: 10 },
    notes: [`each key as soon as the one before was echoed: p50 ${p50Ms.toFixed(2)}, p99 ${p99Ms.toFixed(2)}`],
    wrong: run.state === 'succeeded' ? [] : [`the program ended ${run.state}`],
  };
}

/** As many lines as a program can write, through daemon and client, every byte looked at. */
export async function outputThroughput({ daemon, sandbox, quick }: Context): Promise<Measurement> {
  await daemon.poolFull();
  const writes = quick ? 256 : 32_768;
  const total = writes * 65_536;
  const expected = Buffer.alloc(256 * 1024, 'y\n');
  let received = 0;
  let first = 0;
  let differs = false;
  const before = daemon.residentBytes();
  let peak = before;
  const watch = setInterval(() => {
    peak = Math.max(peak, daemon.residentBytes());
  }, 20);
  const request = {
    ...requestFor(program('flood.py'), [`${writes}`]),
    limits: { outputBytes: total, wallMs: 300_000, cpuMs: 300_000 },
  };
  const { done } = sandbox.start(request, (bytes) => {
    first ||= performance.now();
    const from = received % 2;
    differs ||= expected.compare(bytes, 0, bytes.length, from, from + bytes.length) !== 0;
    received += bytes.length;
  });
  const run = await done.finally(() => clearInterval(watch));
  const seconds = (performance.now() - first) / 1000;
  await delay(1_000);
  const mib = (bytes: number) => `${(bytes / MiB).toFixed(0)} MiB`;
  return {
    what: `${mib(total)} written 64 KiB at a time, acknowledged by the client`,
    figure: { value: received / MB / seconds, unit: 'MB/s' },
    bar: { atLeast: 200 },
    notes: [
      `the daemon’s memory: ${mib(before)} before, ${mib(peak)} at most, ${mib(daemon.residentBytes())} a second after`,
      `${seconds.toFixed(1)} s; the program used ${((run.cpuMs ?? 0) / 1000).toFixed(1)} s of processor time`,
    ],
    wrong: [
      ...(run.state === 'succeeded' ? [] : [`the program ended ${run.state}`]),
      ...(received === total ? [] : [`${received} bytes came of ${total}`]),
      ...(differs ? ['the output is not what the program wrote'] : []),
    ],
  };
}
