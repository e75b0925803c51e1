/** A language as the server needs it. What `runtime.json` says has this form, so that adding a language changes nothing here. */
import { CodeRunnerError } from '../protocol/errors.ts';

export interface LanguageData {
  readonly id: string;
  readonly name: string;
  readonly languageIds: readonly string[];
  readonly extensions: readonly string[];
  readonly manifests: readonly string[];
  readonly diagnostics: readonly {
    readonly pattern: string;
    readonly file: number;
    readonly line: number;
    readonly column?: number;
    readonly severity?: number;
    readonly message?: number;
  }[];
  readonly editor: {
    readonly entryPoint?: string;
    readonly needsEntryPoint?: boolean;
    readonly imports?: {
      readonly pattern: string;
      readonly package: string;
      readonly builtin: readonly string[];
      readonly network: readonly string[];
      readonly packages?: Readonly<Record<string, string>>;
    };
  };
}

/** Where an error message names a place: the numbers of the pattern's groups. */
export interface PlacePattern {
  readonly pattern: RegExp;
  readonly file: number;
  readonly line: number;
  readonly column: number | undefined;
  /** A word such as `error` or `warning`. A pattern that has it is a compiler's. */
  readonly severity: number | undefined;
  readonly message: number | undefined;
}

export interface ImportRules {
  /** Finds, in a line, the names of modules as its group `modules`, with commas between. */
  readonly pattern: RegExp;
  /** The package of a module's name; names that it does not match are none, such as relative paths. */
  readonly package: RegExp;
  readonly builtin: ReadonlySet<string>;
  /** Modules that are of no use without a network. */
  readonly network: ReadonlySet<string>;
  /** What a package is called where it is installed from, if not as it is imported. */
  readonly packages: ReadonlyMap<string, string>;
}

export interface Language {
  readonly name: string;
  readonly extensions: readonly string[];
  /** Files that name the packages to install; none where nothing is installed. */
  readonly manifests: readonly string[];
  readonly places: readonly PlacePattern[];
  readonly entryPoint: RegExp | undefined;
  /** Whether a program without an entry point does nothing; otherwise it begins with its first statement. */
  readonly needsEntryPoint: boolean;
  readonly imports: ImportRules | undefined;
}

/** @throws CodeRunnerError bad_runtime where a pattern is none */
export function languageOf(data: LanguageData): Language {
  const { entryPoint, needsEntryPoint = false, imports } = data.editor;
  const compile = (pattern: string, flags: string) => {
    try {
      return new RegExp(pattern, flags);
    } catch (error) {
      throw new CodeRunnerError('bad_runtime', `${data.id}: ${(error as Error).message}.`, { cause: error });
    }
  };
  return {
    name: data.name,
    extensions: data.extensions,
    manifests: data.manifests,
    places: data.diagnostics.map(({ pattern, file, line, column, severity, message }) => ({
      pattern: compile(pattern, 'g'),
      file,
      line,
      column,
      severity,
      message,
    })),
    entryPoint: entryPoint === undefined ? undefined : compile(entryPoint, ''),
    needsEntryPoint,
    imports: imports && {
      pattern: compile(imports.pattern, 'd'),
      package: compile(imports.package, ''),
      builtin: new Set(imports.builtin),
      network: new Set(imports.network),
      packages: new Map(Object.entries(imports.packages ?? {})),
    },
  };
}

/** A language of which only its name is known. */
export function unknownLanguage(languageId: string): Language {
  return languageOf({
    id: languageId,
    name: languageId,
    languageIds: [],
    extensions: [],
    manifests: [],
    diagnostics: [],
    editor: {},
  });
}

/** The languages, by what editors call them and by the endings of files. */
export class Languages {
  readonly #byId = new Map<string, Language>();
  readonly #byExtension: [string, Language][] = [];

  /** @throws CodeRunnerError bad_runtime */
  constructor(data: readonly LanguageData[]) {
    for (const one of data) {
      const language = languageOf(one);
      for (const id of one.languageIds) this.#byId.set(id, language);
      for (const extension of one.extensions) this.#byExtension.push([extension.toLowerCase(), language]);
    }
    this.#byExtension.sort(([a], [b]) => b.length - a.length);
  }

  /** Languages that others can run, where only their names are known here. */
  add(languageIds: readonly string[]): void {
    for (const id of languageIds) if (!this.#byId.has(id)) this.#byId.set(id, unknownLanguage(id));
  }

  /** @param path of the document, whose ending counts as it does for a run */
  of(path: string, languageId: string): Language | undefined {
    const lower = path.toLowerCase();
    const byExtension = this.#byExtension.find(([extension]) => lower.endsWith(extension))?.[1];
    return byExtension ?? this.#byId.get(languageId);
  }
}
