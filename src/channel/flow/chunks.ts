import { isObject } from '../../option-checks.ts';

/** Bytes, or chunks of them where the payload is long or not known yet. */
export type Payload = Uint8Array | AsyncIterable<Uint8Array>;

/** Whether a value can be chunks: the payload of a request, or the result of a handler. */
export function isChunks(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Closes chunks that nobody has begun to read: a stream would keep its file open. Ignores what that throws. */
export async function closeChunks(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    // The iterator of a stream of Node is a generator: before the first next(), its return() alone does nothing.
    if ('destroy' in chunks && typeof chunks.destroy === 'function') chunks.destroy();
    else await chunks[Symbol.asyncIterator]().return?.();
  } catch {}
}

/** The iterator of the program's chunks. Where the program throws instead of giving one, the first `next` rejects. */
export function iterateChunks(payload: AsyncIterable<Uint8Array>): AsyncIterator<Uint8Array> {
  try {
    const chunks: unknown = payload[Symbol.asyncIterator]();
    if (isObject(chunks)) return chunks as unknown as AsyncIterator<Uint8Array>;
    throw new TypeError(`Expected an iterator of chunks, got ${typeof chunks}`);
  } catch (error) {
    return { next: () => Promise.reject(error) };
  }
}

/** The next chunk, undefined at the end. Rejects where the program gives anything else. */
export async function nextChunk(chunks: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const result: unknown = await chunks.next();
  if (!isObject(result)) throw new TypeError(`Expected the result of an iterator, got ${typeof result}`);
  const { done, value }: { readonly done?: unknown; readonly value?: unknown } = result;
  if (done === true) return undefined;
  if (value instanceof Uint8Array) return value;
  throw new TypeError(`Expected chunks of bytes, got ${typeof value}`);
}

/** Stops reading chunks before their end. Ignores what that throws. */
export async function leaveChunks(chunks: AsyncIterator<Uint8Array> | undefined): Promise<void> {
  try {
    await chunks?.return?.();
  } catch {}
}
