/** How a request is known that was sent before, by a client that never heard the answer. */
import { createHash } from 'node:crypto';
import type { RunRequest } from '../protocol/index.ts';
import type { RunKey } from '../store/store.ts';

/** @returns undefined where the client chose no key */
export function keyOf({ key, ...request }: RunRequest): RunKey | undefined {
  if (key === undefined) return undefined;
  return { name: key, requestHash: createHash('sha256').update(JSON.stringify(request, ordered)).digest('hex') };
}

/** For JSON.stringify: objects with the same fields become the same text. */
function ordered(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
