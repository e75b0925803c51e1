/**
 * The HTTP side of the protocol, one method an endpoint. Every failure is a CodeRunnerError: the daemon's own, or
 * `not_running`.
 */
import { CodeRunnerError, type ErrorBody } from '../protocol/errors.ts';
import type {
  BatchLine,
  BatchRequest,
  DaemonStatus,
  OutputPage,
  PackageList,
  PackagesPruned,
  PoolStatus,
  Run,
  RunList,
  RunRequest,
  RuntimeList,
} from '../protocol/resources.ts';
import type { RunState } from '../protocol/states.ts';
import type { DaemonAddress } from './address.ts';

/** Where the daemon is now; `forget` makes it be looked for again. */
export interface Locator {
  locate(): Promise<DaemonAddress>;
  forget(): void;
}

interface CallOptions {
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as they are. */
  bytes?: Uint8Array;
  query?: Record<string, string | number | undefined>;
  signal?: AbortSignal | undefined;
  /** Besides 2xx. */
  accept?: number;
}

export class DaemonApi {
  readonly #locator: Locator;

  constructor(locator: Locator) {
    this.#locator = locator;
  }

  async status(): Promise<DaemonStatus> {
    return this.#json('GET', '/v1/status');
  }

  async pool(): Promise<PoolStatus> {
    return this.#json('GET', '/v1/pool');
  }

  /** Whether the daemon could run something now, and what keeps it from doing so. */
  async readiness(): Promise<{ ready: boolean; problems: string[] }> {
    return this.#json('GET', '/readyz', { accept: 503 });
  }

  /** Has the daemon read the folders of languages again. */
  async reloadRuntimes(): Promise<RuntimeList> {
    return this.#json('POST', '/v1/runtimes/reload');
  }

  async runtimes(): Promise<RuntimeList> {
    return this.#json('GET', '/v1/runtimes');
  }

  /** Newest first. */
  async runs(query: { limit?: number; before?: string; states?: readonly RunState[] } = {}): Promise<RunList> {
    const { limit, before, states } = query;
    return this.#json('GET', '/v1/runs', { query: { limit, before, state: states?.join(',') } });
  }

  async run(id: string): Promise<Run> {
    return this.#json('GET', `/v1/runs/${encodeURIComponent(id)}`);
  }

  /** Starts a run whose contents are inline or known to the daemon; with a key, once, however often. `Client.start` also uploads and follows. */
  async submit(request: RunRequest): Promise<Run> {
    return this.#json('POST', '/v1/runs', { json: request });
  }

  /**
   * Runs a program with many inputs, whose contents are inline or known to the daemon; gives the results in their order, then the end.
   * `Client.batch` also uploads. Whoever stops reading, or aborts the signal, ends the batch.
   */
  async *batch(request: BatchRequest, signal?: AbortSignal): AsyncGenerator<BatchLine> {
    const response = await this.#call('POST', '/v1/runs:batch', { json: request, signal });
    let done = false;
    try {
      for await (const line of linesOf(response.body as ReadableStream<Uint8Array>)) {
        const value = JSON.parse(line) as BatchLine;
        done = value.type === 'end';
        yield value;
      }
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      throw this.#unreachable(response.url, error);
    }
    if (!done) throw this.#unreachable(response.url, new Error('its answer ended in the middle'));
  }

  /** Ends a run; one that has ended stays as it is. */
  async cancel(id: string): Promise<Run> {
    return this.#json('DELETE', `/v1/runs/${encodeURIComponent(id)}`);
  }

  /** @throws CodeRunnerError run_ended, also while the program has not started; bad_request for an unknown name */
  async signal(id: string, signal: string): Promise<void> {
    await this.#call('POST', `/v1/runs/${encodeURIComponent(id)}/signal`, { json: { signal } });
  }

