/** Admission: from what a client asks for to what will be done, or an error that names the offender and the way out. */
import type { Config } from '../config.ts';
import {
  type BatchInput,
  type BatchRequest,
  CodeRunnerError,
  formatBytes,
  formatDuration,
  type LimitName,
  type Limits,
  type RunFile,
  type RunRequest,
  type TtySize,
} from '../protocol/index.ts';
import { type Runtime, runtimeForEntry } from '../runtimes/runtime.ts';
import type { Service } from '../runtimes/service.ts';

/** A run as it was admitted; what the store keeps while it waits. */
export interface RunSpec {
  runtime: string;
  entry: string;
  files: RunFile[];
  args: string[];
  env: Record<string, string>;
  /** All of the input; null: none; undefined: clients send it while the program runs. */
  stdin: string | null | undefined;
  stdinEncoding: 'utf8' | 'base64';
  tty: TtySize | null;
  /** Every option of the runtime has its value. */
  options: Record<string, string>;
  /** Ids of what runs beside the program and does not so in every run of the language. */
  services: string[];
  limits: Limits;
  priority: number;
  collect: string[];
  /** How long it goes on while nobody follows it; undefined: to its end. */
  orphanMs: number | undefined;
  cold: boolean;
  /** Whose containers may be used that served another run: nobody's, or the owner's own. Runs that an older daemon took have none. */
  reuse?: 'never' | 'owner';
}

const MOST_COMPONENT_BYTES = 255;
const MOST_PATH_BYTES = 4_095;
const MOST_BATCH_OUTPUT_BYTES = 4 * 2 ** 20;
/** Its batch follows each run: one that nobody follows was left by a daemon that was killed. */
const BATCH_ORPHAN_MS = 60_000;
const LEAST_MEMORY_BYTES = 16 * 2 ** 20;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL_CHARACTERS = /[\x00-\x1f\x7f]/;

/** @throws CodeRunnerError unknown_runtime, entry_missing, bad_path, duplicate_path, too_many_files, too_large, bad_limit, bad_request */
export function admit(request: RunRequest, runtimes: readonly Runtime[], config: Config): RunSpec {
  checkFiles(request.files, config);
  const runtime = chooseRuntime(request, runtimes);
  return {
    runtime: runtime.id,
    entry: chooseEntry(request, runtime),
    files: request.files,
    args: checkText('An argument', request.args ?? []),
    env: checkEnv(request.env ?? {}),
    stdin: checkInput('The input (stdin)', request.stdin, request.stdinEncoding),
    stdinEncoding: request.stdinEncoding ?? 'utf8',
    tty: request.tty ?? null,
    options: chooseOptions(request.options ?? {}, runtime),
    services: chooseServices(request.services ?? [], runtime),
    limits: chooseLimits(request.limits ?? {}, runtime.limits, config),
    priority: request.priority ?? 0,
    collect: checkText('A glob of produced files', request.collect ?? []),
    orphanMs: request.orphanMs,
    cold: request.cold ?? false,
    reuse: request.reuse ?? 'never',
  };
}

/**
 * The runs of a batch, one for each input, in order.
 * @throws CodeRunnerError as {@link admit}; bad_request also where an input cannot be taken
 */
export function admitBatch(
  { inputs, from = 0, key: _key, stopAtFirstFailure: _stop, ...program }: BatchRequest,
  runtimes: readonly Runtime[],
  config: Config,
): RunSpec[] {
  if (from >= inputs.length)
    throw new CodeRunnerError(
      'bad_request',
      `The results are wanted from input ${from} on, but the last one is ${inputs.length - 1}.`,
    );
  // All that is printed goes into the answer, so less of it is taken than where it passes through.
  const maxOutput = Math.min(config.maxOutput, MOST_BATCH_OUTPUT_BYTES);
  const admitted = admit({ reuse: 'owner', ...program, orphanMs: BATCH_ORPHAN_MS }, runtimes, { ...config, maxOutput });
  return inputs.map((input) => withInput(admitted, input));
}

function withInput(program: RunSpec, { name, stdin, encoding = 'utf8', args, env, expected }: BatchInput): RunSpec {
  checkInput(`The output that is expected of "${show(name)}"`, expected, encoding);
  return {
    ...program,
    stdin: checkInput(`The input "${show(name)}"`, stdin ?? null, encoding),
    stdinEncoding: encoding,
    args: args ? checkText(`An argument of "${show(name)}"`, args) : program.args,
    env: { ...program.env, ...checkEnv(env ?? {}) },
  };
}

