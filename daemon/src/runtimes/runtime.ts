/** Languages: one folder each, with a `runtime.json` that says all there is to know. Adding one needs no change here. */
import { access, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Static } from 'typebox';
import * as Type from 'typebox';
import { Compile } from 'typebox/compile';
import { BUNDLED_RUNTIMES } from '../config.ts';
import { type Limits, parseBytes, parseDuration } from '../protocol/index.ts';

const closed = { additionalProperties: false } as const;
const Argv = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 });
/** A variable that the waiting interpreter cannot take any more: a name, or its beginning and a star. */
const ColdEnv = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*\\*?$' });
const Name = Type.String({ pattern: '^[a-z0-9][a-z0-9+#._-]{0,39}$' });

/** What editors show of programs in a language: where they begin, and what they import. */
const Editor = Type.Object(
  {
    entryPoint: Type.Optional(Type.String({ minLength: 1 })),
    needsEntryPoint: Type.Optional(Type.Boolean()),
    imports: Type.Optional(
      Type.Object(
        {
          pattern: Type.String({ pattern: '\\(\\?<modules>' }),
          package: Type.String({ minLength: 1 }),
          builtin: Type.Array(Type.String()),
          network: Type.Array(Type.String()),
          packages: Type.Optional(Type.Record(Type.String(), Type.String())),
        },
        closed,
      ),
    ),
  },
  closed,
);

const RuntimeFile = Type.Object(
  {
    id: Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }),
    name: Type.String({ minLength: 1, maxLength: 60 }),
    version: Type.String({ minLength: 1, maxLength: 40 }),
    aliases: Type.Optional(Type.Array(Name)),
    languageIds: Type.Optional(Type.Array(Type.String())),
    extensions: Type.Array(Type.String({ pattern: '^\\.[A-Za-z0-9_.+-]+$' }), { minItems: 1 }),
    entry: Type.String({ minLength: 1 }),
    env: Type.Optional(Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), closed)),
    compile: Type.Optional(
      Type.Union([Type.Object({ argv: Argv, cacheKey: Type.Optional(Type.String()) }, closed), Type.Null()]),
    ),
    run: Type.Object({ argv: Argv }, closed),
    warm: Type.Optional(
      Type.Union([Type.Object({ argv: Argv, coldEnv: Type.Optional(Type.Array(ColdEnv)) }, closed), Type.Null()]),
    ),
    install: Type.Optional(
      Type.Union([Type.Object({ detect: Type.Array(Type.String()), argv: Argv }, closed), Type.Null()]),
    ),
    outOfMemory: Type.Optional(
      Type.Object({ signal: Type.String({ pattern: '^SIG[A-Z]+$' }), stderr: Type.String({ minLength: 1 }) }, closed),
    ),
    diagnostics: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pattern: Type.String({ minLength: 1 }),
            file: Type.Integer({ minimum: 1 }),
            line: Type.Integer({ minimum: 1 }),
            column: Type.Optional(Type.Integer({ minimum: 1 })),
            message: Type.Optional(Type.Integer({ minimum: 1 })),
          },
          closed,
        ),
      ),
    ),
    editor: Type.Optional(Editor),
    limits: Type.Optional(
      Type.Object(
        {
          memory: Type.Optional(Type.String()),
          pids: Type.Optional(Type.Integer({ minimum: 8, maximum: 4096 })),
          wall: Type.Optional(Type.String()),
          cpu: Type.Optional(Type.String()),
          output: Type.Optional(Type.String()),
          file: Type.Optional(Type.String()),
        },
        closed,
      ),
    ),
  },
  closed,
);
type RuntimeFile = Static<typeof RuntimeFile>;
const validator = Compile(RuntimeFile);

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
  readonly compile: { argv: readonly string[] } | undefined;
  readonly run: { argv: readonly string[] };
  readonly warm: { argv: readonly string[]; coldEnv: readonly string[] } | undefined;
  /** How its own out-of-memory end looks: it dies of this signal after printing this. */
  readonly outOfMemory: { signal: string; stderr: string } | undefined;
  /** Files that name the packages to install; none where nothing is installed. */
  readonly manifests: readonly string[];
  /** Where its error messages name a place: patterns, and the numbers of their groups. */
  readonly diagnostics: NonNullable<RuntimeFile['diagnostics']>;
  readonly editor: Static<typeof Editor>;
  readonly limits: Limits;
  /** Its folder. */
  readonly folder: string;
}

