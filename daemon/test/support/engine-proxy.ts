/** A socket in front of the real engine that can be cut or held up, so that tests see an engine go away without touching it. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findEngine } from '../../src/engine/discovery.ts';

const CREATION = /^POST \S*\/containers\/create/;
const START = /^POST \S*\/containers\/([^/]+)\/start/;
const REMOVAL = /^DELETE \S*\/containers\//;
const WAIT = /^POST \S*\/containers\/[^/]+\/wait/;
const REFUSAL = answer('500 Internal Server Error', 'no space left on device');
const UNDER_WAY = answer('409 Conflict', 'removal is already in progress');

/** Docker sends it at once, and the rest when the wait is over. */
const HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';

function answer(status: string, message: string): string {
  const said = JSON.stringify({ message });
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ${said.length}\r\n\r\n${said}`;
}

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
  /** It ends the connection instead. */
  cutsCreationsOff = false;
  /** Creations that were asked for while they are refused or cut off. */
  refused = 0;
  /** Done before the engine hears that a container is to be started. */
  beforeStart: ((id: string) => Promise<unknown>) | undefined;
  /** The engine says of every container that it removes it already, and never that it has. */
  isAlwaysRemoving = false;
  /** Who waits for such a removal. */
  leftWaiting = 0;
  #heldRemovals: (() => void)[] | undefined;

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

  /** The engine takes its time for removals, until it is told to go on with them. */
  holdRemovals(): () => void {
    const held: (() => void)[] = [];
    this.#heldRemovals = held;
    return () => {
      this.#heldRemovals = undefined;
      for (const goOn of held) goOn();
    };
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
        const asked = from === client ? bytes.toString('latin1', 0, 100) : '';
        const started = this.beforeStart && START.exec(asked)?.[1];
        if (this.refusesCreations && CREATION.test(asked)) {
          this.refused++;
          client.end(REFUSAL);
          engine.destroy();
        } else if (this.cutsCreationsOff && CREATION.test(asked)) {
          this.refused++;
          client.destroy();
        } else if (started) void this.beforeStart?.(started).then(() => to.write(bytes));
        else if (this.isAlwaysRemoving && REMOVAL.test(asked)) {
          client.end(UNDER_WAY);
          engine.destroy();
        } else if (this.isAlwaysRemoving && WAIT.test(asked)) {
          this.leftWaiting++;
          client.write(HEAD);
        } else if (this.#heldRemovals && REMOVAL.test(asked)) this.#heldRemovals.push(() => to.write(bytes));
        else to.write(bytes);
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
