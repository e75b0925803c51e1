/** The HTTP side of the protocol: things as JSON. docs/protocol.md, section 2, and the OpenAPI document made from here. */
import { Readable } from 'node:stream';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import * as Type from 'typebox';
import type { Config } from '../config.ts';
import type { Packages } from '../packages/packages.ts';
import type { Pool } from '../pool/pool.ts';
import {
  BatchEnd,
  BatchRequest,
  BatchResult,
  BlobsMissing,
  BlobsQuery,
  CodeRunnerError,
  DaemonStatus,
  ErrorSchema,
  MOST_BATCH_INPUTS,
  OutputPage,
  PackageList,
  PackagesPruned,
  PoolStatus,
  Run,
  RunList,
  RunRequest,
  type RunState,
  type RuntimeInfo,
  RuntimeList,
  Sha256,
} from '../protocol/index.ts';
import type { LiveRun } from '../runs/live-run.ts';
import type { Runs } from '../runs/runs.ts';
import { tooLarge } from '../runs/spec.ts';
import type { Images } from '../runtimes/images.ts';
import type { Runtimes } from '../runtimes/runtimes.ts';
import type { Blobs } from '../store/blobs.ts';
import { answerBatch } from './batch.ts';
import { outputEvents, outputPage } from './output.ts';
import { signalNumber } from './stream.ts';

export interface RouteOptions {
  config: Config;
  runs: Runs;
  pool: Pool;
  packages: Packages;
  blobs: Blobs;
  images: Images;
  runtimes: Runtimes;
  status(): DaemonStatus;
  shutdown(force: boolean): void;
  /** Aborted when the daemon closes: who waits for news is answered with what there is. */
  closing: AbortSignal;
}

const id = Type.Object({ id: Type.String({ maxLength: 100 }) });
const digits = (description: string) => Type.Optional(Type.String({ pattern: '^[0-9]{1,15}$', description }));
const errors = { '4xx': ErrorSchema, '5xx': ErrorSchema };
const LONGEST_POLL_MS = 60_000;
/** A page of runs ends where it gets larger, but has one run at least: their arguments may be megabytes each. */
const MOST_PAGE_CHARACTERS = 4 * 2 ** 20;

