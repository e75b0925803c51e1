/** How many streams and requests one owner may have under way, so that nobody's flood takes the sockets of the others. */
import type { FastifyInstance } from 'fastify';
import { CodeRunnerError } from '../protocol/index.ts';

/** To be added after the hook that knows the owner; what asks for none, such as `/healthz`, is not counted. */
export function limitConnections(app: FastifyInstance, most: number): void {
  const open = new Map<string, number>();
  app.addHook('onRequest', async (request, reply) => {
    const { owner, raw } = request;
    if (owner === '') return;
    const count = open.get(owner) ?? 0;
    if (count >= most) {
      throw new CodeRunnerError(
        'too_many_connections',
        `${count.toLocaleString('en')} streams and requests of yours are open already; no more are taken.`,
      );
    }
    open.set(owner, count + 1);
    const connection = raw.headers.upgrade === undefined ? reply.raw : raw.socket;
    connection.once('close', () => {
      const left = (open.get(owner) ?? 0) - 1;
      if (left > 0) open.set(owner, left);
      else open.delete(owner);
    });
  });
}
