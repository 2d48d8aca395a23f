import { setTimeout as sleep } from 'node:timers/promises';

/** Longer than any step takes on a busy machine, in ms. */
export const LONGEST_WAIT = 60_000;

/** Waits for a promise. Rejects after `limit` ms, default 60,000, with an error that names `what` was awaited. */
export async function within<T>(what: string, promise: Promise<T>, limit: number = LONGEST_WAIT): Promise<T> {
  const over = new AbortController();
  const late = sleep(limit, undefined, { signal: over.signal }).then(() => {
    throw new Error(`Waited ${limit} ms for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    over.abort();
    late.catch(() => {});
  }
}
