import { LastCallError } from '../../errors.ts';
import { isChunks } from '../flow/close-chunks.ts';
import { NOTHING } from '../wire/frames.ts';
import type { Outcome, Resolved } from './outcomes.ts';
import { type ChannelRequest, failureText, type HandlerResult, type ServedRequest, WholeRequest } from './request.ts';
import type { ServingSettings } from './settings.ts';

/** How a request with a key ends: its payload is read whole, then it is processed, unless it was. It does not reject. */
export async function resolveOnce(request: ServedRequest, key: string, settings: ServingSettings): Promise<Resolved> {
  let payload: Uint8Array;
  try {
    payload = await request.bytes();
  } catch (error) {
    return { notProcessed: error instanceof LastCallError ? error.message : 'its payload did not come whole' };
  }
  const resolved = await settings.outcomes.resolve(key, request.signal, (signal) =>
    perform(new WholeRequest(request.peer, key, payload, signal), settings),
  );
  if ('cause' in resolved) settings.onError(resolved.cause, request.peer);
  return resolved;
}

async function perform(request: ChannelRequest, settings: ServingSettings): Promise<Outcome> {
  try {
    return { reply: await wholeReply(await settings.handler(request), settings.maxPayload) };
  } catch (error) {
    settings.onError(error, request.peer);
    return { failure: failureText(error) };
  }
}

/** What is remembered is remembered whole. */
async function wholeReply(result: HandlerResult, longest: number): Promise<Uint8Array> {
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
