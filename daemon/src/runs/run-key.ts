/** How a request is known that was sent before, by a client that never heard the answer. */
import { createHash } from 'node:crypto';
import type { BatchRequest, RunRequest } from '../protocol/index.ts';
import type { RunKey } from '../store/store.ts';

/** @returns undefined where the client chose no key */
export function keyOf({ key, ...request }: RunRequest): RunKey | undefined {
  return key === undefined ? undefined : { name: key, requestHash: hashOf(request) };
}

/** The key of the run that an input of a batch has, by the input's index. @returns undefined where the client chose none */
export function inputKeysOf({ key, from: _, ...request }: BatchRequest): ((index: number) => RunKey) | undefined {
  if (key === undefined) return undefined;
  const requestHash = hashOf(request);
  return (index) => ({ name: `${key}[${index}]`, requestHash });
}

function hashOf(request: object): string {
  return createHash('sha256').update(JSON.stringify(request, ordered)).digest('hex');
}

/** For JSON.stringify: objects with the same fields become the same text. */
function ordered(_name: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)));
}
