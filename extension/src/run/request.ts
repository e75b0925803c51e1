/** What a run asks of the daemon: its program's files, and what the person has set for them. */
import { readFile } from 'node:fs/promises';
import type { StartRequest } from '@coderunner/daemon/client';
import type { RuntimeInfo, TtySize } from '@coderunner/daemon/protocol';
import { Uri, workspace } from 'vscode';
import { setting } from '../configuration.ts';
import { type Collected, collect, collectAlone, type HashCache } from './collect.ts';
import { type Program, unsavedBelow } from './program.ts';

/** Somebody may be typing: longer than programs that only compute usually get. */
const PATIENT_WALL_MS = 60 * 60_000;

export interface Asked {
  request: StartRequest;
  /** For a daemon that refuses the time that the request asks for, which nobody has set: without it. Undefined where it was set. */
  usual: StartRequest | undefined;
}

/** @param size of the terminal, where the program gets one */
export function requestOf(program: Program, runtime: RuntimeInfo, { files }: Collected, size: TtySize): Asked {
  const scope = Uri.parse(program.uri);
  const entry = entryName(program, runtime);
  const wallTimeSeconds = setting('wallTimeSeconds', scope);
  const memoryMiB = setting('memoryMiB', scope);
  const orphanSeconds = setting('orphanSeconds', scope);
  const options = setting('options', scope)[runtime.id];
  const services = setting('services', scope)[runtime.id];
  const limits = {
    ...(wallTimeSeconds > 0 ? { wallMs: wallTimeSeconds * 1000 } : {}),
    ...(memoryMiB > 0 ? { memoryBytes: memoryMiB * 2 ** 20 } : {}),
  };
  const request: StartRequest = {
    files: files.map((file) => (file.path === program.entry ? { ...file, path: entry } : file)),
    entry,
    runtime: runtime.id,
    args: program.args ?? [],
    env: { ...setting('environment', scope) },
    collect: [...setting('collect', scope)],
    limits,
    ...(options ? { options } : {}),
    ...(services ? { services: [...services] } : {}),
    ...(orphanSeconds > 0 ? { orphanMs: orphanSeconds * 1000 } : {}),
    ...(program.stdin === undefined ? {} : { stdin: program.stdin }),
    ...(wantsTerminal(program) ? { tty: size } : {}),
  };
  const isPatient = wallTimeSeconds === 0 && program.stdin === undefined;
  return isPatient
    ? { request: { ...request, limits: { ...limits, wallMs: PATIENT_WALL_MS } }, usual: request }
    : { request, usual: undefined };
}

/** A program whose input comes with it is given pipes: at a terminal it would be typed, echo and all. */
export function wantsTerminal({ stdin, uri }: Program): boolean {
  return stdin === undefined && setting('terminal', Uri.parse(uri));
}

/** The files that go along with a program, unsaved changes included. @throws CodeRunnerError entry_missing, TooMuch; the signal's reason */
export async function filesOf(program: Program, hashes: HashCache, signal: AbortSignal): Promise<Collected> {
  const { root, entry, text } = program;
  const scope = Uri.parse(program.uri);
  if (root === undefined) {
    const document = workspace.textDocuments.find((candidate) => candidate.uri.toString() === program.uri);
    const content = text ?? (document?.isDirty ? document.getText() : undefined);
    if (content === undefined) return collectAlone(scope.fsPath, entry);
    return { files: [{ path: entry, content: Buffer.from(content) }], unreadable: [] };
  }
  const unsaved = unsavedBelow(root);
  if (text !== undefined) unsaved.set(entry, Buffer.from(text));
  const hidden = workspace.getConfiguration('files', scope).get<Record<string, unknown>>('exclude', {});
  return collect(
    {
      root,
      entry,
      unsaved,
      // Conditions ("hide it where its source is") are about what is shown, not about what a program needs.
      exclude: [...Object.keys(hidden).filter((glob) => hidden[glob] === true), ...setting('exclude', scope)],
      maxFiles: setting('maxFiles', scope),
      maxBytes: setting('maxSizeMiB', scope) * 2 ** 20,
      signal,
    },
    hashes,
  );
}

/** A script without an ending says in its first line what runs it. */
export async function firstLine({ uri, entry, text }: Program): Promise<string> {
  if (entry.includes('.')) return '';
  const whole = text ?? (await readFile(Uri.parse(uri).fsPath, 'utf8').catch(() => ''));
  return whole.slice(0, 200).split('\n', 1)[0] ?? '';
}

/** A text that is in no file has no ending, which compilers look at. */
function entryName({ root, entry, text }: Program, runtime: RuntimeInfo): string {
  return root === undefined && text !== undefined && !entry.includes('.') ? runtime.entry : entry;
}
