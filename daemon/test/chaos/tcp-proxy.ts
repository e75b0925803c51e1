/** What stands between a client and its daemon, and can be cut. It follows the daemon to its next address. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: () => string;
  readonly #connections = new Set<Socket>();

  private constructor(target: () => string) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true }, (client) => this.#forward(client));
  }

  /** @param target tells the address of the daemon, for each new connection */
  static async start(target: () => string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks every connection there is; new ones are taken. @returns how many there were */
  cut(): number {
    const clients = this.#connections.size / 2;
    for (const connection of this.#connections) connection.resetAndDestroy();
    return clients;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.cut();
    await closed;
  }

  #forward(client: Socket): void {
    const { hostname, port } = new URL(this.#target());
    const daemon = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    for (const [from, to] of [
      [client, daemon],
      [daemon, client],
    ] as const) {
      this.#connections.add(from);
      from.pipe(to);
      from.on('error', () => {}); // 'close' follows
      from.on('close', () => {
        this.#connections.delete(from);
        to.destroy();
      });
    }
  }
}
