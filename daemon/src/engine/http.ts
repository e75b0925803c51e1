/**
 * The engine's API. A container takes four requests, and a general client does more for each than all that is ours
 * (docs/decisions/0023-own-http-client.md).
 */
import type { Duplex } from 'node:stream';
import { CodeRunnerError } from '../protocol/index.ts';
import { type Answer, Connection } from './connection.ts';

/** How an engine is reached. */
export interface Route {
  /** As requests name it. */
  host: string;
  /** Opens a connection; where that fails, the stream says so. */
  connect(): Duplex;
}

/** A busy engine takes seconds to create a container; one that takes longer than this hangs. */
export const ANSWER_WITHIN_MS = 60_000;
/** So long an engine, and whatever is between, surely keeps a connection open on which nothing is asked. */
const IDLE_MS = 4_000;
const FIRST_REFUSAL = 400;
const SWITCHING = 101;

/** The engine answered, and said no. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly statusCode: number;

  constructor({ status, body }: Answer) {
    super(`${messageOf(body)} (HTTP ${status})`.trimStart());
    this.statusCode = status;
  }
}

/** The engine took too long. */
export class Overdue extends CodeRunnerError {
  constructor(withinMs: number) {
    super('engine_unavailable', `The container engine did not answer within ${withinMs / 1_000} s.`);
  }
}

export type Query = Record<string, string | boolean | object>;

interface Details {
  query?: Query;
  /** Sent as JSON. */
  body?: unknown;
  /** How long the whole answer may take. */
  withinMs?: number;
}

export class EngineHttp {
  readonly #route: Route;
  readonly #open = new Set<Connection>();
  /** Those on which nothing is asked; the one that was used last comes first. */
  readonly #idle: { connection: Connection; timer: NodeJS.Timeout }[] = [];
  #closed: Error | undefined;

  constructor(route: Route) {
    this.#route = route;
  }

  /**
   * @param path below the root of the API
   * @returns the answer's JSON; undefined where it has none
   * @throws Refusal; Overdue; what the connection says; what {@link close} was given
   */
  async ask<T = void>(method: 'GET' | 'POST' | 'DELETE', path: string, details: Details = {}): Promise<T> {
    const { connection, answer } = await this.#exchange(method, path, details, '');
    this.#keep(connection);
    if (answer.status >= FIRST_REFUSAL) throw new Refusal(answer);
    return json(answer.body) as T;
  }

  /**
   * Asks for a conversation that takes the connection over.
   * @throws as {@link ask}
   */
  async converse(path: string, query: Query): Promise<Duplex> {
    const { connection, answer } = await this.#exchange(
      'POST',
      path,
      { query },
      'Connection: Upgrade\r\nUpgrade: tcp\r\n',
    );
    if (answer.status !== SWITCHING) {
      this.#keep(connection);
      throw new Refusal(answer);
    }
    this.#open.delete(connection);
    return connection.release();
  }

  /** Ends whatever is asked, with this reason, and lets nothing more be asked. Conversations go on. */
  close(reason: Error): void {
    this.#closed = reason;
    for (const connection of this.#open) connection.destroy(reason);
  }

  async #exchange(
    method: string,
    path: string,
    { query, body, withinMs = ANSWER_WITHIN_MS }: Details,
    headers: string,
  ): Promise<{ connection: Connection; answer: Answer }> {
    if (this.#closed) throw this.#closed;
    const text = body === undefined ? '' : JSON.stringify(body);
    const type = body === undefined ? '' : 'Content-Type: application/json\r\n';
    // In one piece with its body, which is one system call.
    const request = `${method} ${path}${query ? encoded(query) : ''} HTTP/1.1\r\nHost: ${this.#route.host}\r\n${headers}${type}Content-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
    const connection = this.#take();
    const timer = setTimeout(() => connection.destroy(new Overdue(withinMs)), withinMs);
    try {
      return { connection, answer: await connection.ask(request) };
    } finally {
      clearTimeout(timer);
    }
  }

  #take(): Connection {
    const kept = this.#idle.pop();
    if (kept) {
      clearTimeout(kept.timer);
      kept.connection.hold(true);
      return kept.connection;
    }
    const connection = new Connection(this.#route.connect());
    this.#open.add(connection);
    connection.onClose = () => {
      this.#open.delete(connection);
      const at = this.#idle.findIndex((idle) => idle.connection === connection);
      if (at === -1) return;
      clearTimeout(this.#idle[at]?.timer);
      this.#idle.splice(at, 1);
    };
    return connection;
  }

  #keep(connection: Connection): void {
    if (!connection.isFree) return;
    connection.hold(false);
    const timer = setTimeout(() => connection.destroy(new Error('It was idle.')), IDLE_MS).unref();
    this.#idle.push({ connection, timer });
  }
}

function encoded(query: Query): string {
  const values = Object.entries(query).map(
    ([name, value]) =>
      `${name}=${encodeURIComponent(typeof value === 'object' ? JSON.stringify(value) : String(value))}`,
  );
  return `?${values.join('&')}`;
}

/** Podman says some things without JSON. */
function json(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text);
  } catch {
    return text;
  }
}

function messageOf(body: string): string {
  const said = json(body) as { message?: string; cause?: string } | string | undefined;
  return (typeof said === 'string' ? said : (said?.message ?? said?.cause)) ?? '';
}
