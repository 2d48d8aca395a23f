import type { LastCallError } from '../../errors.ts';
import type { ClientRequest } from './request.ts';

/** How a server remembers the outcomes of requests with a key. */
export interface ServerMemory {
  /** The name of the store. */
  readonly store: string;
  /** For how long, in milliseconds. */
  readonly remembers: number;
}

/**
 * Whether a request is sent again after its connection broke, or `cause` ended it, so that it may have been processed. Settles it if
 * not.
 */
export function isSentAgain(
  request: ClientRequest,
  { store }: ServerMemory,
  maxSendings: number,
  cause: LastCallError | undefined,
): boolean {
  if (request.isSettled) return false;
  const { details, timesSent } = request;
  request.maybeProcessedIn ??= store;
  if (!details.idempotent && details.key === undefined) request.failUnknown('its connection broke', cause);
  else if (timesSent >= maxSendings) {
    request.failUnknown(`it was sent ${timesSent} times, and each time the connection broke`, cause);
  }
  return !request.isSettled;
}

/**
 * Whether this server may get a request. Where it may have been processed, a server that does not remember it would process it
 * twice (docs/channel.md). Settles it if not.
 */
export function isAcceptable(request: ClientRequest, { store, remembers }: ServerMemory, now: number): boolean {
  const { maybeProcessedIn, details, sentAt = 0 } = request;
  if (maybeProcessedIn === undefined || details.idempotent) return true;
  if (maybeProcessedIn !== store) request.failUnknown('the server that was found remembers nothing of it');
  else if (now - sentAt > remembers / 2) {
    request.failUnknown(`the server remembers for ${remembers} ms, and half of that has passed`);
  }
  return !request.isSettled;
}
