/**
 * Every setting of the extension, once: its type here, its entry in package.json and docs/settings.md come from this table
 * (`node extension/manifest.ts`).
 */

interface Common {
  /** One or two sentences for people, in Markdown. */
  description: string;
  /**
   * `resource`: may differ by folder. `window`: by workspace. `machine`: only the user may set it, so that a folder that was opened cannot
   * say where code runs or what program is started.
   */
  scope: 'resource' | 'window' | 'machine';
  /** In a folder that is not trusted only the user's own value counts. */
  restricted?: true;
}

interface Choice extends Common {
  type: 'string';
  default: string;
  enum: readonly string[];
  enumDescriptions: readonly string[];
}

interface Plain<Name extends string, T> extends Common {
  type: Name;
  default: T;
  minimum?: number;
  maximum?: number;
}

interface List extends Common {
  type: 'array';
  items: { type: 'string' };
  default: readonly string[];
}

interface Table extends Common {
  type: 'object';
  additionalProperties: { type: 'string' };
  default: Readonly<Record<string, string>>;
}

/** An object for each language, by its id; what may be in it is known from the languages' own files. */
interface PerLanguage extends Common {
  type: 'object';
  /** `options`: one of its values for each of the language's options. `services`: a list of services. */
  perLanguage: 'options' | 'services';
  default: Readonly<Record<string, never>>;
}

export type Setting =
  | Choice
  | Plain<'string', string>
  | Plain<'boolean', boolean>
  | Plain<'integer', number>
  | List
  | Table
  | PerLanguage;

const text = { type: 'string' } as const;

export const SETTINGS = {
  view: {
    type: 'string',
    scope: 'window',
    default: 'console',
    enum: ['console', 'output'],
    enumDescriptions: [
      'The console: a terminal that takes input, with the verdict, time and memory of the run.',
      'The output channel: plain text. The console opens when the program is to be typed to.',
    ],
    description: 'Where a run is shown. Both always have its text; this is the one that is opened.',
  },
  preserveFocus: {
    type: 'boolean',
    scope: 'window',
    default: true,
    description: 'Leave the cursor in the editor when a run begins, instead of moving it to the console.',
  },
  clearBeforeRun: {
    type: 'boolean',
    scope: 'window',
    default: true,
    description: 'Empty the console’s tab when a program is run again. Otherwise a line separates the runs.',
  },
  saveBeforeRun: {
    type: 'string',
    scope: 'resource',
    default: 'none',
    enum: ['none', 'file', 'all'],
    enumDescriptions: [
      'Nothing is saved: unsaved changes run as they stand in the editors.',
      'The file that is run.',
      'Every file with unsaved changes.',
    ],
    description: 'What is saved when a run begins.',
  },
  codeLens: {
    type: 'boolean',
    scope: 'resource',
    default: true,
    description: 'Show *Run in Sandbox* above the place where a program begins.',
  },
  hints: {
    type: 'boolean',
    scope: 'window',
    default: true,
    description:
      'Mark imports that will fail in the sandbox: those that need a network, or packages that it does not have.',
  },
  terminal: {
    type: 'boolean',
    scope: 'resource',
    default: true,
    description:
      'Give programs a terminal: colours, cursor movement, single keys. Without one, output and errors are told apart and the program sees pipes.',
  },
  scrollback: {
    type: 'integer',
    scope: 'window',
    default: 10_000,
    minimum: 100,
    maximum: 100_000,
    description: 'Lines that the console keeps of each run.',
  },
  entry: {
    type: 'string',
    scope: 'resource',
    default: '',
    description:
      'The file that *Run Project in Sandbox* runs, from the folder on; *Set as Entry File* writes it. Empty: the file in the editor.',
  },
  exclude: {
    type: 'array',
    scope: 'resource',
    items: text,
    default: ['**/node_modules', '**/__pycache__', '**/venv', '**/target'],
    description:
      'Globs of files and folders that stay behind when a folder’s files go along with a run, besides hidden ones and those in `.gitignore` and `#files.exclude#`.',
  },
  maxFiles: {
    type: 'integer',
    scope: 'resource',
    restricted: true,
    default: 5_000,
    minimum: 1,
    maximum: 100_000,
    description: 'The most files that go along with a run. A folder with more is refused, naming where they are.',
  },
  maxSizeMiB: {
    type: 'integer',
    scope: 'resource',
    restricted: true,
    default: 64,
    minimum: 1,
    maximum: 4_096,
    description: 'The most that the files of a run weigh together, MiB.',
  },
  collect: {
    type: 'array',
    scope: 'resource',
    items: text,
    default: ['png', 'jpg', 'jpeg', 'gif', 'svg', 'webp', 'pdf', 'html', 'csv', 'json', 'txt'].map(
      (name) => `**/*.${name}`,
    ),
    description: 'Globs of files that a program produces and that come back, to be shown and saved. Empty: none.',
  },
  environment: {
    type: 'object',
    scope: 'resource',
    additionalProperties: text,
    default: {},
    description: 'Environment variables for the program.',
  },
  options: {
    type: 'object',
    scope: 'resource',
    perLanguage: 'options',
    default: {},
    description: 'How programs are compiled and run, by language: such as `{"cpp": {"std": "c++17"}}`.',
  },
  services: {
    type: 'object',
    scope: 'resource',
    restricted: true,
    perLanguage: 'services',
    default: {},
    description:
      'What runs beside programs in their sandbox, by language: such as `{"python": ["mariadb"]}` for a database of its own.',
  },
  wallTimeSeconds: {
    type: 'integer',
    scope: 'resource',
    restricted: true,
    default: 0,
    minimum: 0,
    maximum: 2_592_000,
    description:
      'The longest that a program may run, seconds. 0: an hour where the daemon allows that, because somebody may be typing.',
  },
  orphanSeconds: {
    type: 'integer',
    scope: 'resource',
    restricted: true,
    default: 60,
    minimum: 0,
    maximum: 2_000_000,
    description:
      'How long a program goes on after its window was closed, seconds. A window that is loaded again meanwhile goes on showing it. 0: to its end.',
  },
  memoryMiB: {
    type: 'integer',
    scope: 'resource',
    restricted: true,
    default: 0,
    minimum: 0,
    maximum: 1_048_576,
    description: 'The most memory that a program may use, MiB. 0: what is usual for its language.',
  },
  'daemon.url': {
    type: 'string',
    scope: 'machine',
    default: '',
    description:
      'The daemon that runs programs, such as `https://sandbox.example.com`. Empty: one on this machine, started when it is first needed. *CodeRunner: Choose Daemon…* also asks for the token.',
  },
  'daemon.node': {
    type: 'string',
    scope: 'machine',
    default: '',
    description: 'The Node.js (24 or newer) that the daemon of this machine runs on. Empty: the one inside VS Code.',
  },
} as const satisfies Record<string, Setting>;

type Widened<S> = S extends { enum: readonly (infer E)[] }
  ? E
  : S extends { type: 'string' }
    ? string
    : S extends { type: 'boolean' }
      ? boolean
      : S extends { type: 'integer' }
        ? number
        : S extends { type: 'array' }
          ? readonly string[]
          : S extends { perLanguage: 'options' }
            ? Readonly<Record<string, Readonly<Record<string, string>>>>
            : S extends { perLanguage: 'services' }
              ? Readonly<Record<string, readonly string[]>>
              : Readonly<Record<string, string>>;

export type SettingName = keyof typeof SETTINGS;
export type SettingValue<N extends SettingName> = Widened<(typeof SETTINGS)[N]>;