  /**
   * Resolves when all of it is on its way to the program.
   * @param options.seq offset of the first byte in all of the run's input: what was sent before is used once. Left out: it comes next
   * @param options.eof nothing follows
   */
  async stdin(id: string, bytes: Uint8Array, options: { seq?: number; eof?: boolean } = {}): Promise<void> {
    await this.#call('POST', `/v1/runs/${encodeURIComponent(id)}/stdin`, {
      bytes,
      query: { seq: options.seq, eof: options.eof ? 1 : undefined },
    });
  }

  /** Output from an offset on; waits up to `waitMs` for the first byte. */
  async output(id: string, from: number, waitMs = 0, signal?: AbortSignal): Promise<OutputPage> {
    return this.#json('GET', `/v1/runs/${encodeURIComponent(id)}/output`, { query: { from, wait: waitMs }, signal });
  }

  async missingBlobs(sha256: readonly string[]): Promise<string[]> {
    const { missing } = await this.#json<{ missing: string[] }>('POST', '/v1/blobs/missing', { json: { sha256 } });
    return missing;
  }

  async putBlob(sha256: string, bytes: Uint8Array): Promise<void> {
    await this.#call('PUT', `/v1/blobs/${sha256}`, { bytes });
  }

  /** Contents by hash, such as those of a file that a run produced. @throws CodeRunnerError not_found */
  async blob(sha256: string): Promise<ReadableStream<Uint8Array>> {
    const { body } = await this.#call('GET', `/v1/blobs/${sha256}`);
    return (body ?? new Blob([]).stream()) as ReadableStream<Uint8Array>;
  }

  async packages(): Promise<PackageList> {
    return this.#json('GET', '/v1/packages');
  }

  /** @throws CodeRunnerError not_found, packages_in_use */
  async removePackages(id: string): Promise<void> {
    await this.#call('DELETE', `/v1/packages/${encodeURIComponent(id)}`);
  }

  /** Removes all that no run uses. */
  async prunePackages(): Promise<PackagesPruned> {
    return this.#json('DELETE', '/v1/packages');
  }

  /** Answers before the daemon has stopped. @param force ends running programs at once */
  async shutdown(force = false): Promise<void> {
    await this.#call('POST', '/v1/shutdown', { json: { force } });
  }

  async #json<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const response = await this.#call(method, path, options);
    try {
      return (await response.json()) as T;
    } catch (error) {
      throw this.#unreachable(response.url, error);
    }
  }

  async #call(method: string, path: string, options: CallOptions = {}): Promise<Response> {
    const address = await this.#locator.locate();
    const url = new URL(path.slice(1), address.url.endsWith('/') ? address.url : `${address.url}/`);
    for (const [name, value] of Object.entries(options.query ?? {}))
      if (value !== undefined && value !== '') url.searchParams.set(name, `${value}`);
    const headers: Record<string, string> = { authorization: `Bearer ${address.token}` };
    let body: string | Uint8Array<ArrayBuffer> | null = null;
    if (options.json !== undefined) {
      headers['content-type'] = 'application/json';
      body = JSON.stringify(options.json);
    } else if (options.bytes) {
      headers['content-type'] = 'application/octet-stream';
      body = options.bytes as Uint8Array<ArrayBuffer>;
    }
    let response: Response;
    try {
      response = await fetch(url, { method, headers, body, signal: options.signal ?? null });
    } catch (error) {
      if (options.signal?.aborted) throw options.signal.reason;
      throw this.#unreachable(address.url, error);
    }
    if (response.ok || response.status === options.accept) return response;
    throw errorOf(response.status, await response.text().catch(() => ''));
  }

  #unreachable(url: string, error: unknown): CodeRunnerError {
    this.#locator.forget();
    return unreachable(url, error);
  }
}

/** Whole lines of text, as they come. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const pieces: string[] = [];
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    const [first = '', ...others] = text.split('\n');
    pieces.push(first);
    for (const next of others) {
      yield pieces.splice(0).join('');
      pieces.push(next);
    }
  }
}

/** The connection failed, so nobody (any more) is where the daemon was. */
export function unreachable(url: string, error: unknown): CodeRunnerError {
  const { cause } = error as { cause?: unknown };
  const reason = (cause instanceof Error ? cause.message : '') || (error as Error).message;
  return new CodeRunnerError('not_running', `The daemon at ${url} does not answer: ${reason}.`, { cause: error });
}

/** What an answer that is no success says. */
export function errorOf(status: number, text: string): CodeRunnerError {
  return (
    daemonError(text) ??
    new CodeRunnerError('protocol_error', `Something that is no CodeRunner daemon answered with status ${status}.`, {
      hint: 'Look at the address of the daemon, and at proxies on the way to it.',
    })
  );
}

/** The daemon's own error, where the body of an answer is one. */
export function daemonError(text: string): CodeRunnerError | undefined {
  try {
    const { error } = JSON.parse(text) as { error?: Partial<ErrorBody> };
    return typeof error?.code === 'string' ? CodeRunnerError.from(error) : undefined;
  } catch {
    return undefined; // not JSON, so not from the daemon
  }
}
