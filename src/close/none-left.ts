/** What may still have connections: the closes of this process that are under way. */
const withSome = new Set<object>();
const waiting = new Set<() => void>();

/** A close begins. */
export function noteSome(close: object): void {
  withSome.add(close);
}

/** A close has no connection any more, and gets none. */
export function noteNoneLeft(close: object): void {
  withSome.delete(close);
  if (withSome.size > 0) return;
  for (const resolve of waiting) resolve();
  waiting.clear();
}

/** Resolves when no close of this process has connections, so that none can be sent to another process any more. */
export async function noneIsLeft(): Promise<void> {
  if (withSome.size > 0) await new Promise<void>((resolve) => waiting.add(resolve));
}
