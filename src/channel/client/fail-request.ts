import { LastCallError } from '../../errors.ts';
import type { ClientRequest } from './request.ts';
import { FAILURE_CODES, wordFor } from '../wire/frames.ts';
import type { IncomingPayload } from '../flow/incoming-payload.ts';
import { printable } from '../link/link-errors.ts';

/** How the server says that a request has ended; what it does not know how to say leaves it unknown. */
export type FailureWord = keyof typeof FAILURE_CODES | undefined;

export function failureWord(code: number): FailureWord {
  return wordFor(FAILURE_CODES, code);
}

/** What a server's FAILURE lets the program know of its request, and whoever reads the reply that had begun. */
export function failRequest(
  request: ClientRequest,
  reply: IncomingPayload | undefined,
  how: FailureWord,
  text: string,
): void {
  const words = printable(text);
  if (how === 'failed') request.fail(new LastCallError('ERR_REQUEST_FAILED', words));
  // Under a key of the program's own another may have been processed, of which the store cannot say anything now.
  else if (how === 'not processed' && !request.asking.isOwnKey) request.giveUp(words);
  else request.failUnknown(words);
  reply?.fail(new LastCallError(how === 'failed' ? 'ERR_REQUEST_FAILED' : 'ERR_OUTCOME_UNKNOWN', words));
}

/** What the reader of a reply is told whose connection breaks. */
export function outcomeUnknown(cause: LastCallError): LastCallError {
  return new LastCallError('ERR_OUTCOME_UNKNOWN', 'The connection broke in the middle of the reply', { cause });
}
