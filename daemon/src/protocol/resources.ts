/** What travels over HTTP, as schemas: static types, validation and the OpenAPI document come from here. */
import type { Static } from 'typebox';
import * as Type from 'typebox';
import { END_STATES, LIVE_STATES } from './states.ts';

const closed = { additionalProperties: false } as const;

export const Sha256 = Type.String({
  pattern: '^[0-9a-f]{64}$',
  description: 'SHA-256 of the contents, lower-case hex',
});

/** A file by its contents. `utf8` unless `encoding` says `base64`. */
export const InlineFile = Type.Object(
  {
    path: Type.String({ description: "Relative to the workspace, with '/' between folders" }),
    content: Type.String(),
    encoding: Type.Optional(Type.Enum(['utf8', 'base64'])),
    executable: Type.Optional(Type.Boolean()),
  },
  closed,
);

/** A file by its hash: its contents were uploaded before. */
export const HashedFile = Type.Object(
  { path: Type.String(), sha256: Sha256, executable: Type.Optional(Type.Boolean()) },
  closed,
);

/** Wall and CPU time in milliseconds, sizes in bytes. What is left out comes from the runtime. */
export const LimitsRequest = Type.Object(
  {
    wallMs: Type.Optional(Type.Unknown({ description: 'Wall-clock time of each stage, milliseconds' })),
    cpuMs: Type.Optional(Type.Unknown({ description: 'CPU time of each stage, all processes together, milliseconds' })),
    memoryBytes: Type.Optional(Type.Unknown({ description: 'Memory of the whole sandbox, bytes' })),
    outputBytes: Type.Optional(Type.Unknown({ description: 'stdout and stderr together, bytes' })),
    fileBytes: Type.Optional(Type.Unknown({ description: 'Largest file the program may write, bytes' })),
  },
  { ...closed, description: 'Whole numbers; each is checked against the daemon’s range and refused by name' },
);

export const Limits = Type.Object({
  wallMs: Type.Integer(),
  cpuMs: Type.Integer(),
  memoryBytes: Type.Integer(),
  outputBytes: Type.Integer(),
  fileBytes: Type.Integer(),
  pids: Type.Integer(),
});
export type Limits = Static<typeof Limits>;
/** What one stage may use; memory and processes are the container's. */
export type StageLimits = Pick<Limits, 'wallMs' | 'cpuMs' | 'outputBytes' | 'fileBytes'>;
/** The limits that a run may set for itself. */
export type LimitName = Exclude<keyof Limits, 'pids'>;

export const TtySize = Type.Object(
  { rows: Type.Integer({ minimum: 1, maximum: 1000 }), cols: Type.Integer({ minimum: 1, maximum: 1000 }) },
  closed,
);
export type TtySize = Static<typeof TtySize>;

export const RunRequest = Type.Object(
  {
    runtime: Type.Optional(
      Type.String({ description: 'Id or alias; when left out, the entry’s ending decides', maxLength: 100 }),
    ),
    entry: Type.Optional(
      Type.String({ description: 'The file to run; when left out, the runtime’s usual name, or the only file' }),
    ),
    files: Type.Array(Type.Union([InlineFile, HashedFile])),
    args: Type.Optional(Type.Array(Type.String(), { maxItems: 1000, description: 'Arguments for the program' })),
    env: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), {
        description: 'Environment for the program',
      }),
    ),
    stdin: Type.Optional(
      Type.Union([Type.String(), Type.Null()], {
        description: 'All of the program’s input. Left out: stays open for stdin messages. null: closed from the start',
      }),
    ),
    stdinEncoding: Type.Optional(
      Type.Enum(['utf8', 'base64'], { description: 'How `stdin` is written; utf8 when left out' }),
    ),
    tty: Type.Optional(Type.Union([TtySize, Type.Null()], { description: 'Run in a terminal of this size' })),
    options: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        description: 'What the runtime lets a run choose, such as the language standard; `GET /v1/runtimes` lists it',
      }),
    ),
    services: Type.Optional(
      Type.Array(Type.String({ maxLength: 100 }), {
        maxItems: 10,
        description: 'What is to run beside the program in its sandbox, such as `mariadb`; `GET /v1/runtimes` lists it',
      }),
    ),
    limits: Type.Optional(LimitsRequest),
    priority: Type.Optional(
      Type.Integer({ minimum: -10, maximum: 10, description: 'Higher runs first among the owner’s own' }),
    ),
    collect: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 1000 }), {
        maxItems: 100,
        description: 'Globs of produced files to keep',
      }),
    ),
    orphanMs: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 2 ** 31 - 1,
        description: 'Cancel the run once nobody has followed it for so long, milliseconds. Left out: it goes on',
      }),
    ),
    key: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description:
          'Of your choice, a new one for each run, such as a UUID. The same request sent again with the same key gives the run that is there already',
      }),
    ),
    cold: Type.Optional(Type.Boolean({ description: 'Start the interpreter fresh even where a warmed one waits' })),
    reuse: Type.Optional(
      Type.Enum(['never', 'owner'], {
        description:
          'owner: a container that served another run of yours will do, once it is emptied. Left out: owner in a batch, else never',
      }),
    ),
  },
  closed,
);
export type RunRequest = Static<typeof RunRequest>;
export type RunFile = RunRequest['files'][number];

