/** A way to the daemon that breaks where a test wants it to, and that can refuse WebSockets as some proxies do. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { DaemonClient } from './live-daemon.ts';

export type Sender = 'client' | 'daemon';

export class Way implements AsyncDisposable {
  /** Whether the way breaks here: these bytes do not arrive, and every connection is cut. */
  breaksAt: (bytes: Buffer, from: Sender) => boolean = () => false;
  connections = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param daemon its address is looked at for each connection */
  static async to(daemon: Pick<DaemonClient, 'url'>, { webSockets = true } = {}): Promise<Way> {
    const server = createServer((near) => {
      way.connections++;
      const far = connect(Number(new URL(daemon.url).port), '127.0.0.1');
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        way.#sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          way.#sockets.delete(one);
          other.destroy();
        });
      }
      const pass = (from: Sender, one: Socket, other: Socket) =>
        one.on('data', (bytes: Buffer) => {
          if (way.breaksAt(bytes, from)) {
            way.cut();
          } else if (!other.write(bytes)) {
            one.pause();
            other.once('drain', () => one.resume());
          }
        });
      pass('daemon', far, near);
      near.on('data', (bytes: Buffer) => {
        if (!webSockets && /^upgrade: websocket/im.test(bytes.toString('latin1')))
          near.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 7\r\nconnection: close\r\n\r\nblocked');
      });
      pass('client', near, far);
    });
    const way = new Way(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return way;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What is under way is lost. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
