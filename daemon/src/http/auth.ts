/**
 * Who may talk to the daemon: whoever knows the token, by the daemon's own name, and no web page. Checked before anything else, on every
 * route but `/healthz`, which tells nothing.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Config } from '../config.ts';
import { CodeRunnerError } from '../protocol/index.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose runs, output and contents the request may see. */
    owner: string;
  }
}

/** @param ownerOf whose token that is; undefined: nobody's */
export function addAuth(
  app: FastifyInstance,
  ownerOf: (token: string) => string | undefined,
  options: Pick<Config, 'allowedHosts' | 'allowedOrigins'>,
): void {
  app.decorateRequest('owner', '');
  app.addHook('onRequest', async (request, reply) => {
    checkHost(request, options.allowedHosts);
    checkOrigin(request, options.allowedOrigins);
    if (request.routeOptions.url === '/healthz') return;
    const forPeople = request.url === '/docs' || request.url.startsWith('/docs/');
    const token = bearerToken(request) ?? (forPeople ? basicPassword(request) : undefined);
    const owner = token === undefined ? undefined : ownerOf(token);
    if (owner === undefined) {
      // A browser then asks the person for the token (as password), for the documentation only.
      if (forPeople) reply.header('www-authenticate', 'Basic realm="CodeRunner: any user, the token as password"');
      throw new CodeRunnerError(
        'unauthorized',
        token === undefined ? 'The request carries no token.' : 'The token is not the one of this daemon.',
      );
    }
    request.owner = owner;
  });
}

/** Knows owners by their tokens. Hashes are of equal length, so comparing them tells nothing of a token's; nor does which one fits. */
export function ownersByToken(tokens: ReadonlyMap<string, string>): (token: string) => string | undefined {
  const known = Array.from(tokens, ([token, owner]) => ({ expected: digest(token), owner }));
  return (token) => {
    const given = digest(token);
    return known.filter(({ expected }) => timingSafeEqual(given, expected))[0]?.owner;
  };
}

function digest(token: string): Buffer {
  return createHash('sha256').update(token).digest();
}

function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
}

function basicPassword(request: FastifyRequest): string | undefined {
  const encoded = /^Basic (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
  return (
    encoded &&
    Buffer.from(encoded, 'base64')
      .toString('utf8')
      .replace(/^[^:]*:/, '')
  );
}

/** A page whose name was rebound to this machine's address still sends its own name. */
function checkHost(request: FastifyRequest, allowed: readonly string[]): void {
  const host = request.headers.host ?? '';
  const name = host.replace(/:\d+$/, '');
  const { localAddress = '', localPort } = request.socket;
  const address = localAddress.replace(/^::ffff:/, '');
  const own = [address, `[${address}]`];
  if (address === '127.0.0.1' || address === '::1') own.push('localhost', '127.0.0.1', '[::1]');
  if (own.some((known) => host === `${known}:${localPort}`) || allowed.includes(name) || allowed.includes(host)) return;
  throw new CodeRunnerError('forbidden_host', `This daemon is not "${host.slice(0, 100)}".`);
}

function checkOrigin(request: FastifyRequest, allowed: readonly string[]): void {
  const { origin, host } = request.headers;
  if (origin === undefined || allowed.includes(origin) || origin === `http://${host}` || origin === `https://${host}`)
    return;
  throw new CodeRunnerError('forbidden_origin', `Pages from "${origin.slice(0, 100)}" may not use this daemon.`);
}