export const routes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, options) => {
  const { config, runs, pool, packages, blobs, images, runtimes } = options;

  app.post(
    '/v1/runs',
    { schema: { summary: 'Start a run', tags: ['runs'], body: RunRequest, response: { 201: Run, ...errors } } },
    async (request, reply) => {
      const live = await runs.submit(request.owner, request.body);
      return reply.code(201).header('location', `/v1/runs/${live.id}`).send(live.run);
    },
  );

  app.post(
    // The first colon says that the second one is no parameter.
    '/v1/runs::batch',
    {
      schema: {
        summary: 'Run one program with many inputs. Hanging up ends the batch.',
        tags: ['runs'],
        body: BatchRequest,
        response: {
          200: {
            description:
              'A JSON object a line: the results in the order of the inputs, each when it is there, and an end',
            content: { 'application/x-ndjson': { schema: Type.Union([BatchResult, BatchEnd]) } },
          },
          ...errors,
        },
      },
      preValidation: async ({ body }) => {
        const inputs: unknown = (body as Partial<BatchRequest> | null)?.inputs;
        const count = Array.isArray(inputs) ? inputs.length : 0;
        if (count > MOST_BATCH_INPUTS)
          throw new CodeRunnerError(
            'too_large',
            `The batch has ${count.toLocaleString('en')} inputs; at most ${MOST_BATCH_INPUTS.toLocaleString('en')} are taken.`,
            { hint: 'Send them in several batches.' },
          );
      },
    },
    async (request, reply) => {
      const gone = new AbortController();
      reply.raw.on('close', () => gone.abort());
      const signal = AbortSignal.any([gone.signal, options.closing]);
      const batch = await runs.startBatch(request.owner, request.body, signal);
      reply.hijack();
      await answerBatch(batch, reply.raw, gone.signal);
    },
  );

  app.get(
    '/v1/runs',
    {
      schema: {
        summary: 'Your runs, newest first',
        tags: ['runs'],
        querystring: Type.Object({
          limit: digits('At most that many, 1 to 1,000; 50 when left out. Fewer come where they are large.'),
          before: Type.Optional(Type.String({ description: 'The last id of the page before' })),
          state: Type.Optional(Type.String({ description: 'Only these states, separated by commas' })),
        }),
        response: { 200: RunList, ...errors },
      },
    },
    async (request) => {
      const limit = Number(request.query.limit ?? 50);
      if (limit < 1 || limit > 1_000)
        throw new CodeRunnerError('bad_limit', `limit is ${limit}, but takes a whole number from 1 to 1,000.`);
      return runs.list(request.owner, {
        limit,
        mostCharacters: MOST_PAGE_CHARACTERS,
        ...(request.query.before === undefined ? {} : { before: request.query.before }),
        ...(request.query.state === undefined ? {} : { states: parseStates(request.query.state) }),
      });
    },
  );

  app.get(
    '/v1/runs/:id',
    { schema: { summary: 'One run', tags: ['runs'], params: id, response: { 200: Run, ...errors } } },
    async (request) => runs.get(request.owner, request.params.id),
  );

  app.delete(
    '/v1/runs/:id',
    { schema: { summary: 'Cancel a run', tags: ['runs'], params: id, response: { 202: Run, ...errors } } },
    async (request, reply) => reply.code(202).send(runs.cancel(request.owner, request.params.id)),
  );

  app.post(
    '/v1/runs/:id/signal',
    {
      schema: {
        summary: 'Send the program a signal',
        tags: ['runs'],
        params: id,
        body: Type.Object({ signal: Type.String({ maxLength: 20 }) }, { additionalProperties: false }),
        response: { 204: Type.Null(), ...errors },
      },
    },
    async (request, reply) => {
      runs.follow(request.owner, request.params.id).signal(signalNumber(request.body.signal));
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/v1/runs/:id/stdin',
    {
      schema: {
        summary: 'Input for the program: the body as it is. Answers when all of it is on its way.',
        tags: ['runs'],
        consumes: ['application/octet-stream'],
        params: id,
        querystring: Type.Object({
          eof: Type.Optional(Type.Enum(['0', '1'], { description: '1: nothing follows' })),
          seq: digits(
            'Offset of its first byte in all input. What was sent from there on before is used once. Left out: it comes next',
          ),
        }),
        response: { 204: Type.Null(), ...errors },
      },
    },
    async (request, reply) => {
      const live = runs.follow(request.owner, request.params.id);
      let seq = request.query.seq === undefined ? undefined : Number(request.query.seq);
      for await (const chunk of bytesOf(request.body)) {
        await sendInput(live, chunk, seq);
        if (seq !== undefined) seq += chunk.length;
      }
      if (request.query.eof === '1') live.stdin(new Uint8Array(0), true, seq);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/v1/runs/:id/output',
    {
      schema: {
        summary: 'Output from an offset on: a page (waits for news), or server-sent events when those are accepted',
        tags: ['runs'],
        params: id,
        querystring: Type.Object({
          from: digits('Offset of the first byte wanted; 0 when left out'),
          wait: digits('Wait that many milliseconds for news, at most 60,000; 25,000 when left out'),
        }),
        response: { 200: OutputPage, ...errors },
      },
    },
    async (request, reply) => {
      const live = runs.follow(request.owner, request.params.id);
      const lastSeen = request.headers['last-event-id'];
      const from = Number(
        typeof lastSeen === 'string' && /^\d{1,15}$/.test(lastSeen) ? lastSeen : (request.query.from ?? 0),
      );
      if (request.headers.accept?.includes('text/event-stream')) {
        reply.hijack();
        reply.raw.writeHead(200, {
          'content-type': 'text/event-stream',
          'cache-control': 'no-store',
          'x-accel-buffering': 'no',
        });
        await outputEvents(live, from, reply.raw, options.closing);
        return;
      }
      const gone = new AbortController();
      reply.raw.on('close', () => gone.abort());
      const waitMs = Math.min(Number(request.query.wait ?? 25_000), LONGEST_POLL_MS);
      return outputPage(live, from, waitMs, AbortSignal.any([gone.signal, options.closing]));
    },
  );

  app.post(
    '/v1/blobs/missing',
    {
      schema: {
        summary: 'Which of these contents have to be uploaded',
        tags: ['contents'],
        body: BlobsQuery,
        response: { 200: BlobsMissing, ...errors },
      },
    },
    async (request) => ({ missing: await blobs.missing(request.owner, request.body.sha256) }),
  );

  const hash = Type.Object({ sha256: Sha256 });
  app.put(
    '/v1/blobs/:sha256',
    {
      schema: {
        summary: 'Upload contents',
        tags: ['contents'],
        consumes: ['application/octet-stream'],
        params: hash,
        response: { 204: Type.Null(), ...errors },
      },
    },
    async (request, reply) => {
      const announced = Number(request.headers['content-length'] ?? 0);
      if (announced > config.maxFileBytes)
        throw tooLarge('The upload', announced, config.maxFileBytes, 'CODERUNNER_MAX_FILE_BYTES');
      await blobs.put(request.owner, request.params.sha256, bounded(bytesOf(request.body), config.maxFileBytes));
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/v1/blobs/:sha256',
    { schema: { summary: 'Contents, such as a file that a run produced', tags: ['contents'], params: hash } },
    async (request, reply) => {
      const stream = await blobs.open(request.owner, request.params.sha256);
      if (!stream) throw new CodeRunnerError('not_found', `There are no contents ${request.params.sha256}.`);
      // Whatever it holds, no browser may take it for a page of the daemon's.
      return reply
        .header('x-content-type-options', 'nosniff')
        .header('content-disposition', 'attachment')
        .type('application/octet-stream')
        .send(stream);
    },
  );

  app.get(
    '/v1/runtimes',
    { schema: { summary: 'The languages', tags: ['daemon'], response: { 200: RuntimeList, ...errors } } },
    async () => listRuntimes(runtimes, images),
  );

  app.post(
    '/v1/runtimes/reload',
    {
      schema: {
        summary: 'Read the folders of languages again. Runs under way keep what they began with.',
        tags: ['daemon'],
        response: { 200: RuntimeList, ...errors },
      },
    },
    async () => {
      await runtimes.reload();
      await pool.update(runtimes.usable);
      return listRuntimes(runtimes, images);
    },
  );

  app.get(
    '/v1/packages',
    {
      schema: {
        summary: 'Your installed packages, the latest used first',
        tags: ['packages'],
        response: { 200: PackageList, ...errors },
      },
    },
    async (request) => ({ packages: packages.list(request.owner) }),
  );

  app.delete(
    '/v1/packages',
    {
      schema: {
        summary: 'Remove all installed packages that no run uses',
        tags: ['packages'],
        response: { 200: PackagesPruned, ...errors },
      },
    },
    async (request) => packages.prune(request.owner),
  );

  app.delete(
    '/v1/packages/:id',
    {
      schema: {
        summary: 'Remove installed packages',
        tags: ['packages'],
        params: id,
        response: { 204: Type.Null(), ...errors },
      },
    },
    async (request, reply) => {
      await packages.remove(request.owner, request.params.id);
      return reply.code(204).send(null);
    },
  );

  app.get(
    '/v1/pool',
    { schema: { summary: 'The containers that wait', tags: ['daemon'], response: { 200: PoolStatus, ...errors } } },
    async () => pool.status(),
  );

  app.get(
    '/v1/status',
    { schema: { summary: 'The daemon', tags: ['daemon'], response: { 200: DaemonStatus, ...errors } } },
    async () => options.status(),
  );

  app.post(
    '/v1/shutdown',
    {
      schema: {
        summary: 'Stop the daemon; runs may finish within its grace, unless forced',
        tags: ['daemon'],
        body: Type.Object({ force: Type.Optional(Type.Boolean()) }, { additionalProperties: false }),
        response: { 202: Type.Object({}), ...errors },
      },
    },
    async (request, reply) => {
      options.shutdown(request.body.force ?? false);
      return reply.code(202).send({});
    },
  );
};

async function listRuntimes({ usable, broken }: Runtimes, images: Images): Promise<RuntimeList> {
  const infos = usable.map(async (runtime): Promise<RuntimeInfo> => {
    const { id, name, version, aliases, languageIds, extensions, entry, options, limits, origin } = runtime;
    const state = await images.state(runtime).catch(() => 'not_built' as const);
    const problem = state === 'ready' ? null : 'Its image has not been built, or the container engine does not answer.';
    const services = runtime.offers.filter((one) => !runtime.services.includes(one)).map((one) => one.id);
    const warm = runtime.warm !== undefined;
    return {
      id,
      name,
      version,
      aliases,
      languageIds,
      extensions,
      entry,
      options,
      services,
      limits,
      warm,
      origin,
      state,
      problem,
    };
  });
  const unusable = broken.map(
    ({ id, problem }): RuntimeInfo => ({
      id,
      name: id,
      version: '',
      aliases: [],
      languageIds: [],
      extensions: [],
      entry: '',
      options: {},
      services: [],
      limits: { wallMs: 0, cpuMs: 0, memoryBytes: 0, outputBytes: 0, fileBytes: 0, pids: 0 },
      warm: false,
      origin: 'own',
      state: 'broken',
      problem,
    }),
  );
  return { runtimes: [...(await Promise.all(infos)), ...unusable] };
}

/** Input in pieces that fit, each sent when the program has taken enough of what came before. @param seq offset of the first byte, if known */
async function sendInput(live: LiveRun, bytes: Buffer, seq?: number): Promise<void> {
  for (let sent = 0; sent < bytes.length; ) {
    const room = live.stdinRoom;
    if (room === 0 && !live.ended) await inputRoom(live);
    const piece = bytes.subarray(sent, sent + live.stdinRoom);
    live.stdin(piece, false, seq === undefined ? undefined : seq + sent);
    sent += piece.length;
  }
}

function inputRoom(live: LiveRun): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      live.off('stdinTaken', done);
      live.off('state', done);
      resolve();
    };
    live.on('stdinTaken', done);
    live.on('state', done);
  });
}

/** A body that is no JSON. @throws CodeRunnerError bad_request */
function bytesOf(body: unknown): AsyncIterable<Buffer> {
  if (body instanceof Readable) return body;
  if (body === undefined || body === null) return Readable.from([]);
  throw new CodeRunnerError('bad_request', 'The body is JSON, but is to be bytes.', {
    hint: 'Send it with `Content-Type: application/octet-stream`.',
  });
}

async function* bounded(source: AsyncIterable<Buffer>, maxBytes: number): AsyncIterable<Buffer> {
  let size = 0;
  for await (const chunk of source) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge('The upload', size, maxBytes, 'CODERUNNER_MAX_FILE_BYTES');
    yield chunk;
  }
}

function parseStates(text: string): RunState[] {
  const known = Run.properties.state.enum as readonly string[];
  const states = text.split(',');
  const bad = states.find((state) => !known.includes(state));
  if (bad !== undefined)
    throw new CodeRunnerError(
      'bad_request',
      `There is no state "${bad.slice(0, 50)}". There are: ${known.join(', ')}.`,
    );
  return states as RunState[];
}
