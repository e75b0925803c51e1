/** A socket in front of the real engine that can be cut or held up, so that tests see an engine go away without touching it. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEngine } from '../../src/engine/discovery.ts';

const CREATION = /^POST \S*\/containers\/create/;
const SAID = JSON.stringify({ message: 'no space left on device' });
const REFUSAL = `HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${SAID.length}\r\n\r\n${SAID}`;

export class EngineProxy implements AsyncDisposable {
  /** As the setting `engine` takes it. */
  readonly address: string;
  readonly #folder: string;
  readonly #socketPath: string;
  readonly #enginePath: string;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;
  #held = false;
  /** The engine answers every creation of a container with an error. */
  refusesCreations = false;
  /** Creations that were asked for while they are refused. */
  refused = 0;

  private constructor(folder: string, enginePath: string) {
    this.#folder = folder;
    this.#socketPath = join(folder, 'engine.sock');
    this.#enginePath = enginePath;
    this.address = `unix://${this.#socketPath}`;
  }

  static async start(): Promise<EngineProxy> {
    const { place } = await findEngine('');
    const proxy = new EngineProxy(
      await mkdtemp(join(tmpdir(), 'coderunner-engine-')),
      place.address.replace(/^unix:\/\//, ''),
    );
    await proxy.restore();
    return proxy;
  }

  /** The engine is gone: nobody listens, and what was connected is cut off. */
  async cut(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    const closed = once(server, 'close');
    server.close();
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }

  /** The engine hangs: it takes connections and answers nothing any more. */
  hold(): void {
    this.#held = true;
    for (const connection of this.#connections) connection.pause();
  }

  /** The engine is back. */
  async restore(): Promise<void> {
    this.#held = false;
    for (const connection of this.#connections) connection.resume();
    if (this.#server) return;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#forward(client)).listen(this.#socketPath);
    await once(this.#server, 'listening');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cut();
    await rm(this.#folder, { recursive: true, force: true });
  }

  #forward(client: Socket): void {
    const engine = connect({ path: this.#enginePath, allowHalfOpen: true });
    for (const [from, to] of [
      [client, engine],
      [engine, client],
    ] as const) {
      this.#connections.add(from);
      from.on('data', (bytes) => {
        if (from === client && this.refusesCreations && CREATION.test(bytes.toString('latin1', 0, 100))) {
          this.refused++;
          client.end(REFUSAL);
          engine.destroy();
        } else to.write(bytes);
      });
      from.on('end', () => to.end());
      from.on('error', () => {}); // 'close' follows
      from.on('close', () => {
        this.#connections.delete(from);
        to.destroy();
      });
      if (this.#held) from.pause();
    }
  }
}
