/** What is said at the end: a table for people, JSON for programs. */
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import type { Summary } from './measure.ts';

/** What a figure is held to. Documented in docs/performance.md. */
export type Bar = { atMost: number } | { atLeast: number };

export interface Measurement {
  /** What was done, in words. */
  what: string;
  /** Times of single samples, where there are any. */
  times?: Summary;
  /** What it is compared with, and its times. */
  against?: { what: string; times?: Summary };
  /** Ours divided by theirs. */
  ratio?: number;
  /** What the bar is about, where that is not the ratio. */
  figure?: { value: number; unit: string };
  bar?: Bar;
  notes?: string[];
  /** Wrong results, such as output that never came. These fail a bench in any form. */
  wrong?: string[];
}

export interface Result {
  id: string;
  what: string;
  n: number | null;
  minMs: number | null;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
  against: string | null;
  againstP50Ms: number | null;
  ratio: number | null;
  value: number | null;
  unit: string | null;
  bar: string | null;
  /** Whether the bar is met and nothing went wrong; null where there is no bar. */
  pass: boolean | null;
  notes: string[];
  wrong: string[];
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  kernel: string;
  node: string;
  engine: string;
  /** Load average of the last minute when the bench began: above 0.5 somebody else was busy. */
  loadBefore: number;
}

export function toResult(id: string, measurement: Measurement): Result {
  const { what, times, against, ratio, figure, bar, notes = [], wrong = [] } = measurement;
  const subject = figure?.value ?? ratio;
  const met =
    bar && subject !== undefined ? ('atMost' in bar ? subject <= bar.atMost : subject >= bar.atLeast) : undefined;
  return {
    id,
    what,
    n: times?.n ?? null,
    minMs: round(times?.minMs),
    p50Ms: round(times?.p50Ms),
    p95Ms: round(times?.p95Ms),
    p99Ms: round(times?.p99Ms),
    against: against?.what ?? null,
    againstP50Ms: round(against?.times?.p50Ms),
    ratio: round(ratio),
    value: round(figure?.value),
    unit: figure?.unit ?? null,
    bar: bar ? `${'atMost' in bar ? `≤ ${bar.atMost}` : `≥ ${bar.atLeast}`}${figure ? ` ${figure.unit}` : '×'}` : null,
    pass: wrong.length > 0 ? false : (met ?? null),
    notes,
    wrong,
  };
}

/** @param engine what the daemon calls it, such as `Docker 28.2.2` */
export function describeMachine(engine: string): Machine {
  return {
    cpu: cpuModel(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    engine,
    loadBefore: loadavg()[0] ?? 0,
  };
}

function cpuModel(): string {
  const model = cpus()[0]?.model.trim();
  if (model && model !== 'unknown') return model;
  try {
    return /^model name\s*:\s*(.+)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? 'unknown processor';
  } catch {
    return 'unknown processor';
  }
}

/** The table, and below it what needs more words. */
export function renderReport(machine: Machine, results: readonly Result[]): string {
  const header = ['id', 'n', 'min', 'p50', 'p95', 'p99', 'against', 'ratio', 'value', 'bar', ''];
  const rows = results.map((result) => [
    result.id,
    `${result.n ?? ''}`,
    ...[result.minMs, result.p50Ms, result.p95Ms, result.p99Ms, result.againstP50Ms].map((ms) => `${ms ?? ''}`),
    result.ratio === null ? '' : `${result.ratio}×`,
    result.value === null ? '' : `${result.value} ${result.unit}`,
    result.bar ?? '',
    result.wrong.length > 0 ? 'WRONG' : result.pass === null ? '' : result.pass ? 'ok' : 'over',
  ]);
  const widths = header.map((title, column) =>
    Math.max(...[header, ...rows].map((row) => row[column]?.length ?? title.length)),
  );
  const line = (row: string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  const memory = `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`;
  const words = results.flatMap(({ id, what, against, notes, wrong }) => [
    `${id}: ${what}${against ? `, against ${against}` : ''}`,
    ...notes.map((note) => `  ${note}`),
    ...wrong.map((problem) => `  WRONG: ${problem}`),
  ]);
  return [
    `${machine.cpu}, ${machine.cores} cores, ${memory}; ${machine.kernel}; Node ${machine.node}; ${machine.engine}; load ${machine.loadBefore.toFixed(2)}`,
    'Times in milliseconds; "against" is the other subject\'s p50.',
    '',
    line(header),
    line(widths.map((width) => '─'.repeat(width))),
    ...rows.map(line),
    '',
    ...words,
  ].join('\n');
}

/** Three digits that mean something. */
function round(value: number | undefined): number | null {
  if (value === undefined) return null;
  return Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3));
}