export const Stage = Type.Object({
  stage: Type.String(),
  exitCode: Type.Union([Type.Integer(), Type.Null()]),
  signal: Type.Union([Type.String(), Type.Null()]),
  wallMs: Type.Number(),
  cpuMs: Type.Number(),
  peakMemoryBytes: Type.Number(),
});
export type Stage = Static<typeof Stage>;

export const ErrorSchema = Type.Object({
  error: Type.Object({
    code: Type.String(),
    message: Type.String(),
    hint: Type.Optional(Type.String()),
    retryAfterSeconds: Type.Optional(Type.Number({ description: 'When to ask again, where that helps' })),
    details: Type.Optional(Type.Unknown()),
  }),
});

export const ProducedFile = Type.Object({ path: Type.String(), sizeBytes: Type.Integer(), sha256: Sha256 });
export type ProducedFile = Static<typeof ProducedFile>;

/** A line of a run's results: what one statement gave. */
export const StatementResult = Type.Object({
  file: Type.String({ description: 'Path below the workspace' }),
  line: Type.Integer({ description: 'Where the statement begins' }),
  statement: Type.String({ description: 'Its beginning' }),
  columns: Type.Array(Type.Object({ name: Type.String(), type: Type.String() })),
  rows: Type.Array(Type.Array(Type.Union([Type.String(), Type.Null()])), {
    description: 'As the server writes them; bytes that are no text as 0x…; NULL is null',
  }),
  rowCount: Type.Optional(Type.Integer({ description: 'How many rows there are, of a statement that gives some' })),
  rowsAffected: Type.Optional(Type.Integer({ description: 'How many rows were changed, of any other statement' })),
  truncated: Type.Boolean({ description: 'Rows, or parts of long values, were left out' }),
  ms: Type.Number(),
  error: Type.Optional(Type.Object({ code: Type.Integer(), state: Type.String(), message: Type.String() })),
});
export type StatementResult = Static<typeof StatementResult>;

export const Run = Type.Object({
  id: Type.String(),
  state: Type.Enum([...LIVE_STATES, ...END_STATES]),
  runtime: Type.String(),
  entry: Type.String(),
  args: Type.Array(Type.String()),
  createdAt: Type.String({ description: 'ISO 8601' }),
  startedAt: Type.Union([Type.String(), Type.Null()]),
  endedAt: Type.Union([Type.String(), Type.Null()]),
  options: Type.Record(Type.String(), Type.String(), { description: 'Every option of the runtime, as it was chosen' }),
  services: Type.Array(Type.String(), { description: 'What was asked for beside the program' }),
  limits: Limits,
  tty: Type.Boolean(),
  exitCode: Type.Union([Type.Integer(), Type.Null()]),
  signal: Type.Union([Type.String(), Type.Null()]),
  message: Type.Union([Type.String(), Type.Null()], { description: 'The verdict in words, for people' }),
  error: Type.Union([ErrorSchema.properties.error, Type.Null()], {
    description: 'What CodeRunner itself could not do',
  }),
  wallMs: Type.Union([Type.Number(), Type.Null()]),
  cpuMs: Type.Union([Type.Number(), Type.Null()]),
  peakMemoryBytes: Type.Union([Type.Number(), Type.Null()]),
  stages: Type.Array(Stage),
  compileCached: Type.Boolean({
    description: 'The same sources had been compiled before, so there is no compile stage',
  }),
  warm: Type.Object({
    container: Type.Boolean({ description: 'The container was waiting' }),
    interpreter: Type.Boolean({ description: 'The interpreter was waiting in it' }),
    reused: Type.Optional(
      Type.Boolean({ description: 'The container had served another run of the same owner, and was emptied' }),
    ),
  }),
  outputBytes: Type.Integer({ description: 'How much the program has printed: the next sequence number' }),
  inputBytes: Type.Integer({
    description: 'How much input clients have sent it, beside what came with the request: the offset of the next byte',
  }),
  files: Type.Array(ProducedFile),
  results: Type.Union([Type.Object({ sizeBytes: Type.Integer(), sha256: Sha256 }), Type.Null()], {
    description: 'Tables that a language such as SQL gives: contents with a `StatementResult` a line',
  }),
});
export type Run = Static<typeof Run>;

