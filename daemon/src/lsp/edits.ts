/** Moves places with the text that they are in. */
import type { Position, TextDocumentContentChangeEvent } from 'vscode-languageserver';

/** `character` is undefined where the line as a whole is meant. */
export interface Place {
  line: number;
  character: number | undefined;
}

/** What became of the text between two positions: so many line ends, and behind the last of them so many characters. */
export interface Edit {
  start: Position;
  end: Position;
  lines: number;
  lastLength: number;
}

/** @returns undefined where the whole text was replaced, of which nothing is known then */
export function editOf(change: TextDocumentContentChangeEvent): Edit | undefined {
  if (!('range' in change)) return undefined;
  const lines = change.text.split(/\r\n|\n|\r/);
  return { ...change.range, lines: lines.length - 1, lastLength: lines.at(-1)?.length ?? 0 };
}

/**
 * Where a place is after an edit.
 * @returns undefined where its line was removed
 */
export function moved(place: Place, { start, end, lines, lastLength }: Edit): Place | undefined {
  const { line, character } = place;
  if (line < start.line || (line === start.line && character !== undefined && character < start.character))
    return place;
  const shift = lines - (end.line - start.line);
  if (line > end.line) return { line: line + shift, character };
  if (character === undefined) {
    // Its text is moved down by what is put before it, and gone with its own line; typing within the line leaves it there.
    if (line === start.line && start.character > 0) return place;
    if (line === start.line && end.line === line) return { line: line + shift, character };
    return line === end.line ? { line: line + shift, character } : undefined;
  }
  if (line < end.line || character < end.character) {
    // The text itself was edited. Its line is still the one to look at, if there is one.
    return line === start.line ? { line, character: start.character } : undefined;
  }
  const from = lines === 0 ? start.character : 0;
  return { line: line + shift, character: from + lastLength + character - end.character };
}