/** A folder that cannot be used, and why: file, field and what is wrong. */
export interface RuntimeProblem {
  id: string;
  problem: string;
}

/** Less does not hold the agent and an interpreter; engines refuse less than 6 MiB. */
const LEAST_MEMORY_BYTES = 16 * 2 ** 20;

const USUAL_LIMITS: Limits = {
  wallMs: 5 * 60_000,
  cpuMs: 30_000,
  memoryBytes: 256 * 2 ** 20,
  outputBytes: 256 * 2 ** 20,
  fileBytes: 128 * 2 ** 20,
  pids: 64,
};

/**
 * Reads all languages of a folder.
 * @param folder empty: those that come with CodeRunner
 * @returns the usable ones, by id, and those that are broken; a broken one never hides the others
 */
export async function loadRuntimes(folder: string): Promise<{ runtimes: Runtime[]; broken: RuntimeProblem[] }> {
  const root = folder || BUNDLED_RUNTIMES;
  const runtimes: Runtime[] = [];
  const broken: RuntimeProblem[] = [];
  const names = new Map<string, string>();
  const entries = await readdir(root, { withFileTypes: true }).catch((error) => {
    broken.push({ id: root, problem: `The folder of runtimes cannot be read: ${error.message}.` });
    return [];
  });
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    if (!entry.isDirectory()) continue;
    const file = join(root, entry.name, 'runtime.json');
    const loaded = await loadRuntime(join(root, entry.name), names);
    if (typeof loaded === 'string') broken.push({ id: entry.name, problem: `${file}: ${loaded}` });
    else if (loaded) runtimes.push(loaded);
  }
  return { runtimes, broken };
}

/** The language of a folder, what is wrong with it, or undefined where it is none (agent/, base/ and the like). */
async function loadRuntime(folder: string, names: Map<string, string>): Promise<Runtime | string | undefined> {
  let source: string;
  try {
    source = await readFile(join(folder, 'runtime.json'), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    return `it cannot be read: ${(error as Error).message}.`;
  }
  const runtime = parseRuntime(source, folder);
  if (typeof runtime === 'string') return runtime;
  if (runtime.id !== basename(folder)) return `id is "${runtime.id}", but the folder is called "${basename(folder)}".`;
  const dockerfile = await access(join(folder, 'Dockerfile')).catch((error: Error) => error);
  if (dockerfile instanceof Error) return `there is no Dockerfile beside it (${dockerfile.message}).`;
  return claim(runtime, names) ?? runtime;
}

/** Takes a runtime's names and endings, or says who has them already. */
function claim(runtime: Runtime, taken: Map<string, string>): string | undefined {
  const own = [
    ...[runtime.id, ...runtime.aliases].map((name) => `the name "${name}"`),
    ...runtime.extensions.map((ending) => `the ending "${ending}"`),
  ];
  const clash = own.find((name) => taken.has(name));
  if (clash !== undefined) return `${clash} belongs to ${taken.get(clash)} already.`;
  for (const name of own) taken.set(name, runtime.id);
  return undefined;
}

/** A runtime, or the sentence that says what is wrong with its file. */
export function parseRuntime(source: string, folder: string): Runtime | string {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    return `it is not JSON: ${(error as Error).message}.`;
  }
  if (!validator.Check(value)) return `${describe(validator.Errors(value))}.`;
  const problem = checkPatterns(value);
  if (problem) return problem;
  const limits = readLimits(value.limits ?? {});
  if (typeof limits === 'string') return limits;
  return {
    id: value.id,
    name: value.name,
    version: value.version,
    aliases: value.aliases ?? [],
    languageIds: value.languageIds ?? [],
    extensions: value.extensions,
    entry: value.entry,
    env: value.env ?? {},
    compile: value.compile ?? undefined,
    run: value.run,
    warm: value.warm ? { argv: value.warm.argv, coldEnv: value.warm.coldEnv ?? [] } : undefined,
    outOfMemory: value.outOfMemory,
    manifests: value.install?.detect ?? [],
    diagnostics: value.diagnostics ?? [],
    editor: value.editor ?? {},
    limits,
    folder,
  };
}

