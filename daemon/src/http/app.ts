/** The Fastify application: checks, routes, stream, documentation. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastifyWebsocket from '@fastify/websocket';
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import * as Type from 'typebox';
import { CodeRunnerError, ErrorSchema, Readiness, type ServerMessage, SUBPROTOCOL } from '../protocol/index.ts';
import { addAuth } from './auth.ts';
import { limitConnections } from './connections.ts';
import type { buildDocs, DocumentedRoute } from './docs.ts';
import { Metrics } from './metrics.ts';
import { type RouteOptions, routes } from './routes.ts';
import { serveStream } from './stream.ts';
import { validatorCompiler } from './validator.ts';

/** The largest JSON message; larger contents are uploaded by their hash. */
const MOST_MESSAGE_BYTES = 32 * 2 ** 20;

/** A client that takes or sends nothing any more does not hold up a daemon that stops. */
const ANSWER_WITHIN_MS = 2_000;

export interface AppOptions extends Omit<RouteOptions, 'closing'> {
  /** Whose token that is; undefined: nobody's. */
  ownerOf(token: string): string | undefined;
  version: string;
  log: Logger;
  /** Called for every request and closed stream; an idle daemon stops. */
  onActivity(): void;
  /** Open streams. */
  clients: Set<unknown>;
}

export async function buildApp(options: AppOptions) {
  const { config, log, runs, pool, clients } = options;
  const app = Fastify({
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: MOST_MESSAGE_BYTES,
    // A daemon that stops finishes its answers; `closing` ends those that would wait for ever.
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 200 },
  })
    .withTypeProvider<TypeBoxTypeProvider>()
    .setValidatorCompiler(validatorCompiler)
    // Replies are typed by their schemas; serializers generated from them again would cost memory and gain nothing.
    .setSerializerCompiler(() => JSON.stringify)
    .setErrorHandler<FastifyError>((error, request, reply) => {
      const known = asCodeRunnerError(error);
      if (known.status >= 500) request.log.error({ err: error, url: request.url }, 'a request failed');
      if (known.retryAfterSeconds !== undefined) reply.header('retry-after', `${known.retryAfterSeconds}`);
      // Nobody reads the rest of a refused upload; the connection's next request would wait behind it.
      if (!request.raw.complete) reply.header('connection', 'close');
      return reply.code(known.status).send({ error: known.toJSON() });
    })
    .setNotFoundHandler((request) => {
      throw new CodeRunnerError('not_found', `There is no ${request.method} ${request.url.slice(0, 100)}.`, {
        hint: 'The API is described at /docs.',
      });
    });
  // Bytes are taken as they come; whoever wants them reads the stream.
  app.addContentTypeParser('application/octet-stream', (_request, payload, done) => done(null, payload));

  addAuth(app, options.ownerOf, config);
  limitConnections(app, config.maxConnections);
  app.addHook('onRequest', async () => options.onActivity());
  // After a refused upgrade Node's server no longer knows the connection: left open, it would hold up the daemon's stop for ever.
  app.addHook('onResponse', async (request) => {
    if (request.headers.upgrade !== undefined) request.raw.socket.destroySoon();
  });

  const documented: DocumentedRoute[] = [];
  app.addHook('onRoute', ({ method, url, schema }) => {
    if (method !== 'HEAD' && !url.startsWith('/docs')) documented.push({ method, url, ...(schema && { schema }) });
  });
  let docs: ReturnType<typeof buildDocs> | undefined;
  const answerFromDocs = async (request: FastifyRequest, reply: FastifyReply) => {
    docs ??= import('./docs.ts').then(({ buildDocs }) => buildDocs(documented, options.version));
    const answer = await docs;
    reply.hijack();
    answer(request.raw, reply.raw);
  };
  app.get('/docs', answerFromDocs);
  app.get('/docs/*', answerFromDocs);
  await app.register(fastifyWebsocket, {
    options: {
      maxPayload: MOST_MESSAGE_BYTES,
      handleProtocols: (offered: Set<string>) => (offered.has(SUBPROTOCOL) ? SUBPROTOCOL : false),
    },
  });

  const metrics = new Metrics(runs, pool, () => clients.size);
  app.get(
    '/healthz',
    { schema: { summary: 'Alive?', tags: ['daemon'], response: { 200: Type.Object({ status: Type.Literal('ok') }) } } },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'Able to run something?',
        tags: ['daemon'],
        response: { 200: Readiness, 503: Readiness, 401: ErrorSchema },
      },
    },
    async (_request, reply) => {
      const { engine, runtimes } = pool.status();
      const problems = engine.problem ? [engine.problem] : runtimes.flatMap(({ problem }) => problem ?? []);
      const ready =
        engine.state === 'up' && (runtimes.length === 0 || runtimes.some(({ problem }) => problem === null));
      return reply.code(ready ? 200 : 503).send({ ready, problems });
    },
  );
  app.get('/metrics', { schema: { summary: 'Counters for Prometheus', tags: ['daemon'] } }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  );
  const closing = new AbortController();
  let hurry: NodeJS.Timeout | undefined;
  app.addHook('preClose', async () => {
    closing.abort(new CodeRunnerError('shutting_down', 'The daemon is stopping.'));
    hurry = setTimeout(() => {
      app.server.closeAllConnections();
      // The server no longer counts these among its connections, and one that does not answer would hold it up.
      for (const client of app.websocketServer.clients) client.terminate();
    }, ANSWER_WITHIN_MS);
  });
  app.addHook('onClose', async () => clearTimeout(hurry));
  await app.register(routes, { ...options, closing: closing.signal });
  app.get(
    '/v1/stream',
    { websocket: true, schema: { summary: 'Runs, live (WebSocket)', tags: ['runs'] } },
    (socket, request) => {
      clients.add(socket);
      socket.on('close', () => {
        clients.delete(socket);
        options.onActivity();
      });
      serveStream(socket, request.raw.socket, request.owner, runs, config.outputWindow, log);
      const changed = () => socket.send(JSON.stringify({ type: 'runtimes.changed' } satisfies ServerMessage));
      options.runtimes.on('changed', changed);
      socket.on('close', () => options.runtimes.off('changed', changed));
    },
  );
  return app;
}

/** Fastify's own refusals in our form. */
function asCodeRunnerError(error: FastifyError): CodeRunnerError {
  if (error instanceof CodeRunnerError) return error;
  if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') {
    return new CodeRunnerError('too_large', 'The message is larger than 32 MiB.', {
      hint: 'Upload large contents with PUT /v1/blobs/:sha256 and name them by their hash.',
    });
  }
  if (error.validation || (error.statusCode !== undefined && error.statusCode < 500))
    return new CodeRunnerError('bad_request', sentence(error.message));
  return new CodeRunnerError('internal', 'The daemon failed to do that.');
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${text.endsWith('.') ? '' : '.'}`;
}
