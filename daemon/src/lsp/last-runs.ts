/** What is known of each program's last run: whether it still goes on, how it ended, and where its errors are by now. */
import { join, posix } from 'node:path';
import { type Edit, moved, type Place } from './edits.ts';
import type { PlacePattern } from './language.ts';
import type { RunEnded } from './messages.ts';
import { type Problem, problemsIn, type Severity } from './problems.ts';
import { pathOf, uriOf } from './uris.ts';

/** Where programs find their files in the sandbox. */
const WORKSPACE = '/workspace/';
/** Programs that are remembered; beyond it, those that ran longest ago go. */
const MOST_PROGRAMS = 100;

/** A problem in a document of the editor. */
export interface PlacedProblem extends Place {
  uri: string;
  severity: Severity;
  compiler: boolean;
  message: string;
}

interface Running {
  state: 'running';
  /** What was edited since it began: its errors speak of the text as it was. */
  edits: [uri: string, Edit | undefined][];
}

interface Ended {
  state: 'ended';
  run: RunEnded;
  problems: PlacedProblem[];
}

/** All URIs must be canonical. */
export class LastRuns {
  readonly #programs = new Map<string, Running | Ended>();
  readonly #exists: (uri: string) => boolean;

  /** @param exists whether there is such a document: what a program prints may name any */
  constructor(exists: (uri: string) => boolean) {
    this.#exists = exists;
  }

  /** @returns the documents whose problems are others now */
  started(uri: string): Set<string> {
    const changed = this.#problemUris(uri);
    this.#remember(uri, { state: 'running', edits: [] });
    return changed;
  }

  /** @returns the documents whose problems are others now */
  ended(run: RunEnded, places: readonly PlacePattern[]): Set<string> {
    const { uri } = run;
    const before = this.#programs.get(uri);
    const edits = before?.state === 'running' ? before.edits : [];
    const problems = problemsIn(run.output, places).flatMap((problem) => this.#place(problem, run, edits));
    const changed = this.#problemUris(uri);
    this.#remember(uri, { state: 'ended', run, problems });
    return changed.union(this.#problemUris(uri));
  }

  /** @param edit undefined: the whole text was replaced */
  edited(uri: string, edit: Edit | undefined): void {
    for (const program of this.#programs.values()) {
      if (program.state === 'running') program.edits.push([uri, edit]);
      else program.problems = program.problems.flatMap((problem) => movedProblem(problem, uri, edit));
    }
  }

  isRunning(uri: string): boolean {
    return this.#programs.get(uri)?.state === 'running';
  }

  /** The run of the program that begins in this document, once it has ended. */
  of(uri: string): RunEnded | undefined {
    const program = this.#programs.get(uri);
    return program?.state === 'ended' ? program.run : undefined;
  }

  /** The programs whose last run has ended. */
  get ends(): string[] {
    return [...this.#programs].flatMap(([uri, { state }]) => (state === 'ended' ? [uri] : []));
  }

  /** Where a program should be looked at first: the first mistake that a compiler names, or the last thing that went wrong. */
  mainProblem(program: string): PlacedProblem | undefined {
    const known = this.#programs.get(program);
    if (known?.state !== 'ended') return undefined;
    const errors = known.problems.filter(({ severity }) => severity === 'error');
    return errors.findLast(({ compiler }) => !compiler) ?? errors[0];
  }

  problemsOf(uri: string): PlacedProblem[] {
    const ended = [...this.#programs.values()].filter((program) => program.state === 'ended');
    return ended.flatMap(({ problems }) => problems.filter((problem) => problem.uri === uri));
  }

  #place({ file, column, ...problem }: Problem, run: RunEnded, edits: Running['edits']): PlacedProblem[] {
    const uri = documentsOf(file, run).find(this.#exists);
    if (uri === undefined) return [];
    let placed: PlacedProblem[] = [{ ...problem, uri, character: column }];
    for (const [edited, edit] of edits) placed = placed.flatMap((problem) => movedProblem(problem, edited, edit));
    return placed;
  }

  #problemUris(program: string): Set<string> {
    const known = this.#programs.get(program);
    return new Set(known?.state === 'ended' ? known.problems.map(({ uri }) => uri) : []);
  }

  #remember(uri: string, program: Running | Ended): void {
    this.#programs.delete(uri);
    this.#programs.set(uri, program);
    for (const oldest of this.#programs.keys()) {
      if (this.#programs.size <= MOST_PROGRAMS) break;
      if (this.#programs.get(oldest)?.state === 'ended') this.#programs.delete(oldest);
    }
  }
}

function movedProblem(problem: PlacedProblem, uri: string, edit: Edit | undefined): PlacedProblem[] {
  if (problem.uri !== uri || !edit) return [problem];
  const place = moved(problem, edit);
  return place ? [{ ...problem, ...place }] : [];
}

/** Which of the program's files may be meant: a bare name, such as the JVM's, may also be that of one beside the entry. */
function documentsOf(file: string, { uri, root, entry }: RunEnded): string[] {
  const path = file.startsWith(WORKSPACE) ? file.slice(WORKSPACE.length) : file.replace(/^\.\//, '');
  if (path === entry) return [uri];
  const isOutside = path.startsWith('/') || path.split(/[/\\]/).includes('..') || path.includes('\0');
  const folder = root === null ? undefined : pathOf(root);
  if (isOutside) return [];
  const beside = path.includes('/') ? [] : [posix.join(posix.dirname(entry), path)];
  if (beside.includes(entry)) return [uri];
  return folder === undefined ? [] : [path, ...beside].map((candidate) => uriOf(join(folder, candidate)));
}
