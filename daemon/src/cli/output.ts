/** What the command line says: to people on stderr, in tables on stdout, and the program's bytes untouched. */
import { write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { getSystemErrorMessage, promisify, stripVTControlCharacters, styleText } from 'node:util';
import { CodeRunnerError } from '../protocol/errors.ts';
import { formatDuration } from '../protocol/units.ts';

/** Exit code for all that CodeRunner itself could not do. */
export const OWN_FAILURE = 125;

const writeSome = promisify(write);
const FULL_RETRY_MS = 2;

/**
 * Bytes to a file descriptor, each piece done when the descriptor has taken it. Unlike `process.stdout` it never blocks the event
 * loop on a slow pipe, so that Ctrl-C and the connection stay alive.
 */
export class Sink {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws an error with code EPIPE when nobody reads any more */
  async write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      try {
        written += (await writeSome(this.#fd, bytes, written, bytes.length - written, null)).bytesWritten;
      } catch (error) {
        // Someone else who shares the pipe made it non-blocking, and it is full.
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
        await sleep(FULL_RETRY_MS);
      }
    }
  }
}

export const stdout = new Sink(1);
export const stderr = new Sink(2);

/** A line of ours to the person, apart from what programs print. */
export async function say(text: string): Promise<void> {
  await stderr.write(Buffer.from(`${text}\n`));
}

export async function print(text: string): Promise<void> {
  await stdout.write(Buffer.from(`${text}\n`));
}

export async function printJson(value: unknown): Promise<void> {
  await print(JSON.stringify(value, null, 2));
}

type Style = Parameters<typeof styleText>[0];

/** Coloured where stderr is a terminal and nobody minds (NO_COLOR). */
export function accent(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stderr });
}

/** The same for what goes to stdout. */
export function accentOut(style: Style, text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** One sentence, and a way out. */
export async function sayError(error: unknown): Promise<void> {
  if (error instanceof CodeRunnerError) {
    await say(
      `${accent('red', `coderunner: ${error.code}:`)} ${error.message}\n  ${error.hint.replaceAll('\n', '\n  ')}`,
    );
    return;
  }
  await say(
    `${accent('red', 'coderunner: internal:')} ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
}

/** Why the system refused something, in its words and without the name of the call: `no such file or directory`. */
export function reason(error: unknown): string {
  const { errno, message } = error as NodeJS.ErrnoException;
  return errno === undefined ? message : getSystemErrorMessage(errno);
}

/** Columns as wide as what is in them; the last one is not filled up. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const width = (text: string) => stripVTControlCharacters(text).length;
  const widths = heads.map((head, column) => Math.max(width(head), ...rows.map((row) => width(row[column] ?? ''))));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - width(cell)))
      .join('  ')
      .trimEnd();
  return [accentOut('dim', line(heads)), ...rows.map(line)].join('\n');
}

/** How long ago that is. @param time ISO 8601 */
export function ago(time: string): string {
  const seconds = Math.round((Date.now() - Date.parse(time)) / 1_000);
  return seconds < 1 ? 'now' : `${formatDuration(seconds * 1_000)} ago`;
}
