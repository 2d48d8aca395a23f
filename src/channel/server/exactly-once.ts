import { LastCallError } from '../../errors.ts';
import { isChunks } from '../flow/chunks.ts';
import { NOTHING } from '../wire/frames.ts';
import { digestOf } from './caller.ts';
import type { ServerSettings } from './options.ts';
import type { Outcome, Resolved } from './outcomes.ts';
import {
  type ChannelRequest,
  failureText,
  type HandlerResult,
  type ServedRequest,
  WholeRequest,
  wrongReplyError,
} from './request.ts';

/** Reads a request with a key whole, and processes it unless its key was processed before. Does not reject. */
export async function processOnce(request: ServedRequest, key: string, settings: ServerSettings): Promise<Resolved> {
  let payload: Uint8Array;
  try {
    payload = await request.bytes();
  } catch (error) {
    return { notProcessed: error instanceof LastCallError ? error.message : 'its payload did not come whole' };
  }
  const asked = { key, owner: request.peer.identity, digest: digestOf(payload) };
  const resolved = await settings.outcomes.resolve(asked, request.signal, (signal) =>
    perform(new WholeRequest(request.peer, asked, payload, signal), settings),
  );
  if ('cause' in resolved) settings.onError(resolved.cause, request.peer);
  return resolved;
}

async function perform(request: ChannelRequest, settings: ServerSettings): Promise<Outcome> {
  try {
    return { reply: await wholeReply(await settings.handler(request), settings.link.maxPayload) };
  } catch (error) {
    settings.onError(error, request.peer);
    return { failure: failureText(error) };
  }
}

/** Reads a reply whole, because the store keeps it whole. */
async function wholeReply(result: HandlerResult, longest: number): Promise<Uint8Array> {
  if (result === undefined || result instanceof Uint8Array) return result ?? NOTHING;
  if (!isChunks(result)) throw wrongReplyError(result);
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of result) {
    length += chunk.length;
    if (length > longest) throw new LastCallError('ERR_CHANNEL_LIMIT', `The reply is longer than ${longest} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}
