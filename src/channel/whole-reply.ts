import { LastCallError } from '../errors.ts';
import { isChunks } from './close-chunks.ts';
import { NOTHING } from './frames.ts';
import type { HandlerResult } from './request.ts';

/** What is remembered is remembered whole. */
export async function wholeReply(result: HandlerResult, longest: number): Promise<Uint8Array> {
  if (result === undefined || result instanceof Uint8Array) return result ?? NOTHING;
  if (!isChunks(result)) throw new TypeError(`Expected a reply of bytes or chunks of them, got ${typeof result}`);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of result) {
    length += chunk.length;
    if (length > longest) throw new LastCallError('ERR_CHANNEL_LIMIT', `The reply is longer than ${longest} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