/** Inputs of one batch. */
export const MOST_BATCH_INPUTS = 10_000;

export const BatchInput = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 1000, description: 'What its result is called by' }),
    stdin: Type.Optional(Type.String({ description: 'All of the program’s input; none when left out' })),
    expected: Type.Optional(
      Type.String({
        description: 'What the program should print to stdout; white space at the ends of lines is not compared',
      }),
    ),
    encoding: Type.Optional(
      Type.Enum(['utf8', 'base64'], { description: 'How `stdin` and `expected` are written; utf8 when left out' }),
    ),
    args: Type.Optional(
      Type.Array(Type.String(), { maxItems: 1000, description: 'Arguments in the place of the program’s' }),
    ),
    env: Type.Optional(
      Type.Record(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' }), Type.String(), {
        description:
          'Environment beside the program’s; a compiler sees it too, so such an input is compiled for itself',
      }),
    ),
  },
  closed,
);
export type BatchInput = Static<typeof BatchInput>;

const {
  stdin: _stdin,
  stdinEncoding: _encoding,
  tty: _tty,
  orphanMs: _orphanMs,
  key: _key,
  ...program
} = RunRequest.properties;

/** One program, and what it is run with, again and again. */
export const BatchRequest = Type.Object(
  {
    ...program,
    inputs: Type.Array(BatchInput, { minItems: 1, maxItems: MOST_BATCH_INPUTS }),
    key: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 200,
        description:
          'Of your choice, a new one for each batch, such as a UUID. The same request sent again with the same key goes on with the batch: inputs whose runs have ended are not run again',
      }),
    ),
    from: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: MOST_BATCH_INPUTS - 1,
        description: 'Index of the first input whose result is wanted; 0 when left out',
      }),
    ),
    stopAtFirstFailure: Type.Optional(
      Type.Boolean({ description: 'Run none of the inputs behind the first that did not pass' }),
    ),
  },
  closed,
);
export type BatchRequest = Static<typeof BatchRequest>;

export const Difference = Type.Object({
  line: Type.Integer({ description: 'The first line that differs, from 1 on' }),
  expected: Type.Union([Type.String(), Type.Null()], {
    description: 'Its beginning; null where nothing was to follow',
  }),
  printed: Type.Union([Type.String(), Type.Null()], { description: 'Its beginning; null where nothing follows' }),
});
export type Difference = Static<typeof Difference>;

export const BatchResult = Type.Object({
  type: Type.Literal('result'),
  index: Type.Integer({ description: 'Which of the inputs, from 0 on' }),
  name: Type.String(),
  passed: Type.Boolean({ description: 'It succeeded, and printed what was expected where that was given' }),
  difference: Type.Union([Difference, Type.Null()], { description: 'Where it succeeded and printed something else' }),
  run: Run,
  stdout: Type.String({ description: 'What the program printed; where it did not begin, what its compiler did' }),
  stderr: Type.String(),
  encoding: Type.Enum(['utf8', 'base64'], { description: 'How `stdout` and `stderr` are written' }),
});
export type BatchResult = Static<typeof BatchResult>;

export const BatchEnd = Type.Object({
  type: Type.Literal('end'),
  total: Type.Integer(),
  passed: Type.Integer(),
  failed: Type.Integer(),
  skipped: Type.Integer({ description: 'Inputs without a result' }),
  error: Type.Union([ErrorSchema.properties.error, Type.Null()], { description: 'Why it could not go on' }),
});
export type BatchEnd = Static<typeof BatchEnd>;
export type BatchLine = BatchResult | BatchEnd;

export const RunList = Type.Object({ runs: Type.Array(Run), next: Type.Union([Type.String(), Type.Null()]) });
export type RunList = Static<typeof RunList>;

export const OutputChunk = Type.Object({
  seq: Type.Integer(),
  channel: Type.Enum(['stdout', 'stderr']),
  data: Type.String(),
  encoding: Type.Enum(['utf8', 'base64']),
});
export type OutputChunk = Static<typeof OutputChunk>;

