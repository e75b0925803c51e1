/**
 * `runtime.json`: its form, what each field is for, and what is wrong with one. The tables of fields in `docs/runtimes.md` are
 * generated from here.
 */
import type { Static } from 'typebox';
import * as Type from 'typebox';
import { Compile } from 'typebox/compile';
import { didYouMean, type Flaw, nearest } from './flaw.ts';
import { type JsonPath, JsonText } from './json-text.ts';

const closed = { additionalProperties: false } as const;
const optional = Type.Optional;

/** @param takes what the pattern means, for people: "…, but takes TAKES." */
function text(pattern: string, takes: string, description?: string) {
  return Type.String({ pattern, takes, ...(description === undefined ? {} : { description }) });
}

const argv = (description: string) => Type.Array(Type.String({ minLength: 1 }), { minItems: 1, description });
const words = (description: string) => Type.Array(Type.String(), { description });
const regex = (description: string) => Type.String({ minLength: 1, description });
const group = (description: string) => Type.Integer({ minimum: 1, description });
const amount = (description: string) => Type.String({ description });
/** A variable that the waiting interpreter cannot take any more: a name, or its beginning and a star. */
const ColdEnv = text('^[A-Za-z_][A-Za-z0-9_]*\\*?$', 'a variable’s name, or its beginning and a *');
const env = (description: string) =>
  Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), { ...closed, description });
/** Below the folder that is ours in every workspace, so that a program's own files are never mixed with them. */
const OWN_FOLDER = '^\\.coderunner/(?!.*\\.\\.)';
const OWN_PATH = 'a path that begins with .coderunner/ and has no ..';
const PATTERN = 'a pattern with a group named modules: (?<modules>…)';
const RELATIVE = '^(?!/)(?!.*(?:^|/)\\.\\.(?:/|$)).+$';

/** What editors show of programs in a language: where they begin, and what they import. */
const Editor = Type.Object(
  {
    entryPoint: optional(
      regex(
        'Pattern of the line that a program begins with, such as `^func\\s+main\\(`; without one, programs begin with their first statement',
      ),
    ),
    needsEntryPoint: optional(
      Type.Boolean({ description: '`true` where a file without an entry point cannot be run' }),
    ),
    imports: optional(
      Type.Object(
        {
          pattern: text(
            '\\(\\?<modules>',
            PATTERN,
            'Pattern of a line that imports; its group `modules` are their names, with commas between',
          ),
          package: regex("Pattern of a name's beginning that is its package; names that it does not match are none"),
          builtin: words('Packages that come with the image'),
          network: words('Modules that are of no use without a network'),
          packages: optional(
            Type.Record(Type.String(), Type.String(), {
              description:
                'What a package is called where it is installed from, if not as it is imported: `{"yaml": "pyyaml"}`',
            }),
          ),
        },
        { ...closed, description: 'How programs import, for hints on what is not there' },
      ),
    ),
  },
  { ...closed, description: 'What the [language server](guide.md#other-editors) looks for in a document, below' },
);

/** What a run may choose. The values are all there are, so nothing that a user types reaches a command line. */
const Option = Type.Object(
  {
    description: Type.String({ minLength: 1, maxLength: 200, description: 'What it is, for people' }),
    values: Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
      minItems: 1,
      uniqueItems: true,
      description: 'All that there are',
    }),
    default: Type.String({ description: 'One of them' }),
  },
  closed,
);

/** As people write them; of one stage. */
const StageLimitsFile = {
  wall: optional(amount('Time on the clock: `30s`, `5min`')),
  cpu: optional(amount('Processor time')),
  output: optional(amount('What it may print: `64MiB`')),
  file: optional(amount('The largest file that it may write')),
};

const Compilation = Type.Object(
  {
    argv: argv('The compiler; variables as in `run`'),
    warm: optional(
      Type.Boolean({
        description: '`true`: the interpreter that waits compiles ([how](protocol.md#warm-interpreter))',
      }),
    ),
    outputs: optional(
      Type.Array(text(OWN_FOLDER, OWN_PATH), {
        minItems: 1,
        description:
          'Patterns of files below `.coderunner/` that the compiler makes and the run needs. They are kept, and the same sources with the same options, environment and image are not compiled again',
      }),
    ),
    limits: optional(
      Type.Object(StageLimitsFile, {
        ...closed,
        description: 'Of this stage: `wall` (60s), `cpu` (60s), `output` (1MiB), `file` (256MiB)',
      }),
    ),
    memory: optional(
      amount(
        'What the container must have for the compiler, where a run may ask for less; the run’s own limit holds from the program’s start',
      ),
    ),
  },
  closed,
);

