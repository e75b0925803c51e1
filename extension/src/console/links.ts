/** Follows `file:line` in a program's output to the file that it means here. */
import { existsSync, realpathSync } from 'node:fs';
import { isAbsolute, join, relative, sep } from 'node:path';
import { Position, Range, Uri, window } from 'vscode';
import type { Program } from '../run/program.ts';
import type { SourcePlace } from '../run/session.ts';

/** Where programs find their files in the sandbox. */
const WORKSPACE = '/workspace/';

/**
 * Opens a file of the program at a line. Nothing but files of its own folder: what a program prints must not lead anywhere else.
 * @param line from 1 on
 */
export async function openSource(program: Program, path: string, line: number, column = 1): Promise<void> {
  const uri = sourceOf(program, path);
  if (uri) await show(uri, new Position(Math.max(0, line - 1), Math.max(0, column - 1)));
}

export async function openProblem(problem: SourcePlace | undefined): Promise<void> {
  if (problem) await show(problem.uri, new Position(problem.line, problem.character ?? 0));
}

async function show(uri: Uri, position: Position): Promise<void> {
  await window.showTextDocument(uri, { selection: new Range(position, position) });
}

/** @returns undefined where it is none of the program's files */
export function sourceOf(program: Program, path: string): Uri | undefined {
  const name = path.startsWith(WORKSPACE) ? path.slice(WORKSPACE.length) : path;
  if (name === program.entry || program.root === undefined)
    return name === program.entry ? Uri.parse(program.uri) : undefined;
  const full = isAbsolute(name) ? name : join(program.root, name);
  if (!existsSync(full)) return undefined;
  const way = relative(realpathSync(program.root), realpathSync(full));
  const inside = way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
  return inside ? Uri.file(full) : undefined;
}
