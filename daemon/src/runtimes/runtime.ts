/** Languages: one folder each, with a `runtime.json` that says all there is to know. Adding one needs no change here. */
import { join, resolve } from 'node:path';
import { BUNDLED_RUNTIMES, type Config } from '../config.ts';
import {
  formatBytes,
  formatDuration,
  type Limits,
  parseBytes,
  parseDuration,
  type RuntimeOption,
  type StageLimits,
} from '../protocol/index.ts';
import type { Flaw } from './flaw.ts';
import type { JsonPath } from './json-text.ts';
import { type RuntimeFile, readRuntimeFile } from './runtime-file.ts';
import { type Service, servicesEnv } from './service.ts';

/** The stage before the run, where a language has one. */
export interface Compilation {
  readonly argv: readonly string[];
  /** The waiting interpreter does it, and then takes the run. */
  readonly warm: boolean;
  /** Globs of what it makes and the run needs; undefined where nothing of it can be kept for the next time. */
  readonly outputs: readonly string[] | undefined;
  readonly limits: StageLimits;
  /** What it needs, where that may be more than the run; undefined: the run's. */
  readonly memoryBytes: number | undefined;
}

/** A file that asks for packages. */
export interface ManifestRule {
  readonly file: string;
  /** What its text is like where it names any. */
  readonly when: RegExp | undefined;
  /** What else is needed to install them: names of files beside it, or anywhere below. */
  readonly with: readonly string[];
}

/** The stage that brings packages, in a container of its own. */
export interface Installation {
  /** Its name in settings. */
  readonly tool: string;
  /** What asks for it; the first counts. */
  readonly detect: readonly ManifestRule[];
  /** Prints the addresses of the registries that the tool asks by itself. */
  readonly registries: readonly string[];
  readonly argv: readonly string[];
  /** The folder beside the manifest that it leaves the packages in. */
  readonly output: string;
  /** Where they are mounted. */
  readonly target: string;
  /** Environment of the stages that follow. */
  readonly env: Readonly<Record<string, string>>;
  /** What its messages mean, for people; `$1` in a sentence is a group of the pattern. */
  readonly failures: readonly { pattern: RegExp; message: string; hint: string | undefined }[];
}

/** A language, ready to be used: what the file leaves out is filled in, sizes and times are numbers. */
export interface Runtime {
  readonly id: string;
  readonly name: string;
  readonly version: string;
  readonly aliases: string[];
  readonly languageIds: string[];
  readonly extensions: string[];
  /** Used when the caller names none. */
  readonly entry: string;
  readonly env: Readonly<Record<string, string>>;
  /** What a run may choose, by name. */
  readonly options: Readonly<Record<string, RuntimeOption>>;
  readonly compile: Compilation | undefined;
  readonly run: { argv: readonly string[]; warm: boolean };
  readonly warm: { argv: readonly string[]; coldEnv: readonly string[]; forks: boolean } | undefined;
  /** How its own out-of-memory end looks: it dies of this signal, or ends with this exit code, after printing this. */
  readonly outOfMemory: { stderr: string; signal?: string; exitCode?: number } | undefined;
  readonly install: Installation | undefined;
  /** Files that name the packages to install; none where nothing is installed. */
  readonly manifests: readonly string[];
  /** Where its error messages name a place: patterns, and the numbers of their groups. */
  readonly diagnostics: NonNullable<RuntimeFile['diagnostics']>;
  readonly editor: NonNullable<RuntimeFile['editor']>;
  /** What runs beside every program of it. */
  readonly services: readonly Service[];
  /** What a run may ask for beside its program. */
  readonly offers: readonly Service[];
  /** A file below the workspace that its runner writes tables into. */
  readonly results: string | undefined;
  readonly limits: Limits;
  /** Its folder. */
  readonly folder: string;
  /** Whether it came with CodeRunner, is a user's own, or is a user's own in the place of one that came with CodeRunner. */
  readonly origin: 'bundled' | 'own' | 'replacement';
}

/** Less does not hold the agent and an interpreter; engines refuse less than 6 MiB. */
const LEAST_MEMORY_BYTES = 16 * 2 ** 20;

