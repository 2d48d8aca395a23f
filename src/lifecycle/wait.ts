/**
 * Resolves when one of the signals aborts, or after `most` ms. It has listeners and a timer of its own: Node 20 may collect a
 * composite of AbortSignal.timeout too early.
 */
export async function waitForAbort(signals: readonly AbortSignal[], most: number): Promise<void> {
  if (signals.some((signal) => signal.aborted)) return;
  const settled = new AbortController();
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, most);
    settled.signal.addEventListener('abort', () => clearTimeout(timer));
    for (const signal of signals) {
      signal.addEventListener('abort', () => resolve(), { once: true, signal: settled.signal });
    }
  });
  settled.abort();
}
