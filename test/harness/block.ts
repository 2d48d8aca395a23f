const NEVER = new Int32Array(new SharedArrayBuffer(4));

/**
 * Holds up this process's loop until `isSo`: the kernel goes on to take in clients, and the program does not see them. Throws
 * with `what` was awaited after `limit` milliseconds, default 20,000.
 */
export function blockUntil(what: string, isSo: () => boolean, limit = 20_000): void {
  const end = performance.now() + limit;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`Blocked ${limit} ms until ${what}`);
    Atomics.wait(NEVER, 0, 0, 1);
  }
}
