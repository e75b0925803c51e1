/** The program's input: a file, a pipe, or what is typed. */
import { spawnSync } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { RunHandle } from '../client/run-handle.ts';
import { CodeRunnerError } from '../protocol/errors.ts';
import type { TtySize } from '../protocol/resources.ts';
import { reason } from './output.ts';

const USUAL_SIZE: TtySize = { rows: 24, cols: 80 };
const MOST_ROWS_AND_COLUMNS = 1_000;

/** Where input comes from; undefined: there is none. */
export type Input = AsyncIterable<Buffer> | undefined;

/** @param file `-` and undefined: what this process is given. @throws CodeRunnerError bad_usage */
export async function openInput(file: string | undefined): Promise<Input> {
  if (file === undefined || file === '-') return hasStdin() ? process.stdin : undefined;
  try {
    const handle = await open(file);
    if (!(await handle.stat()).isDirectory()) return handle.createReadStream();
    await handle.close();
  } catch (error) {
    throw unreadable(file, reason(error), error);
  }
  throw unreadable(file, 'it is a folder');
}

function unreadable(file: string, why: string, cause?: unknown): CodeRunnerError {
  return new CodeRunnerError('bad_usage', `The input file ${file} cannot be read: ${why}.`, {
    hint: 'Look at the name after --stdin.',
    cause,
  });
}

/** Sends input as fast as the program takes it, then closes it. Ends early, without complaint, when the program does. */
export async function forward(input: AsyncIterable<Buffer>, handle: RunHandle): Promise<void> {
  try {
    for await (const bytes of input) await handle.write(bytes);
    await handle.eof();
  } catch (error) {
    if (!(error instanceof CodeRunnerError) || (error.code !== 'run_ended' && error.code !== 'stdin_closed'))
      throw error;
  }
}

/** The size of the terminal around us, or the usual one where there is none. */
export function terminalSize(): TtySize {
  const terminal = [process.stdout, process.stderr].find((stream) => stream.isTTY);
  if (!terminal) return USUAL_SIZE;
  const within = (value: number, usual: number) => Math.min(value || usual, MOST_ROWS_AND_COLUMNS);
  return { rows: within(terminal.rows, USUAL_SIZE.rows), cols: within(terminal.columns, USUAL_SIZE.cols) };
}

/**
 * What a program that was cut short leaves behind in a terminal: the other screen, a hidden cursor, reports of the mouse,
 * bracketed paste, keys of the application, a colour. Not by 1049, which would move the cursor where no other screen was
 * shown.
 */
const TIDY_SCREEN = '\x1b[?47l\x1b[?25h\x1b[?1000;1002;1003;1006;2004;1l\x1b>\x1b[0m';

/** Makes our terminal's screen usable again after a program that could not do so. */
export function tidyScreen(): void {
  if (process.stdout.isTTY) process.stdout.write(TIDY_SCREEN);
}

/**
 * Hands every key to the program, Ctrl-C too. Disposing of it, and whatever ends this process, gives the terminal back as it
 * was.
 */
export function rawTerminal(handle: RunHandle): Disposable {
  const { stdin } = process;
  const restore = () => {
    stdin.setRawMode(false);
  };
  const resize = () => handle.resize(terminalSize());
  if (stdin.isTTY) {
    process.on('exit', restore);
    stdin.setRawMode(true);
    leaveNewLines();
  }
  // Node asks the terminal for its size only for this signal, and only where stdout is one.
  process.stdout.on('resize', resize);
  return {
    [Symbol.dispose]() {
      process.stdout.off('resize', resize);
      if (!stdin.isTTY) return;
      process.off('exit', restore);
      restore();
    },
  };
}

/**
 * The program's terminal has made its new lines already. Node lets ours do so again, which would move the cursor of a program
 * that only moves down also to the left. Leaving raw mode undoes it; where there is no stty it stays as Node has it.
 */
function leaveNewLines(): void {
  if (process.platform !== 'win32') spawnSync('stty', ['-opost'], { stdio: ['inherit', 'ignore', 'ignore'] });
}

function hasStdin(): boolean {
  try {
    fstatSync(0);
    return true;
  } catch {
    return false; // closed by whoever started us
  }
}
