/** `runtime.json`: its form, and what is wrong with one, in a sentence that names the field. */
import type { Static } from 'typebox';
import * as Type from 'typebox';
import { Compile } from 'typebox/compile';

const closed = { additionalProperties: false } as const;
const Argv = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 });
/** A variable that the waiting interpreter cannot take any more: a name, or its beginning and a star. */
const ColdEnv = Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*\\*?$' });
const Env = Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), closed);
/** Below the folder that is ours in every workspace, so that a program's own files are never mixed with them. */
const OWN_FOLDER = '^\\.coderunner/(?!.*\\.\\.)';
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

/** What a run may choose. The values are all there are, so nothing that a user types reaches a command line. */
const Option = Type.Object(
  {
    description: Type.String({ minLength: 1, maxLength: 200 }),
    values: Type.Array(Type.String({ minLength: 1, maxLength: 100 }), { minItems: 1, uniqueItems: true }),
    default: Type.String(),
  },
  closed,
);

/** As people write them; of one stage. */
const StageLimitsFile = {
  wall: Type.Optional(Type.String()),
  cpu: Type.Optional(Type.String()),
  output: Type.Optional(Type.String()),
  file: Type.Optional(Type.String()),
};
const StageSizes = {
  limits: Type.Optional(Type.Object(StageLimitsFile, closed)),
  memory: Type.Optional(Type.String()),
};

const Compilation = Type.Object(
  {
    argv: Argv,
    warm: Type.Optional(Type.Boolean()),
    outputs: Type.Optional(Type.Array(Type.String({ pattern: OWN_FOLDER }), { minItems: 1 })),
    ...StageSizes,
  },
  closed,
);

/** A file that asks for packages; only where its text is like `when`, and together with the files beside it that `with` names. */
const ManifestRule = Type.Object(
  {
    file: Type.String({ pattern: '^[A-Za-z0-9._-]+$' }),
    when: Type.Optional(Type.String({ minLength: 1 })),
    with: Type.Optional(Type.Array(Type.String({ pattern: '^(\\*\\*/)?[A-Za-z0-9._*-]+$' }))),
  },
  closed,
);

const Installation = Type.Object(
  {
    tool: Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }),
    detect: Type.Array(ManifestRule, { minItems: 1 }),
    registries: Argv,
    argv: Argv,
    output: Type.String({ pattern: '^[A-Za-z0-9._-]+$' }),
    target: Type.String({ pattern: '^(/[A-Za-z0-9._-]+)+$' }),
    env: Type.Optional(Env),
    failures: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pattern: Type.String({ minLength: 1 }),
            message: Type.String({ minLength: 1 }),
            hint: Type.Optional(Type.String({ minLength: 1 })),
          },
          closed,
        ),
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
    env: Type.Optional(Env),
    options: Type.Optional(Type.Record(Type.String({ pattern: '^[a-z][A-Za-z0-9-]{0,39}$' }), Option, closed)),
    compile: Type.Optional(Type.Union([Compilation, Type.Null()])),
    run: Type.Object({ argv: Argv }, closed),
    warm: Type.Optional(
      Type.Union([Type.Object({ argv: Argv, coldEnv: Type.Optional(Type.Array(ColdEnv)) }, closed), Type.Null()]),
    ),
    install: Type.Optional(Type.Union([Installation, Type.Null()])),
    services: Type.Optional(Type.Array(Type.String({ pattern: '^[a-z][a-z0-9-]{0,39}$' }))),
    results: Type.Optional(Type.String({ pattern: OWN_FOLDER })),
    outOfMemory: Type.Optional(
      Type.Union([
        Type.Object({ signal: Type.String({ pattern: '^SIG[A-Z]+$' }), stderr: Type.String({ minLength: 1 }) }, closed),
        Type.Object(
          { exitCode: Type.Integer({ minimum: 1, maximum: 255 }), stderr: Type.String({ minLength: 1 }) },
          closed,
        ),
      ]),
    ),
    diagnostics: Type.Optional(
      Type.Array(
        Type.Object(
          {
            pattern: Type.String({ minLength: 1 }),
            file: Type.Integer({ minimum: 1 }),
            line: Type.Integer({ minimum: 1 }),
            column: Type.Optional(Type.Integer({ minimum: 1 })),
            severity: Type.Optional(Type.Integer({ minimum: 1 })),
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
          ...StageLimitsFile,
          memory: Type.Optional(Type.String()),
          pids: Type.Optional(Type.Integer({ minimum: 8, maximum: 4096 })),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type RuntimeFile = Static<typeof RuntimeFile>;
const validator = Compile(RuntimeFile);

/** What a `runtime.json` says, or the sentence that says what is wrong with it. */
export function readRuntimeFile(source: string): RuntimeFile | string {
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    return `it is not JSON: ${(error as Error).message}.`;
  }
  if (!validator.Check(value)) return `${describe(validator.Errors(value))}.`;
  return checkMeaning(value) ?? value;
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

/** A variable of a command line: `${entry}`, `${args}`, `${option.NAME}`. */
const VARIABLE = /\$\{([^}]*)\}/g;

/** What only the file as a whole can be wrong about. */
function checkMeaning(file: RuntimeFile): string | undefined {
  for (const [name, { values, default: usual }] of Object.entries(file.options ?? {})) {
    if (!values.includes(usual)) return `options.${name}.default is "${usual}", which is none of its values.`;
  }
  if (file.compile?.warm && !file.warm) return 'compile.warm is true, but there is no warm interpreter (warm).';
  return checkVariables(file) ?? checkPatterns(file);
}

function checkVariables(file: RuntimeFile): string | undefined {
  for (const [field, argv] of [
    ['run.argv', file.run.argv],
    ['compile.argv', file.compile?.argv ?? []],
    ['install.argv', file.install?.argv ?? []],
  ] as const) {
    const known = field === 'install.argv' ? ['manifest'] : ['entry', 'args'];
    for (const item of argv) {
      for (const [variable, name = ''] of item.matchAll(VARIABLE)) {
        const option = /^option\.(.*)$/.exec(name)?.[1];
        if (option !== undefined && Object.hasOwn(file.options ?? {}, option)) continue;
        if (option !== undefined) return `${field} has "${item}", but options has no "${option}".`;
        if (item !== variable || !known.includes(name)) {
          const variables = known.map((one) => `\${${one}}`).join(' and ');
          return `${field} has "${item}"; variables are ${variables} as whole items, and \${option.NAME}.`;
        }
      }
    }
  }
  return undefined;
}

function checkPatterns(file: RuntimeFile): string | undefined {
  const { entryPoint, imports } = file.editor ?? {};
  const patterns = [
    ...(file.diagnostics ?? []).map(({ pattern }, index) => [`diagnostics.${index}.pattern`, pattern]),
    ...(file.install?.detect ?? []).map(({ when }, index) => [`install.detect.${index}.when`, when]),
    ...(file.install?.failures ?? []).map(({ pattern }, index) => [`install.failures.${index}.pattern`, pattern]),
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