export const OutputPage = Type.Object({
  chunks: Type.Array(OutputChunk),
  gap: Type.Union([Type.Object({ from: Type.Integer(), to: Type.Integer() }), Type.Null()]),
  next: Type.Integer({ description: 'Ask from here next' }),
  state: Run.properties.state,
  done: Type.Boolean({ description: 'The run has ended and nothing comes after `next`' }),
});
export type OutputPage = Static<typeof OutputPage>;

/** Something that a run may choose. */
export const RuntimeOption = Type.Object({
  description: Type.String(),
  values: Type.Array(Type.String()),
  default: Type.String(),
});
export type RuntimeOption = Static<typeof RuntimeOption>;

export const RuntimeInfo = Type.Object({
  id: Type.String(),
  name: Type.String(),
  version: Type.String(),
  aliases: Type.Array(Type.String()),
  languageIds: Type.Array(Type.String()),
  extensions: Type.Array(Type.String()),
  entry: Type.String(),
  options: Type.Record(Type.String(), RuntimeOption, { description: 'What a run may choose, by name' }),
  services: Type.Array(Type.String(), { description: 'What a run may ask for beside its program' }),
  limits: Limits,
  warm: Type.Boolean({ description: 'Has an interpreter that waits' }),
  origin: Type.Enum(['bundled', 'own', 'replacement'], {
    description: 'Came with CodeRunner, is a user’s own, or is a user’s own in the place of one that came with it',
  }),
  state: Type.Enum(['ready', 'not_built', 'broken']),
  problem: Type.Union([Type.String(), Type.Null()]),
});
export type RuntimeInfo = Static<typeof RuntimeInfo>;
export const RuntimeList = Type.Object({ runtimes: Type.Array(RuntimeInfo) });
export type RuntimeList = Static<typeof RuntimeList>;

export const PackageLayer = Type.Object({
  id: Type.String(),
  runtime: Type.String(),
  manifest: Type.String({ description: 'The file that names them, such as package.json' }),
  sizeBytes: Type.Integer(),
  createdAt: Type.String({ description: 'ISO 8601' }),
  usedAt: Type.String({ description: 'ISO 8601' }),
});
export type PackageLayer = Static<typeof PackageLayer>;
export const PackageList = Type.Object({ packages: Type.Array(PackageLayer) });
export type PackageList = Static<typeof PackageList>;
export const PackagesPruned = Type.Object({ removed: Type.Integer(), sizeBytes: Type.Integer() });
export type PackagesPruned = Static<typeof PackagesPruned>;

export const PoolStatus = Type.Object({
  engine: Type.Object({
    state: Type.Enum(['up', 'down']),
    name: Type.String(),
    problem: Type.Union([Type.String(), Type.Null()]),
  }),
  runtimes: Type.Array(
    Type.Object({
      runtime: Type.String(),
      least: Type.Integer({ description: 'As many should wait whatever comes' }),
      wanted: Type.Integer({ description: 'As many would wait by what came lately, if there were the memory' }),
      target: Type.Integer({ description: 'How many should wait' }),
      idle: Type.Integer(),
      creating: Type.Integer(),
      leased: Type.Integer(),
      hits: Type.Integer({ description: 'Leases served by a waiting container' }),
      misses: Type.Integer({ description: 'Leases that had to wait for a new one' }),
      creationMs: Type.Union([Type.Integer(), Type.Null()], { description: 'What creating one takes lately' }),
      problem: Type.Union([Type.String(), Type.Null()]),
    }),
  ),
  withPackages: Type.Integer({ description: 'Containers that wait with a project’s packages in them' }),
  used: Type.Integer({ description: 'Containers that served a run and wait for the next one of its owner' }),
});
export type PoolStatus = Static<typeof PoolStatus>;

export const DaemonStatus = Type.Object({
  version: Type.String(),
  protocol: Type.Integer(),
  pid: Type.Integer(),
  startedAt: Type.String(),
  url: Type.String(),
  memoryBytes: Type.Integer(),
  clients: Type.Integer(),
  runs: Type.Object({ queued: Type.Integer(), running: Type.Integer() }),
  pool: PoolStatus,
});
export type DaemonStatus = Static<typeof DaemonStatus>;

export const BlobsQuery = Type.Object({ sha256: Type.Array(Sha256, { maxItems: 100_000 }) }, closed);
export const BlobsMissing = Type.Object({ missing: Type.Array(Sha256) });

export const Readiness = Type.Object({ ready: Type.Boolean(), problems: Type.Array(Type.String()) });
