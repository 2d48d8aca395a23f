import { setTimeout as sleep } from 'node:timers/promises';
import { LONGEST_WAIT } from '../../src/within.ts';

export { LONGEST_WAIT, within } from '../../src/within.ts';

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
