import { setTimeout as sleep } from 'node:timers/promises';

/** How long a helper waits where the test does not say: longer than any step takes on a busy machine, in milliseconds. */
export const LONGEST_WAIT = 60_000;

/** Waits for a promise, and rejects with `what` was awaited after `limit` milliseconds, default 60,000. */
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

/**
 * Looks every 5 ms until `isSo`, for a state that nobody sends a message about: an entry of /proc, a kernel table. Rejects
 * with `what` was awaited after `limit` milliseconds, default 60,000.
 */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  limit: number = LONGEST_WAIT,
): Promise<void> {
  const end = performance.now() + limit;
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`Waited ${limit} ms until ${what}`);
    await sleep(5);
  }
}