/** More is a mistake in writing, such as a unit too many. */
const MOST_TIME_MS = 30 * 24 * 3_600_000;
const MOST_BYTES = 2 ** 40;

type StageFile = Pick<NonNullable<RuntimeFile['compile']>, 'limits' | 'memory'>;

const USUAL_COMPILE_LIMITS: StageLimits = {
  wallMs: 60_000,
  cpuMs: 60_000,
  outputBytes: 2 ** 20,
  fileBytes: 256 * 2 ** 20,
};

const USUAL_LIMITS: Limits = {
  wallMs: 5 * 60_000,
  cpuMs: 30_000,
  memoryBytes: 256 * 2 ** 20,
  outputBytes: 256 * 2 ** 20,
  fileBytes: 128 * 2 ** 20,
  pids: 64,
};

/**
 * A runtime, or all that is wrong with its file, in the order of the file.
 * @param folder its folder
 * @param offers the services that there are
 */
export function parseRuntime(source: string, folder: string, offers: readonly Service[] = []): Runtime | Flaw[] {
  const read = readRuntimeFile(join(folder, 'runtime.json'), source);
  if (Array.isArray(read)) return read;
  const { value, text } = read;
  const names = offers.map(({ id }) => id);
  const flaws = (value.services ?? []).flatMap((id, index) => {
    if (names.includes(id)) return [];
    const message = `services has "${id}", which is no service. There are: ${names.join(', ') || 'none'}.`;
    return [text.flaw(['services', index], message)];
  });
  const quantity = new Quantities((path, message) => flaws.push(text.flaw(path, message)));
  const runtime = fillIn(value, folder, offers, quantity);
  return flaws.length > 0 ? flaws : runtime;
}

function fillIn(file: RuntimeFile, folder: string, offers: readonly Service[], quantities: Quantities): Runtime {
  const services = offers.filter(({ id }) => file.services?.includes(id));
  return {
    id: file.id,
    name: file.name,
    version: file.version,
    aliases: file.aliases ?? [],
    languageIds: file.languageIds ?? [],
    extensions: file.extensions,
    entry: file.entry,
    env: { ...servicesEnv(services), ...file.env },
    options: file.options ?? {},
    compile: file.compile
      ? {
          argv: file.compile.argv,
          warm: file.compile.warm ?? false,
          outputs: file.compile.outputs,
          ...quantities.stageSizes('compile', file.compile, USUAL_COMPILE_LIMITS),
        }
      : undefined,
    run: { argv: file.run.argv, warm: file.run.warm ?? true },
    warm: file.warm
      ? { argv: file.warm.argv, coldEnv: file.warm.coldEnv ?? [], forks: file.warm.forks ?? false }
      : undefined,
    outOfMemory: file.outOfMemory,
    install: file.install
      ? {
          ...file.install,
          detect: file.install.detect.map((rule) => ({
            file: rule.file,
            when: rule.when === undefined ? undefined : new RegExp(rule.when, 'm'),
            with: rule.with ?? [],
          })),
          env: file.install.env ?? {},
          failures: (file.install.failures ?? []).map(({ pattern, message, hint }) => ({
            pattern: new RegExp(pattern, 'm'),
            message,
            hint,
          })),
        }
      : undefined,
    manifests: (file.install?.detect ?? []).map(({ file }) => file),
    diagnostics: file.diagnostics ?? [],
    editor: file.editor ?? {},
    services,
    offers,
    results: file.results,
    limits: {
      ...quantities.stageLimits(['limits'], file.limits, USUAL_LIMITS),
      memoryBytes: quantities.memory(['limits', 'memory'], file.limits?.memory) ?? USUAL_LIMITS.memoryBytes,
      pids: file.limits?.pids ?? USUAL_LIMITS.pids,
    },
    folder,
    origin: resolve(folder, '..') === resolve(BUNDLED_RUNTIMES) ? 'bundled' : 'own',
  };
}

/** Reads sizes and times, and tells of those that will not do. */
class Quantities {
  readonly #tell: (path: JsonPath, message: string) => void;

  constructor(tell: (path: JsonPath, message: string) => void) {
    this.#tell = tell;
  }