function chooseRuntime(request: RunRequest, runtimes: readonly Runtime[]): Runtime {
  const known = () => runtimes.map((runtime) => runtime.id).join(', ') || 'none';
  if (request.runtime !== undefined) {
    const asked = request.runtime.toLowerCase();
    const found = runtimes.find((runtime) => runtime.id === asked || runtime.aliases.includes(asked));
    if (found) return found;
    throw new CodeRunnerError(
      'unknown_runtime',
      `There is no runtime "${show(request.runtime)}" here. There are: ${known()}.`,
    );
  }
  const entry = request.entry ?? (request.files.length === 1 ? request.files[0]?.path : undefined);
  if (entry === undefined) {
    throw new CodeRunnerError('entry_missing', 'The run names neither a runtime nor an entry file.', {
      hint: 'Name one of them.',
    });
  }
  const found = runtimeForEntry(entry, runtimes);
  if (found) return found;
  throw new CodeRunnerError(
    'unknown_runtime',
    `No runtime here is for files like "${show(entry)}". There are: ${known()}.`,
    {
      hint: 'Name the runtime, or list what there is with `coderunner runtimes`.',
    },
  );
}

function chooseEntry(request: RunRequest, runtime: Runtime): string {
  const entry = request.entry ?? (request.files.length === 1 ? (request.files[0]?.path as string) : runtime.entry);
  if (request.files.some((file) => file.path === entry)) return entry;
  throw new CodeRunnerError(
    'entry_missing',
    request.files.length === 0
      ? 'The run brings no files.'
      : `The entry file "${show(entry)}" is not among the files of the run.`,
  );
}

function checkFiles(files: readonly RunFile[], config: Config): void {
  if (files.length > config.maxFiles) {
    throw new CodeRunnerError(
      'too_many_files',
      `The run brings ${count(files.length)} files; at most ${count(config.maxFiles)} are taken.`,
    );
  }
  const seen = new Map<string, string>();
  let total = 0;
  for (const file of files) {
    checkPath(file.path);
    if (/^\.coderunner(\/|$)/.test(file.path)) throw badPath(file.path, 'is in the folder that CodeRunner itself uses');
    const folded = file.path.normalize('NFC').toLowerCase();
    const twin = seen.get(folded);
    if (twin !== undefined) {
      const how = twin === file.path ? 'is there twice' : `and "${show(twin)}" differ only in case`;
      throw new CodeRunnerError('duplicate_path', `The file "${show(file.path)}" ${how}.`, {
        details: { path: file.path },
      });
    }
    seen.set(folded, file.path);
    if ('content' in file) total += checkContent(file.path, file.content, file.encoding, config);
  }
  for (const path of seen.keys()) {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const folder = seen.get(path.slice(0, slash));
      if (folder !== undefined) throw badPath(folder, 'is a file and a folder at once');
    }
  }
  if (total > config.maxRunBytes)
    throw tooLarge('The files of the run', total, config.maxRunBytes, 'CODERUNNER_MAX_RUN_BYTES');
}