type ValidationError = ReturnType<typeof validator.Errors>[number];

/**
 * One error in a person's words. Of a field that may be null the validator lists both ways; the one that goes deeper is what
 * was meant.
 */
function describe(errors: ValidationError[]): string {
  const depth = ({ instancePath }: ValidationError) => instancePath.split('/').length;
  const telling = errors.filter(({ keyword }) => keyword !== 'anyOf' && keyword !== 'boolean');
  const [error] = telling.sort((a, b) => depth(b) - depth(a));
  if (!error) return 'it has the wrong form';
  const field = error.instancePath.slice(1).replaceAll('/', '.') || 'it';
  switch (error.keyword) {
    case 'required':
      return `${field} lacks ${quoted(error.params.requiredProperties)}`;
    case 'additionalProperties':
      return `${field} has ${quoted(error.params.additionalProperties)}, which nobody knows`;
    case 'type': {
      const sameField = telling.filter(({ instancePath }) => instancePath === error.instancePath);
      const types = sameField.flatMap((one) => (one.keyword === 'type' ? one.params.type : []));
      return `${field} must be ${[...new Set(types)].join(' or ')}`;
    }
    default:
      return `${field} ${error.message}`;
  }
}

function quoted(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}

const VARIABLES = new Set(['entry', 'args']);

function checkPatterns(file: RuntimeFile): string | undefined {
  for (const [field, argv] of [
    ['run.argv', file.run.argv],
    ['compile.argv', file.compile?.argv ?? []],
  ] as const) {
    for (const item of argv) {
      const variable = /\$\{([^}]*)\}/.exec(item);
      if (variable && (item !== variable[0] || !VARIABLES.has(variable[1] ?? ''))) {
        return `${field} has "${item}"; variables are whole items: \${entry} or \${args}.`;
      }
    }
  }
  const { entryPoint, imports } = file.editor ?? {};
  const patterns = [
    ...(file.diagnostics ?? []).map(({ pattern }, index) => [`diagnostics.${index}.pattern`, pattern]),
    ['editor.entryPoint', entryPoint ?? ''],
    ['editor.imports.pattern', imports?.pattern ?? ''],
    ['editor.imports.package', imports?.package ?? ''],
  ] as const;
  for (const [field, pattern = ''] of patterns) {
    try {
      new RegExp(pattern);
    } catch (error) {
      return `${field} is no regular expression: ${(error as Error).message}.`;
    }
  }
  return undefined;
}

function readLimits(given: NonNullable<RuntimeFile['limits']>): Limits | string {
  const limits = { ...USUAL_LIMITS };
  const fields = [
    ['memory', 'memoryBytes', parseBytes, 'a size such as 256MiB'],
    ['output', 'outputBytes', parseBytes, 'a size such as 64MiB'],
    ['file', 'fileBytes', parseBytes, 'a size such as 64MiB'],
    ['wall', 'wallMs', parseDuration, 'a duration such as 30s'],
    ['cpu', 'cpuMs', parseDuration, 'a duration such as 30s'],
  ] as const;
  for (const [field, name, parse, takes] of fields) {
    const text = given[field];
    if (text === undefined) continue;
    const value = parse(text);
    if (value === undefined || value === 0) return `limits.${field} is "${text}", but takes ${takes}.`;
    if (name === 'memoryBytes' && value < LEAST_MEMORY_BYTES)
      return `limits.memory is "${text}", but takes 16MiB or more.`;
    limits[name] = value;
  }
  if (given.pids !== undefined) limits.pids = given.pids;
  return limits;
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

/** Variables become whole items, `${args}` as many as there are: no shell ever sees a user's file name. */
export function expandArgv(argv: readonly string[], values: { entry: string; args: readonly string[] }): string[] {
  return argv.flatMap((item) => {
    if (item === '${args}') return values.args;
    // An entry that begins with a dash must not be read as an option.
    if (item === '${entry}') return values.entry.startsWith('-') ? `./${values.entry}` : values.entry;
    return item;
  });
}