  stageSizes(stage: string, given: StageFile, usual: StageLimits) {
    return {
      limits: this.stageLimits([stage, 'limits'], given.limits, usual),
      memoryBytes: this.memory([stage, 'memory'], given.memory),
    };
  }

  stageLimits(field: JsonPath, given: StageFile['limits'] = {}, usual: StageLimits): StageLimits {
    return {
      wallMs: this.#duration([...field, 'wall'], given.wall) ?? usual.wallMs,
      cpuMs: this.#duration([...field, 'cpu'], given.cpu) ?? usual.cpuMs,
      outputBytes: this.#size([...field, 'output'], given.output) ?? usual.outputBytes,
      fileBytes: this.#size([...field, 'file'], given.file) ?? usual.fileBytes,
    };
  }

  memory(field: JsonPath, text: string | undefined): number | undefined {
    const takes = `a size from ${formatBytes(LEAST_MEMORY_BYTES)} to ${formatBytes(MOST_BYTES)}, such as 256MiB`;
    return this.#read(field, text, parseBytes, { least: LEAST_MEMORY_BYTES, most: MOST_BYTES, takes });
  }

  #duration(field: JsonPath, text: string | undefined): number | undefined {
    const takes = `a time from 1ms to ${formatDuration(MOST_TIME_MS)}, such as 30s`;
    return this.#read(field, text, parseDuration, { least: 1, most: MOST_TIME_MS, takes });
  }

  #size(field: JsonPath, text: string | undefined): number | undefined {
    const takes = `a size from 1B to ${formatBytes(MOST_BYTES)}, such as 64MiB`;
    return this.#read(field, text, parseBytes, { least: 1, most: MOST_BYTES, takes });
  }

  #read(
    field: JsonPath,
    text: string | undefined,
    parse: (text: string) => number | undefined,
    { least, most, takes }: { least: number; most: number; takes: string },
  ): number | undefined {
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value !== undefined && value >= least && value <= most) return value;
    this.#tell(field, `${field.join('.')} is "${text}", but takes ${takes}.`);
    return undefined;
  }
}

/** The language with services beside its own; those that it does not know are left out. */
export function withServices(runtime: Runtime, ids: readonly string[]): Runtime {
  if (ids.length === 0) return runtime;
  const services = runtime.offers.filter((one) => ids.includes(one.id) || runtime.services.includes(one));
  return { ...runtime, services, env: { ...servicesEnv(services), ...runtime.env } };
}

/** What its compiler may use beside a program that may use so much, in bytes; never less. */
export function compileMemory({ compile }: Runtime, programBytes: number, { maxMemory }: Config): number {
  return Math.max(programBytes, Math.min(compile?.memoryBytes ?? 0, maxMemory));
}

/** The language of a file, by its ending; the longest ending that fits wins. */
export function runtimeForEntry(entry: string, runtimes: readonly Runtime[]): Runtime | undefined {
  const fits = (runtime: Runtime) =>
    Math.max(
      0,
      ...runtime.extensions.map((ending) => (entry.toLowerCase().endsWith(ending.toLowerCase()) ? ending.length : 0)),
    );
  return runtimes.filter((runtime) => fits(runtime) > 0).sort((a, b) => fits(b) - fits(a))[0];
}

export interface ArgvValues {
  entry: string;
  args: readonly string[];
  /** A value for each option of the runtime. */
  options: Readonly<Record<string, string>>;
}

/**
 * What people typed becomes whole items, `${args}` as many as there are: no shell ever sees a user's file name. The values of
 * options, which may be a part of an item, come from the runtime's own list.
 */
export function expandArgv(argv: readonly string[], { entry, args, options }: ArgvValues): string[] {
  return argv.flatMap((item) => {
    if (item === '${args}') return args;
    // An entry must not be read as an option, nor, as compilers do, as the name of a file that has some.
    if (item === '${entry}') return /^[-@]/.test(entry) ? `./${entry}` : entry;
    return item.replaceAll(/\$\{option\.([^}]*)\}/g, (_, name: string) => {
      const value = options[name];
      if (value === undefined) throw new Error(`The option ${name} has no value.`);
      return value;
    });
  });
}
