/** Finds in what a program printed the places that its errors name. Reads text, and nothing else. */
import { stripVTControlCharacters } from 'node:util';
import { endsWithin } from '../bounded.ts';
import type { PlacePattern } from './language.ts';

export type Severity = 'error' | 'warning' | 'information';

/** Line and column are counted from 0 on. */
export interface Problem {
  /** As the program names it. */
  file: string;
  line: number;
  column: number | undefined;
  severity: Severity;
  /** Whether a compiler says it, which goes on after a mistake; else it is what the program died of. */
  compiler: boolean;
  /** Empty where only the place was printed. */
  message: string;
}

/** The last of it: an error that ends a program is told at its end. */
const MOST_TEXT = 128 * 1024;
const LONGEST_LINE = 2_000;
const LONGEST_MESSAGE = 1_000;
const MOST_PROBLEMS = 100;
/** Of each pattern. */
const MOST_MS = 250;
const LARGEST_NUMBER = 2 ** 31 - 1;

export function problemsIn(output: string, patterns: readonly PlacePattern[]): Problem[] {
  const text = plain(output.slice(-MOST_TEXT));
  const found = new Map<string, Problem>();
  for (const place of patterns) {
    // One that takes too long leaves what it found before.
    endsWithin(MOST_MS, () => {
      for (const match of text.matchAll(place.pattern)) {
        const problem = problemOf(match, place);
        if (problem) found.set(`${problem.file}:${problem.line}:${problem.message}`, problem);
        if (found.size >= MOST_PROBLEMS) return;
      }
    });
  }
  return [...found.values()];
}

function problemOf(match: RegExpExecArray, place: PlacePattern): Problem | undefined {
  const file = match[place.file];
  const line = numberFrom(match[place.line]);
  if (!file || line === undefined) return undefined;
  const message = place.message === undefined ? match[0] : match[place.message];
  return {
    file,
    line,
    column: place.column === undefined ? undefined : columnFrom(match[place.column]),
    severity: place.severity === undefined ? 'error' : severityOf(match[place.severity]),
    compiler: place.severity !== undefined,
    message: (message ?? '').trim().slice(0, LONGEST_MESSAGE),
  };
}

/** As compilers call it, in whatever case; what has no known name is an error, such as `fatal error`. */
function severityOf(word = ''): Severity {
  if (/warn/i.test(word)) return 'warning';
  return /note|info|help|hint|remark/i.test(word) ? 'information' : 'error';
}

/** Places are printed from 1 on. */
function numberFrom(text: string | undefined): number | undefined {
  const number = Number(text);
  return Number.isInteger(number) && number >= 1 && number <= LARGEST_NUMBER ? number - 1 : undefined;
}

/** A number, or what stands before a mark that points to it in the line above. */
function columnFrom(text: string | undefined): number | undefined {
  return text !== undefined && /^[ \t]*$/.test(text) ? text.length : numberFrom(text);
}

/** Without colours, with one kind of line end, and without the rest of endless lines. */
function plain(output: string): string {
  const lines = stripVTControlCharacters(output).split(/\r*\n|\r/);
  return lines.map((line) => line.slice(0, LONGEST_LINE)).join('\n');
}
