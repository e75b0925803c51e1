/** What a document has: where its program begins, and what it imports. Reads text, and nothing else. */
import { endsWithin } from '../bounded.ts';
import type { Language } from './language.ts';

/** A name in an import, with its place: line and characters from 0 on. */
export interface Import {
  module: string;
  line: number;
  start: number;
  end: number;
}

export interface Outline {
  /** The line that the program begins with; undefined where there is nothing to run. */
  entry: number | undefined;
  imports: readonly Import[];
}

/** Entry points and imports stand near the beginning or the end; a generated file of a million lines is not read at every key. */
const MOST_LINES = 20_000;
/** A longer line is data, or was made by a machine. */
const LONGEST_LINE = 1_000;
const MOST_IMPORTS = 1_000;
const MOST_MS = 200;
const BLANK_OR_COMMENT = /^\s*(?:$|#|\/\/|\/\*|\*|--|'''|""")/;

export function outlineOf(text: string, language: Language): Outline {
  const outline: { entry: number | undefined; imports: Import[] } = { entry: undefined, imports: [] };
  endsWithin(MOST_MS, () => {
    outline.entry = undefined;
    outline.imports = [];
    let first: number | undefined;
    for (const [number, line] of linesOf(text)) {
      if (outline.entry === undefined && language.entryPoint?.test(line)) outline.entry = number;
      if (first === undefined && !BLANK_OR_COMMENT.test(line)) first = number;
      if (language.imports && outline.imports.length < MOST_IMPORTS)
        outline.imports.push(...importsIn(line, number, language.imports.pattern));
    }
    if (!language.needsEntryPoint) outline.entry ??= first;
  });
  return outline;
}

/** The lines, numbered from 0 on, as far as they are looked at; of long ones the beginning. */
function* linesOf(text: string): Generator<[number: number, line: string]> {
  let from = 0;
  for (let number = 0; number < MOST_LINES && from <= text.length; number++) {
    const feed = text.indexOf('\n', from);
    const to = feed === -1 ? text.length : feed;
    const end = text[to - 1] === '\r' && to > from ? to - 1 : to;
    yield [number, text.slice(from, Math.min(end, from + LONGEST_LINE))];
    if (feed === -1) return;
    from = feed + 1;
  }
}

function importsIn(line: string, number: number, pattern: RegExp): Import[] {
  const at = pattern.exec(line)?.indices?.groups?.modules;
  if (!at) return [];
  // `a, b.c as d`: the first word of each.
  return [...line.slice(...at).matchAll(/([^\s,]+)[^,]*/g)].map(({ 1: module = '', index }) => ({
    module,
    line: number,
    start: at[0] + index,
    end: at[0] + index + module.length,
  }));
}
