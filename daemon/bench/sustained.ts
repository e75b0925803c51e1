/** As many of one thing as a machine can do when several ask for it all the time. */
import { setMaxListeners } from 'node:events';
import { performance } from 'node:perf_hooks';
import { type Summary, summarise } from './measure.ts';
import { between, type Processors, type ProcessorTimes, scaled } from './processors.ts';

/** Fewer say nothing, however long they take. */
const LEAST_SAMPLES = 8;
/** Nor do fewer for each lane: what was prepared for a few runs, or still has to be, would be taken for the rate. */
const LEAST_PER_LANE = 2;

/** What one measurement saw. */
export interface Measured {
  seconds: number;
  /** How long each took, in milliseconds. */
  times: readonly number[];
  /** Of all of them. */
  cpu: ProcessorTimes;
}

export interface Sustained {
  perSecond: number;
  times: Summary;
  /** Milliseconds of processor time for each. */
  cpuMs: ProcessorTimes;
}

/** Several measurements of the same as one. */
export function together(measured: readonly Measured[]): Sustained {
  const times = measured.flatMap((one) => one.times);
  const seconds = measured.reduce((sum, one) => sum + one.seconds, 0);
  const cpuMs = scaled(
    measured.map(({ cpu }) => cpu),
    1 / times.length,
  );
  return { perSecond: times.length / seconds, times: summarise(times), cpuMs };
}

/**
 * Does it on several lanes, each of which begins again when it has ended. It is measured from when as many have ended as there are lanes:
 * by then what had waited for the first of them is used up.
 * @param once does it once; throws where the result is wrong; when the signal is aborted it is to end early, and nobody looks at how
 */
export async function sustain(
  once: (signal: AbortSignal) => Promise<void>,
  { lanes, seconds, processors }: { lanes: number; seconds: number; processors: Processors },
): Promise<Measured> {
  const over = new AbortController();
  setMaxListeners(0, over.signal);
  const least = Math.max(LEAST_SAMPLES, LEAST_PER_LANE * lanes);
  const times: number[] = [];
  let ended = 0;
  let from: { at: number; cpu: ProcessorTimes } | undefined;
  let result: Measured | undefined;
  const lane = async () => {
    while (!over.signal.aborted) {
      const begin = performance.now();
      await once(over.signal);
      if (over.signal.aborted) return;
      const now = performance.now();
      ended++;
      if (from) times.push(now - begin);
      else if (ended >= lanes) from = { at: now, cpu: processors.read() };
      if (!from || now - from.at < seconds * 1_000 || times.length < least) continue;
      result = { seconds: (now - from.at) / 1_000, times, cpu: between(from.cpu, processors.read()) };
      over.abort();
    }
  };
  const outcomes = await Promise.allSettled(
    Array.from({ length: lanes }, () =>
      lane().catch((error) => {
        if (over.signal.aborted) return;
        over.abort();
        throw error;
      }),
    ),
  );
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure) throw failure.reason;
  return result as Measured;
}