/** A file that asks for packages; only where its text is like `when`, and together with the files beside it that `with` names. */
const ManifestRule = Type.Object(
  {
    file: text('^[A-Za-z0-9._-]+$', 'a file’s name without folders'),
    when: optional(Type.String({ minLength: 1 })),
    with: optional(
      Type.Array(
        text('^(\\*\\*/)?[A-Za-z0-9._*-]+$', 'a file’s name, with **/ before it where it may be anywhere below'),
      ),
    ),
  },
  closed,
);

const Installation = Type.Object(
  {
    tool: text(
      '^[a-z][a-z0-9-]{0,39}$',
      'small letters, digits and -',
      'The package manager’s name in `CODERUNNER_REGISTRIES`',
    ),
    detect: Type.Array(ManifestRule, {
      minItems: 1,
      description:
        'Manifests, the first that is there counts, nearest to the entry: `file`; `when`: a pattern of a text that names packages; `with`: files beside it that go along (`name`, or `**/name` anywhere below; `*` for a part of a name)',
    }),
    registries: argv('Prints the addresses that the tool asks when it is told nothing, one a line'),
    argv: argv(
      'Installs, in the manifest’s folder; `${manifest}` is the file’s name. `CODERUNNER_REGISTRY` (a mirror, or empty), `CODERUNNER_CA` (a file of authorities), `CODERUNNER_INSTALL_SCRIPTS` (`on`, `off`) and `HTTPS_PROXY` are set',
    ),
    output: text(
      '^[A-Za-z0-9._-]+$',
      'a folder’s name without others around it',
      'The folder beside the manifest whose contents are kept',
    ),
    target: text(
      '^(/[A-Za-z0-9._-]+)+$',
      'an absolute path',
      'Where they are mounted, read-only, for the stages that follow',
    ),
    env: optional(env('Environment of those stages, only where packages are mounted')),
    failures: optional(
      Type.Array(
        Type.Object(
          {
            pattern: regex('What the tool prints'),
            message: Type.String({ minLength: 1 }),
            hint: optional(Type.String({ minLength: 1 })),
          },
          closed,
        ),
        { description: 'What its messages mean: `pattern`, `message` (`$1` is a group of the pattern) and `hint`' },
      ),
    ),
  },
  closed,
);

const Diagnostic = Type.Object(
  {
    pattern: regex('What an error looks like'),
    file: group('The group that is the file'),
    line: group('The group that is the line'),
    column: optional(group('The group that is the column')),
    severity: optional(group('The group that is `error`, `warning`, …')),
    message: optional(group('The group that is the message')),
  },
  closed,
);

