/**
 * Resolves when one of the signals aborts, or after so many milliseconds. With listeners and a timer of its own: on Node 20 a
 * composite of AbortSignal.timeout can be collected before its time.
 */
export async function untilAborted(signals: readonly AbortSignal[], most: number): Promise<void> {
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
