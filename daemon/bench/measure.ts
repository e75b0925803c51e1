/** Samples and what is said about them. Times are milliseconds by the monotonic clock. */

export interface Summary {
  n: number;
  minMs: number;
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  maxMs: number;
}

/** Percentiles by nearest rank: each is a time that was really measured. @throws RangeError where there are no samples */
export function summarise(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = (percent: number) => {
    const value = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)];
    if (value === undefined) throw new RangeError('There are no samples.');
    return value;
  };
  return { n: sorted.length, minMs: rank(0), p50Ms: rank(50), p95Ms: rank(95), p99Ms: rank(99), maxMs: rank(100) };
}

export interface Subject {
  /** Brings everything to rest; not timed. */
  prepare?(): Promise<void>;
  /** Does it once and resolves with how long it took, in milliseconds. Throws where the result is wrong. */
  sample(): Promise<number>;
}

/**
 * Measures subjects in turns (A B A B …), so that what the machine does besides hits all of them alike.
 * @param warmUps rounds whose times are thrown away
 * @returns the samples of each subject, in the order given
 */
export async function alternate(
  subjects: readonly Subject[],
  { rounds, warmUps }: { rounds: number; warmUps: number },
): Promise<number[][]> {
  const samples: number[][] = subjects.map(() => []);
  for (let round = -warmUps; round < rounds; round++) {
    for (const [index, subject] of subjects.entries()) {
      await subject.prepare?.();
      const ms = await subject.sample();
      if (round >= 0) samples[index]?.push(ms);
    }
  }
  return samples;
}