const RuntimeFile = Type.Object(
  {
    id: text(
      '^[a-z][a-z0-9-]{0,39}$',
      'small letters, digits and -, a letter first',
      'How programs call it, and its folder',
    ),
    name: Type.String({ minLength: 1, maxLength: 60, description: 'How people call it' }),
    version: Type.String({ minLength: 1, maxLength: 40, description: 'Of the language, for people' }),
    aliases: optional(
      Type.Array(text('^[a-z0-9][a-z0-9+#._-]{0,39}$', 'small letters, digits and +#._-'), {
        description: 'Other names that `--runtime` takes',
      }),
    ),
    languageIds: optional(words('What editors call the language')),
    extensions: Type.Array(text('^\\.[A-Za-z0-9_.+-]+$', 'an ending with its dot, such as .rb'), {
      minItems: 1,
      description: 'Endings of files that choose it',
    }),
    entry: text(RELATIVE, 'a path below the workspace', 'The file to run when none is named'),
    env: optional(env('Environment of the program, below what the run gives; what the image sets is not seen')),
    options: optional(
      Type.Record(Type.String({ pattern: '^[a-z][A-Za-z0-9-]{0,39}$' }), Option, {
        ...closed,
        description:
          'What a run may choose: `{"std": {"description": "…", "values": ["17", "20"], "default": "20"}}`. `${option.std}` in `argv`, also inside an item, becomes one of the values',
      }),
    ),
    compile: optional(
      Type.Union([Compilation, Type.Null()], { description: 'A stage before the run, below; `null` for none' }),
    ),
    run: Type.Object(
      {
        argv: argv('The program'),
        warm: optional(
          Type.Boolean({ description: '`false`: the interpreter that waits only compiles; `true` by itself' }),
        ),
      },
      {
        ...closed,
        description:
          '`{"argv": [...]}`; `${entry}` and `${args}` stand for whole items, and no shell sees them. With `"warm": false` the interpreter that waits only compiles',
      },
    ),
    warm: optional(
      Type.Union(
        [
          Type.Object(
            {
              argv: argv('The interpreter'),
              coldEnv: optional(Type.Array(ColdEnv)),
              forks: optional(
                Type.Boolean({ description: '`true`: it can [fork](protocol.md#parent-of-interpreters) for each run' }),
              ),
            },
            closed,
          ),
          Type.Null(),
        ],
        {
          description:
            '`argv` of the interpreter that waits ([how](protocol.md#warm-interpreter)); `coldEnv`: variables (a `*` at the end stands for anything) that an interpreter reads while it starts, so a run that sets one starts cold; `forks`: `true` where it can also [fork](protocol.md#parent-of-interpreters) one for each run; `null` for none',
        },
      ),
    ),
    install: optional(
      Type.Union([Installation, Type.Null()], {
        description: 'A stage in a container of its own that brings packages, below; `null` for none',
      }),
    ),
    services: optional(
      Type.Array(text('^[a-z][a-z0-9-]{0,39}$', 'a service’s name'), {
        description: 'What runs beside every program, such as `["mariadb"]`; a run may ask for it by itself, too',
      }),
    ),
    results: optional(
      text(
        OWN_FOLDER,
        OWN_PATH,
        'A file below `.coderunner/` that the program’s runner writes [tables](protocol.md#results) into',
      ),
    ),
    outOfMemory: optional(
      Type.Object(
        {
          signal: optional(text('^SIG[A-Z]+$', 'a signal’s name, such as SIGABRT')),
          exitCode: optional(Type.Integer({ minimum: 1, maximum: 255 })),
          stderr: Type.String({ minLength: 1 }),
        },
        {
          ...closed,
          description:
            'The `signal` or the `exitCode`, and the text on `stderr`, by which the interpreter itself gives up for lack of memory',
        },
      ),
    ),
    diagnostics: optional(
      Type.Array(Diagnostic, {
        description:
          'Patterns that find errors in its output, and which of their groups are `file`, `line`, `column`, `severity` (`error`, `warning`, …) and `message`',
      }),
    ),
    editor: optional(Editor),
    limits: optional(
      Type.Object(
        {
          ...StageLimitsFile,
          memory: optional(amount('Memory')),
          pids: optional(Type.Integer({ minimum: 8, maximum: 4096, description: 'Processes and threads' })),
        },
        {
          ...closed,
          description: 'The usual ones: `memory`, `output` and `file` as sizes, `wall` and `cpu` as times, `pids`',
        },
      ),
    ),
  },
  closed,
);
export type RuntimeFile = Static<typeof RuntimeFile>;
const validator = Compile(RuntimeFile);

/** Names that images of ours have already. */
const RESERVED_IDS = ['agent', 'base', 'debian', 'proxy', 'services'];

/** A field that is wrong: its value, or only its name. */
interface FieldFlaw {
  path: JsonPath;
  message: string;
  isName?: boolean;
}

/** The fields of `runtime.json` as a table's rows: name, whether it is needed, what it is for. */
export function fieldsOf(object: 'runtime' | 'compile' | 'install' | 'editor'): [string, boolean, string][] {
  const schemas = { runtime: RuntimeFile, compile: Compilation, install: Installation, editor: Editor };
  return rowsOf(schemas[object] as SchemaNode);
}

function rowsOf(schema: SchemaNode, prefix = ''): [string, boolean, string][] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]): [string, boolean, string][] =>
    prefix === '' && name === 'imports'
      ? rowsOf(field, `${name}.`)
      : [[`${prefix}${name}`, schema.required?.includes(name) ?? false, field.description ?? '']],
  );
}

/** What a `runtime.json` says, with its text; or all that is wrong with it, in the order of the file. @param file its name */
export function readRuntimeFile(file: string, source: string): { value: RuntimeFile; text: JsonText } | Flaw[] {
  const text = JsonText.parse(file, source.replace(/^\uFEFF/, ''));
  if (Array.isArray(text)) return text;
  const { value } = text;
  const found = validator.Check(value) ? [...meaningFlaws(value)] : formFlaws(value);
  if (found.length === 0) return { value: value as RuntimeFile, text };
  return found
    .map(({ path, message, isName }) => (isName ? text.nameFlaw(path, message) : text.flaw(path, message)))
    .sort((a, b) => (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0));
}

