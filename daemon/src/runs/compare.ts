/** What a program printed against what it should have printed. */
import type { Difference } from '../protocol/index.ts';

/** Of a line that differs, shown. */
const MOST_SHOWN_BYTES = 200;
const NEW_LINE = 0x0a;

/**
 * The first line that differs; undefined where all are the same. White space at the ends of lines, and empty lines at the end, do
 * not count; everything else is compared byte by byte.
 */
export function firstDifference(printed: Buffer, expected: Buffer): Difference | undefined {
  for (let line = 1, atPrinted = 0, atExpected = 0; ; line++) {
    const [one, afterOne] = lineAt(printed, atPrinted);
    const [other, afterOther] = lineAt(expected, atExpected);
    if (!one.equals(other)) {
      return {
        line,
        expected: isBlank(expected, atExpected) ? null : shown(other),
        printed: isBlank(printed, atPrinted) ? null : shown(one),
      };
    }
    if (afterOne >= printed.length && afterOther >= expected.length) return undefined;
    [atPrinted, atExpected] = [afterOne, afterOther];
  }
}

/** The line that begins at an offset, without the white space at its end, and where the next one begins. Behind the end all lines are empty. */
function lineAt(text: Buffer, from: number): [line: Buffer, next: number] {
  const newLine = text.indexOf(NEW_LINE, from);
  const end = newLine === -1 ? text.length : newLine;
  let trimmed = end;
  while (trimmed > from && isSpace(text[trimmed - 1] as number)) trimmed--;
  return [text.subarray(from, trimmed), end + 1];
}

/** Whether nothing but white space follows. */
function isBlank(text: Buffer, from: number): boolean {
  for (let at = from; at < text.length; at++) if (!isSpace(text[at] as number)) return false;
  return true;
}

/** ASCII only: other bytes may be parts of characters. */
function isSpace(byte: number): boolean {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function shown(line: Buffer): string {
  if (line.length <= MOST_SHOWN_BYTES) return line.toString('utf8');
  return `${line.subarray(0, MOST_SHOWN_BYTES).toString('utf8')}…`;
}
