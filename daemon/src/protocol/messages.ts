/**
 * JSON messages on the WebSocket (`GET /v1/stream`, subprotocol `coderunner.v1`); output and stdin bytes go in binary
 * frames (`frames.ts`). The client numbers its subscriptions itself (`handle`), so it never waits to know which is which.
 */
import type { Static } from 'typebox';
import * as Type from 'typebox';
import type { ErrorBody } from './errors.ts';
import { type Run, RunRequest, TtySize } from './resources.ts';

const closed = { additionalProperties: false } as const;
const handle = Type.Integer({ minimum: 0, maximum: 0xffff_ffff });
const seq = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

export const ClientMessage = Type.Union([
  Type.Object({ type: Type.Literal('run.start'), handle, request: RunRequest }, closed),
  Type.Object(
    { type: Type.Literal('run.subscribe'), handle, id: Type.String({ maxLength: 100 }), from: Type.Optional(seq) },
    closed,
  ),
  Type.Object({ type: Type.Literal('run.unsubscribe'), handle }, closed),
  Type.Object({ type: Type.Literal('run.cancel'), handle }, closed),
  Type.Object(
    {
      type: Type.Literal('stdin'),
      handle,
      data: Type.String(),
      encoding: Type.Optional(Type.Union([Type.Literal('utf8'), Type.Literal('base64')])),
      seq: Type.Optional(seq),
    },
    closed,
  ),
  Type.Object({ type: Type.Literal('stdin.eof'), handle, seq: Type.Optional(seq) }, closed),
  Type.Object({ type: Type.Literal('signal'), handle, signal: Type.String({ maxLength: 20 }) }, closed),
  Type.Object({ type: Type.Literal('resize'), handle, ...TtySize.properties }, closed),
  Type.Object({ type: Type.Literal('ack'), handle, seq }, closed),
]);
export type ClientMessage = Static<typeof ClientMessage>;

export type ServerMessage =
  /** The run's new state; the first one after run.start carries its id. */
  | { type: 'run.state'; handle: number; run: Run }
  /** The run's end, after its last output. */
  | { type: 'run.exit'; handle: number; run: Run }
  /** Output that this subscriber will not get: it lagged, or came too late. */
  | { type: 'gap'; handle: number; from: number; to: number }
  /** The program took all input before `seq`: as far as `seq + STDIN_WINDOW_BYTES` may be sent. */
  | { type: 'stdin.credit'; handle: number; seq: number }
  /** There are other languages than before, or the same ones are others; `GET /v1/runtimes` has them. */
  | { type: 'runtimes.changed'; handle?: undefined }
  | { type: 'error'; handle?: number; error: ErrorBody };
