/** Between the text of a line, which may wrap over several rows, and the cells it is drawn in. */
import type { IBuffer, IBufferRange } from '@xterm/xterm';

/** A wrapped line is read this far up and down from the row that is asked for. */
const MAX_ROWS = 12;

export interface Lines {
  text: string;
  /** For each UTF-16 unit of the text: its row and column in the buffer, from 0 on. */
  cells: { x: number; y: number; width: number }[];
}

/**
 * How many cells of a row hold text: a wide character that no longer fits into the last cell leaves it empty.
 * @returns undefined where the row ends its line, and only the text itself says how long it is
 */
export function filled(buffer: IBuffer, row: number): number | undefined {
  const next = buffer.getLine(row + 1);
  if (!next?.isWrapped) return undefined;
  const length = buffer.getLine(row)?.length ?? 0;
  const isLeftOut =
    next.getCell(0)?.getWidth() === 2 &&
    buffer
      .getLine(row)
      ?.getCell(length - 1)
      ?.getChars() === '';
  return isLeftOut ? length - 1 : length;
}

/** The whole line of which a row of the buffer is a part. */
export function linesAround(buffer: IBuffer, row: number): Lines {
  let first = row;
  while (first > 0 && row - first < MAX_ROWS && buffer.getLine(first)?.isWrapped) first--;
  const lines: Lines = { text: '', cells: [] };
  for (let y = first; y <= row + MAX_ROWS; y++) {
    const line = buffer.getLine(y);
    if (!line || (y > first && !line.isWrapped)) break;
    const length = filled(buffer, y) ?? line.length;
    for (let x = 0; x < length; x++) {
      const cell = line.getCell(x);
      // The second half of a wide character has no text of its own.
      if (!cell || cell.getWidth() === 0) continue;
      const chars = cell.getChars() || ' ';
      lines.text += chars;
      for (let unit = 0; unit < chars.length; unit++) lines.cells.push({ x, y, width: cell.getWidth() });
    }
  }
  return lines;
}

/** The cells of a part of the text, as xterm.js counts them: from 1 on, the end included. */
export function rangeOf({ cells }: Lines, start: number, end: number): IBufferRange {
  const first = cells[start] ?? { x: 0, y: 0, width: 1 };
  const last = cells[end - 1] ?? first;
  return { start: { x: first.x + 1, y: first.y + 1 }, end: { x: last.x + last.width, y: last.y + 1 } };
}
