/**
 * The page of the API at `/docs`, and the OpenAPI document behind it. Few ask for them, and they take as much memory as the rest of the
 * application: they are an application of their own, made at the first question.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import fastifySwagger from '@fastify/swagger';
import fastifySwaggerUi from '@fastify/swagger-ui';
import Fastify, { type RouteOptions } from 'fastify';

/** What the document tells of a route. */
export type DocumentedRoute = Pick<RouteOptions, 'method' | 'url' | 'schema'>;

/**
 * @param version of the daemon
 * @returns answers a request below `/docs`; it checks nobody's token
 */
export async function buildDocs(
  routes: readonly DocumentedRoute[],
  version: string,
): Promise<(request: IncomingMessage, response: ServerResponse) => void> {
  const app = Fastify()
    .setValidatorCompiler(() => () => true)
    .setSerializerCompiler(() => JSON.stringify);
  await app.register(fastifySwagger, {
    openapi: {
      info: {
        title: 'CodeRunner',
        version,
        description: 'Run code in hardened containers that were already waiting.',
      },
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
  });
  await app.register(fastifySwaggerUi, { routePrefix: '/docs' });
  // They are here to be described; nothing but /docs is ever asked of this application.
  for (const route of routes) app.route({ ...route, handler: (_request, reply) => reply.callNotFound() });
  await app.ready();
  return app.routing;
}
