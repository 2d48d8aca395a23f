/** Whether something is chunks: of a payload, or of a handler's result. */
export function isChunks(value: unknown): value is AsyncIterable<Uint8Array> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** Lets go of chunks that nobody has begun to read: a stream would keep its file open. What it throws is nobody's any more. */
export async function closeChunks(chunks: AsyncIterable<Uint8Array>): Promise<void> {
  try {
    // The iterator of a stream of Node's is a generator: its return() alone does nothing before the first next().
    if ('destroy' in chunks && typeof chunks.destroy === 'function') chunks.destroy();
    else await chunks[Symbol.asyncIterator]().return?.();
  } catch {}
}
