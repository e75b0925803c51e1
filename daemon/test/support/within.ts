import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits no longer than that.
 * @param what should come about, as the message of the failure says it
 * @throws Error when it has not by then; whatever the promise rejects with
 */
export async function within<T>(ms: number, what: string | (() => string), promise: Promise<T>): Promise<T> {
  const limit = new AbortController();
  const overdue = sleep(ms, undefined, { signal: limit.signal }).then(
    () => {
      throw new Error(`This did not come about within ${ms / 1_000} s: ${typeof what === 'string' ? what : what()}`);
    },
    () => promise, // it has settled
  );
  try {
    return await Promise.race([promise, overdue]);
  } finally {
    limit.abort();
  }
}