type ValidationError = ReturnType<typeof validator.Errors>[number];

/** What is read of a schema to say what it takes. */
interface SchemaNode {
  properties?: Record<string, SchemaNode>;
  patternProperties?: Record<string, SchemaNode>;
  required?: string[];
  description?: string;
  takes?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
}

/**
 * What has another form than the schema's. Of a field that may be null the validator lists both ways; the one that goes deeper
 * is what was meant.
 */
function formFlaws(value: unknown): FieldFlaw[] {
  const errors = validator.Errors(value).filter(({ keyword }) => keyword !== 'anyOf' && keyword !== 'boolean');
  const telling = errors.filter(
    ({ keyword, instancePath }) =>
      keyword !== 'type' ||
      (!errors.some((other) => other.keyword !== 'type' && other.instancePath === instancePath) &&
        !errors.some((other) => other.instancePath.startsWith(`${instancePath}/`))),
  );
  const wrongTypes = Map.groupBy(
    telling.filter(({ keyword }) => keyword === 'type'),
    ({ instancePath }) => instancePath,
  );
  return [
    ...telling.filter(({ keyword }) => keyword !== 'type').flatMap((error) => flawsOf(error, value)),
    ...[...wrongTypes.values()].map((same) => wrongType(same, value)),
  ];
}

function flawsOf(error: ValidationError, value: unknown): FieldFlaw[] {
  const path = pathOf(error.instancePath);
  const schema = schemaAt(error.schemaPath);
  const present = Object.keys(Object(valueAt(value, path)));
  const known = Object.keys(schema.properties ?? {});
  const missing = known.filter((name) => !present.includes(name));
  switch (error.keyword) {
    case 'additionalProperties':
      return error.params.additionalProperties.map((name) => ({
        path: [...path, name],
        isName: true,
        message: schema.patternProperties
          ? `${fieldName(path)} has "${name}", which is no name that it takes.`
          : sentence(`${fieldName(path)} has "${name}", which nobody knows${didYouMean(name, missing)}`),
      }));
    case 'required':
      return error.params.requiredProperties
        .filter((name) => !present.some((one) => !known.includes(one) && nearest(one, missing) === name))
        .map((name) => ({ path, message: `${fieldName(path)} lacks "${name}".` }));
    default:
      return [{ path, message: refusal(path, valueAt(value, path), takesOf(error, schema)) }];
  }
}

function wrongType(errors: ValidationError[], value: unknown): FieldFlaw {
  const path = pathOf(errors[0]?.instancePath ?? '');
  const types = errors.flatMap((error) => (error.keyword === 'type' ? error.params.type : []));
  const takes = [...new Set(types)].map((type) => TYPES[type] ?? type).join(' or ');
  return { path, message: refusal(path, valueAt(value, path), takes) };
}

const TYPES: Record<string, string> = {
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  null: 'null',
};

function takesOf({ keyword, message }: ValidationError, schema: SchemaNode): string {
  const { takes, minimum, maximum, maxLength } = schema;
  if (takes !== undefined) return takes;
  switch (keyword) {
    case 'minLength':
      return 'text that is not empty';
    case 'maxLength':
      return `at most ${maxLength} characters`;
    case 'minItems':
      return 'at least one item';
    case 'uniqueItems':
      return 'each item once';
    case 'minimum':
    case 'maximum':
      return maximum === undefined
        ? `a whole number from ${minimum} on`
        : `a whole number from ${minimum} to ${maximum}`;
    default:
      return `what ${message}`;
  }
}

function refusal(path: JsonPath, value: unknown, takes: string): string {
  const is = Array.isArray(value)
    ? value.length === 0
      ? 'an empty list'
      : 'a list'
    : typeof value === 'object' && value !== null
      ? 'an object'
      : shortened(JSON.stringify(value));
  return `${fieldName(path)} is ${is}, but takes ${takes}.`;
}

