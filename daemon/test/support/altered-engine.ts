/** The real engine, but for one thing: containers are made otherwise than they were asked for. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import type { ContainerCreateOptions } from 'dockerode';
import { findEngine } from '../../src/engine/discovery.ts';

/** Changes what the engine is asked for, in place. */
export type Alteration = (asked: ContainerCreateOptions & { HostConfig: object }) => void;

export class AlteredEngine implements AsyncDisposable {
  /** As the setting `engine` takes it. */
  readonly address: string;
  readonly #folder: string;
  readonly #socketPath: string;
  readonly #enginePath: string;
  readonly #alter: Alteration;
  readonly #server: Server;
  /** Both ends of each conversation with a container: Docker may keep one open whose container is gone, and the server knows none of them. */
  readonly #conversations = new Set<Socket>();

  private constructor(folder: string, enginePath: string, alter: Alteration) {
    this.#folder = folder;
    this.#socketPath = join(folder, 'engine.sock');
    this.#enginePath = enginePath;
    this.#alter = alter;
    this.address = `unix://${this.#socketPath}`;
    this.#server = createServer((asked, answer) => void this.#pass(asked, answer));
    this.#server.on('upgrade', (asked, client: Socket, head) => this.#attach(asked, client, head));
  }

  static async start(alter: Alteration): Promise<AlteredEngine> {
    const { place } = await findEngine('');
    const folder = await mkdtemp(join(tmpdir(), 'coderunner-altered-'));
    const engine = new AlteredEngine(folder, place.address.replace(/^unix:\/\//, ''), alter);
    engine.#server.listen(engine.#socketPath);
    await once(engine.#server, 'listening');
    return engine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#conversations) socket.destroy();
    await closed;
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { method, url = '', headers } = asked;
    const onward = request({ socketPath: this.#enginePath, method, path: url, headers }, (from) => {
      answer.writeHead(from.statusCode as number, from.headers);
      answer.flushHeaders();
      from.pipe(answer);
    });
    onward.on('error', (error) => answer.destroy(error));
    answer.on('close', () => onward.destroy());
    if (method !== 'POST' || !/\/containers\/create(?:\?|$)/.test(url)) {
      asked.pipe(onward);
      return;
    }
    const options = JSON.parse((await buffer(asked)).toString());
    this.#alter(options);
    const body = Buffer.from(JSON.stringify(options));
    onward.setHeader('content-length', body.length);
    onward.end(body);
  }

  /** A conversation with a container, which follows a request that is still HTTP. */
  #attach(asked: IncomingMessage, client: Socket, head: Buffer): void {
    const engine = connect({ path: this.#enginePath, allowHalfOpen: true });
    const lines = asked.rawHeaders.flatMap((name, at, all) => (at % 2 === 0 ? [`${name}: ${all[at + 1]}`] : []));
    const asking = `${[`${asked.method} ${asked.url} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n`;
    // In one piece: what comes of the request's body after the engine has answered is read as the container's input.
    engine.write(Buffer.concat([Buffer.from(asking), head]));
    for (const [from, to] of [
      [client, engine],
      [engine, client],
    ] as const) {
      this.#conversations.add(from);
      from.pipe(to);
      from.on('error', () => {}); // 'close' follows
      from.on('close', () => {
        this.#conversations.delete(from);
        to.destroy();
      });
    }
  }
}
