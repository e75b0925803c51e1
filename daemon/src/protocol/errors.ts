/**
 * Every error that CodeRunner answers with: its code, its HTTP status and what the person can do about it.
 * `docs/errors.md` is generated from this table.
 */

export const ERRORS = {
  // The request
  bad_request: { status: 400, hint: 'Compare the request with the API description at /docs.' },
  bad_limit: {
    status: 400,
    hint: 'Give a whole number within the range that the message names, or leave the limit out.',
  },
  bad_path: {
    status: 400,
    hint: "Use paths relative to the workspace, with '/' between folders and without '..' or control characters.",
  },
  duplicate_path: { status: 400, hint: 'Send each file once; names that differ only in case count as the same.' },
  unknown_runtime: { status: 400, hint: 'List what there is with `coderunner runtimes`.' },
  entry_missing: { status: 400, hint: 'Name an entry file that is among the files of the run.' },
  blobs_missing: {
    status: 409,
    hint: 'Upload the contents named in `details` with PUT /v1/blobs/:sha256 and send the run again.',
  },
  hash_mismatch: { status: 400, hint: 'Send the bytes whose SHA-256 is in the address.' },
  too_many_files: {
    status: 413,
    hint: 'Leave out what the program does not need (`coderunner.exclude`, .gitignore), or raise CODERUNNER_MAX_FILES.',
  },
  too_large: {
    status: 413,
    hint: 'Leave out what the program does not need, or raise the limit that the message names.',
  },
  not_found: { status: 404, hint: 'It may have been removed after its time; list what there is.' },
  key_reused: { status: 409, hint: 'Choose a new key for each run; repeat one only with the same request.' },
  run_ended: { status: 409, hint: 'The run is over: start it again.' },
  stdin_closed: { status: 409, hint: "The program's input was already closed." },
  stdin_gap: { status: 409, hint: 'Send the input again from the offset in `details` on.' },
  stdin_overflow: {
    status: 429,
    retryAfterSeconds: 1,
    hint: 'Wait until the program has read what was sent (stdin.credit).',
  },
  // Who asks
  unauthorized: { status: 401, hint: 'Send `Authorization: Bearer TOKEN` with the token from the discovery file.' },
  forbidden_host: {
    status: 403,
    hint: 'Talk to the daemon by the address it listens on, or add the name to CODERUNNER_ALLOWED_HOSTS.',
  },
  forbidden_origin: {
    status: 403,
    hint: 'Web pages may not run code here. Add the origin to CODERUNNER_ALLOWED_ORIGINS if you own it.',
  },
  // Load
  queue_full: {
    status: 429,
    retryAfterSeconds: 1,
    hint: 'Wait for runs to end, or raise the limit that the message names.',
  },
  too_many_connections: {
    status: 429,
    retryAfterSeconds: 1,
    hint: 'Close connections that are not needed, or raise CODERUNNER_MAX_CONNECTIONS.',
  },
  shutting_down: {
    status: 503,
    retryAfterSeconds: 5,
    hint: 'The daemon is stopping; start the run again in a moment.',
  },
  // Engine, images, the machine
  engine_unavailable: {
    status: 503,
    retryAfterSeconds: 5,
    hint: 'Start Docker or Podman, then try again. `coderunner doctor` tells what is wrong.',
  },
  engine_failing: {
    status: 503,
    retryAfterSeconds: 5,
    hint: 'It is tried again by itself. `coderunner doctor` and the log of the engine say what is wrong with it.',
  },
  engine_error: { status: 502, hint: 'See `coderunner doctor` and the daemon log.' },
  runtime_not_built: { status: 503, hint: 'Build it with `coderunner runtimes build`.' },
  base_image_unavailable: {
    status: 503,
    hint: 'Connect to a registry, or install mmdebstrap (Debian, as root) so that the base can be built from packages.',
  },
  build_failed: {
    status: 500,
    hint: "`details` has the build's last lines, which `coderunner runtimes build` prints; building again goes on from there.",
  },
  bad_runtime: { status: 500, hint: "Correct the runtime's runtime.json." },
  disk_full: { status: 507, hint: 'Free some disk space where CODERUNNER_DATA_DIR is, then try again.' },
  workspace_full: {
    status: 413,
    hint: 'The files do not fit into the sandbox; leave some out or raise CODERUNNER_WORKSPACE_BYTES.',
  },
  // Packages
  install_failed: { status: 422, hint: 'What the package manager printed says why.' },
  registry_unreachable: {
    status: 502,
    hint: 'Name another registry in CODERUNNER_REGISTRIES, or the proxy that leads to it in CODERUNNER_REGISTRY_PROXY.',
  },
  packages_in_use: { status: 409, hint: 'Wait until the run that uses them has ended.' },
  // The daemon and its command line
  already_running: {
    status: 409,
    hint: 'Use the daemon that is there (`coderunner status`), or stop it first (`coderunner stop`).',
  },
  not_running: { status: 503, hint: 'Start it with `coderunner start`.' },
  port_taken: { status: 500, hint: 'Choose another with CODERUNNER_PORT, or 0 for any free one.' },
  bad_setting: { status: 500, hint: 'See docs/configuration.md.' },
  bad_usage: { status: 400, hint: 'See `coderunner --help`.' },
  version_mismatch: { status: 409, hint: 'Update the older side, or stop the daemon so that a new one starts.' },
  protocol_error: { status: 400, hint: 'Client and daemon do not understand each other; update both.' },
  internal: { status: 500, hint: 'This is a defect of CodeRunner; the daemon log has the details.' },
} as const satisfies Record<string, ErrorKind>;

interface ErrorKind {
  status: number;
  hint: string;
  /** The same request may well be taken when that long has passed. */
  retryAfterSeconds?: number;
}

export type ErrorCode = keyof typeof ERRORS;

/** What every failed request, message and command answers with. */
export interface ErrorBody {
  code: ErrorCode;
  message: string;
  hint?: string;
  /** What HTTP says as `Retry-After`, where asking again helps. */
  retryAfterSeconds?: number;
  details?: unknown;
}

/** The one error class: made where the cause is known, shown where the person is. */
export class CodeRunnerError extends Error {
  override readonly name = 'CodeRunnerError';
  readonly code: ErrorCode;
  readonly hint: string;
  readonly details: unknown;

  /**
   * @param message one sentence that says what happened, naming the offender and the limit
   * @param options.hint replaces the table's way out; `details` is data for programs; `cause` as usual
   */
  constructor(code: ErrorCode, message: string, options: { hint?: string; details?: unknown; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? ERRORS[code].hint;
    this.details = options.details;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  /** When to ask again; undefined where that alone changes nothing. */
  get retryAfterSeconds(): number | undefined {
    const kind: ErrorKind = ERRORS[this.code];
    return kind.retryAfterSeconds;
  }

  toJSON(): ErrorBody {
    const body: ErrorBody = { code: this.code, message: this.message, hint: this.hint };
    if (this.retryAfterSeconds !== undefined) body.retryAfterSeconds = this.retryAfterSeconds;
    if (this.details !== undefined) body.details = this.details;
    return body;
  }

  /** The same error on the other side of the wire; an unknown code (a newer daemon) becomes `internal`. */
  static from(body: Partial<ErrorBody>): CodeRunnerError {
    const code = body.code !== undefined && body.code in ERRORS ? body.code : 'internal';
    return new CodeRunnerError(code, body.message ?? 'Something failed without saying what.', {
      ...(body.hint === undefined ? {} : { hint: body.hint }),
      details: body.details,
    });
  }
}