function checkContent(path: string, content: string, encoding: string | undefined, config: Config): number {
  if (encoding === 'base64' && !isBase64(content)) {
    throw new CodeRunnerError('bad_request', `The contents of "${show(path)}" are not base64.`);
  }
  if (!content.isWellFormed()) {
    throw new CodeRunnerError('bad_request', `The contents of "${show(path)}" are not valid Unicode.`, {
      hint: 'Send bytes that are no text as base64.',
    });
  }
  const size = Buffer.byteLength(content, encoding === 'base64' ? 'base64' : 'utf8');
  if (size > config.maxFileBytes)
    throw tooLarge(`The file "${show(path)}"`, size, config.maxFileBytes, 'CODERUNNER_MAX_FILE_BYTES');
  return size;
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

/** @throws CodeRunnerError too_large, naming what is too large, how large it is and the setting that raises the limit */
export function tooLarge(what: string, size: number, most: number, setting: string): CodeRunnerError {
  return new CodeRunnerError(
    'too_large',
    `${what} has ${formatBytes(size)}; at most ${formatBytes(most)} are taken (${setting}).`,
    {
      details: { sizeBytes: size, mostBytes: most },
    },
  );
}

function checkPath(path: string): void {
  const problem = pathProblem(path);
  if (problem !== undefined) throw badPath(path, problem);
}

/** Why a file of a run cannot have that path, as the end of a sentence; undefined where it can. */
export function pathProblem(path: string): string | undefined {
  if (path === '') return 'is empty';
  if (CONTROL_CHARACTERS.test(path)) return 'has a control character (such as a newline) in it';
  if (path.startsWith('/') || /^[A-Za-z]:[\\/]/.test(path)) return 'is absolute';
  if (Buffer.byteLength(path) > MOST_PATH_BYTES) return `is longer than ${count(MOST_PATH_BYTES)} bytes`;
  if (!path.isWellFormed()) return 'is not valid Unicode';
  for (const part of path.split('/')) {
    if (part === '..') return "goes out of the workspace with '..'";
    if (part === '' || part === '.') return 'has an empty part';
    if (Buffer.byteLength(part) > MOST_COMPONENT_BYTES) return `has a name of more than ${MOST_COMPONENT_BYTES} bytes`;
  }
  return undefined;
}

function badPath(path: string, problem: string): CodeRunnerError {
  return new CodeRunnerError('bad_path', `The path "${show(path)}" ${problem}.`, {
    details: { path: path.slice(0, MOST_PATH_BYTES) },
  });
}

function checkText(what: string, values: string[]): string[] {
  const bad = values.find((value) => value.includes('\0') || !value.isWellFormed());
  if (bad !== undefined)
    throw new CodeRunnerError('bad_request', `${what} has a NUL character or broken Unicode in it: "${show(bad)}".`);
  return values;
}

function checkEnv(env: Record<string, string>): Record<string, string> {
  const bad = Object.keys(env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  if (bad !== undefined) {
    throw new CodeRunnerError('bad_request', `"${show(bad)}" is no name for an environment variable.`, {
      hint: 'Use letters, digits and underscores, and no digit at the beginning.',
    });
  }
  checkText('An environment variable', Object.values(env));
  return env;
}

function checkInput(what: string, text: RunSpec['stdin'], encoding: string | undefined): RunSpec['stdin'] {
  if (typeof text !== 'string') return text;
  if (encoding === 'base64') {
    if (!isBase64(text)) throw new CodeRunnerError('bad_request', `${what} is not base64.`);
  } else if (!text.isWellFormed()) {
    // What would be changed silently is refused.
    throw new CodeRunnerError('bad_request', `${what} is not valid Unicode.`, {
      hint: 'Send bytes that are no text as base64.',
    });
  }
  return text;
}

function chooseServices(asked: readonly string[], { services, offers }: Runtime): string[] {
  const has = (list: readonly Service[], id: string) => list.some((service) => service.id === id);
  const unknown = asked.find((id) => !has(offers, id));
  if (unknown !== undefined) {
    const known = offers.map(({ id }) => id).join(', ') || 'none';
    throw new CodeRunnerError('bad_request', `There is no service "${show(unknown)}" here. There are: ${known}.`);
  }
  return [...new Set(asked)].filter((id) => !has(services, id)).sort();
}

function chooseOptions(asked: Record<string, string>, { name: language, options }: Runtime): Record<string, string> {
  for (const [name, value] of Object.entries(asked)) {
    const option = Object.hasOwn(options, name) ? options[name] : undefined;
    const refuse = (message: string) => {
      throw new CodeRunnerError('bad_request', message, {
        hint: 'List what there is with `coderunner runtimes --json`.',
      });
    };
    if (!option) {
      const known = Object.keys(options).join(', ');
      refuse(
        known === ''
          ? `${language} has no option "${show(name)}": there is nothing to choose.`
          : `${language} has no option "${show(name)}". There are: ${known}.`,
      );
    } else if (!option.values.includes(value)) {
      refuse(`The option ${name} is "${show(value)}", but takes one of ${option.values.join(', ')}.`);
    }
  }
  const usual = Object.entries(options).map(([name, option]) => [name, option.default]);
  return { ...Object.fromEntries(usual), ...asked };
}

function chooseLimits(asked: NonNullable<RunRequest['limits']>, usual: Limits, config: Config): Limits {
  const ranges: Record<LimitName, { least: number; most: number; show: (value: number) => string }> = {
    wallMs: { least: 1, most: config.maxWall, show: formatDuration },
    cpuMs: { least: 1, most: config.maxCpu, show: formatDuration },
    memoryBytes: { least: LEAST_MEMORY_BYTES, most: config.maxMemory, show: formatBytes },
    outputBytes: { least: 1, most: config.maxOutput, show: formatBytes },
    fileBytes: { least: 1, most: config.workspaceBytes, show: formatBytes },
  };
  const limits = { ...usual };
  for (const [name, range] of Object.entries(ranges) as [LimitName, (typeof ranges)[LimitName]][]) {
    const value: unknown = asked[name];
    if (value === undefined) {
      limits[name] = Math.min(usual[name], range.most);
    } else if (
      typeof value === 'number' &&
      Number.isSafeInteger(value) &&
      value >= range.least &&
      value <= range.most
    ) {
      limits[name] = value;
    } else {
      const takes = `a whole number from ${range.least} (${range.show(range.least)}) to ${range.most} (${range.show(range.most)})`;
      // NaN and Infinity have no JSON
      const given = typeof value === 'number' ? `${value}` : show(JSON.stringify(value));
      throw new CodeRunnerError('bad_limit', `limits.${name} is ${given}, but takes ${takes}.`, {
        details: { limit: name },
      });
    }
  }
  return limits;
}

/** Somebody else's text in a sentence of ours: short, on one line. */
function show(text: string): string {
  const clean = text.replaceAll(new RegExp(CONTROL_CHARACTERS, 'g'), '\u{fffd}');
  return clean.length > 100 ? `${clean.slice(0, 60)}…${clean.slice(-30)}` : clean;
}

function count(value: number): string {
  return value.toLocaleString('en');
}
