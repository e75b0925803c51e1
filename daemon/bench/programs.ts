/** The programs that are run: real files, so that what runs bare and what runs in a sandbox is the same. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { RunRequest } from '../src/protocol/index.ts';

export const PROGRAMS_FOLDER = fileURLToPath(new URL('programs/', import.meta.url));

export interface Program {
  name: string;
  content: string;
}

export function program(name: string): Program {
  return { name, content: readFileSync(PROGRAMS_FOLDER + name, 'utf8') };
}

/** A request to run a program with no input, as an editor sends it. */
export function requestFor({ name, content }: Program, args: string[] = []): RunRequest {
  return { entry: name, files: [{ path: name, content }], args, stdin: null };
}