function shortened(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

function sentence(text: string): string {
  return /[.?]$/.test(text) ? text : `${text}.`;
}

function fieldName(path: JsonPath): string {
  return path.join('.') || 'It';
}

function pathOf(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function valueAt(value: unknown, path: JsonPath): unknown {
  return path.reduce((inner: unknown, name) => Object(inner)[name], value);
}

function schemaAt(schemaPath: string): SchemaNode {
  return (valueAt(RuntimeFile, pathOf(schemaPath)) ?? {}) as SchemaNode;
}

/** A variable of a command line: `${entry}`, `${args}`, `${option.NAME}`. */
const VARIABLE = /\$\{([^}]*)\}/g;

/** What only the file as a whole can be wrong about. */
function* meaningFlaws(file: RuntimeFile): Generator<FieldFlaw> {
  if (RESERVED_IDS.includes(file.id))
    yield { path: ['id'], message: `id is "${file.id}", which is an image of CodeRunner’s own.` };
  for (const [name, { values, default: usual }] of Object.entries(file.options ?? {})) {
    if (!values.includes(usual))
      yield {
        path: ['options', name, 'default'],
        message: `options.${name}.default is "${usual}", which is none of its values.`,
      };
  }
  if (file.compile?.warm && !file.warm)
    yield {
      path: ['compile', 'warm'],
      message: 'compile.warm is true, but there is no warm interpreter (warm).',
    };
  const { outOfMemory } = file;
  if (outOfMemory && (outOfMemory.signal === undefined) === (outOfMemory.exitCode === undefined))
    yield { path: ['outOfMemory'], message: 'outOfMemory takes either signal or exitCode.' };
  yield* variableFlaws(file);
  yield* patternFlaws(file);
}

function* variableFlaws(file: RuntimeFile): Generator<FieldFlaw> {
  for (const [stage, argv] of [
    ['run', file.run.argv],
    ['compile', file.compile?.argv ?? []],
    ['install', file.install?.argv ?? []],
  ] as const) {
    const known = stage === 'install' ? ['manifest'] : ['entry', 'args'];
    const options = stage === 'install' ? [] : Object.keys(file.options ?? {});
    for (const [index, item] of argv.entries()) {
      for (const [variable, name = ''] of item.matchAll(VARIABLE)) {
        const option = /^option\.(.*)$/.exec(name)?.[1];
        const path = [stage, 'argv', index];
        if (option !== undefined && options.includes(option)) continue;
        if (option !== undefined) {
          const meant = didYouMean(option, options);
          yield { path, message: sentence(`${stage}.argv has "${item}", but options has no "${option}"${meant}`) };
        } else if (item !== variable || !known.includes(name)) {
          const variables = known.map((one) => `\${${one}}`).join(' and ');
          const meant = item === variable ? didYouMean(name, known) : '';
          const message = `${stage}.argv has "${item}"; variables are ${variables} as whole items, and \${option.NAME}${meant}`;
          yield { path, message: sentence(message) };
        }
      }
    }
  }
}

function* patternFlaws(file: RuntimeFile): Generator<FieldFlaw> {
  const { entryPoint, imports } = file.editor ?? {};
  const patterns: [JsonPath, string | undefined][] = [
    ...(file.diagnostics ?? []).map(({ pattern }, index): [JsonPath, string] => [
      ['diagnostics', index, 'pattern'],
      pattern,
    ]),
    ...(file.install?.detect ?? []).map(({ when }, index): [JsonPath, string | undefined] => [
      ['install', 'detect', index, 'when'],
      when,
    ]),
    ...(file.install?.failures ?? []).map(({ pattern }, index): [JsonPath, string] => [
      ['install', 'failures', index, 'pattern'],
      pattern,
    ]),
    [['editor', 'entryPoint'], entryPoint],
    [['editor', 'imports', 'pattern'], imports?.pattern],
    [['editor', 'imports', 'package'], imports?.package],
  ];
  for (const [path, pattern] of patterns) {
    const groups = groupsOf(pattern ?? '');
    if (groups instanceof Error)
      yield { path, message: `${fieldName(path)} is no regular expression: ${groups.message}.` };
  }
  for (const [index, { pattern, ...groups }] of (file.diagnostics ?? []).entries()) {
    const most = groupsOf(pattern);
    for (const [name, group] of Object.entries(groups)) {
      if (typeof most === 'number' && group > most)
        yield {
          path: ['diagnostics', index, name],
          message: `diagnostics.${index}.${name} is group ${group}, but the pattern has ${most === 1 ? 'one' : most || 'none'}.`,
        };
    }
  }
}

/** How many groups a pattern has; or why it is none. */
function groupsOf(pattern: string): number | Error {
  try {
    new RegExp(pattern);
    // The other way to match is nothing, so that it always does.
    return (new RegExp(`${pattern}|`).exec('')?.length ?? 1) - 1;
  } catch (error) {
    return error as Error;
  }
}
