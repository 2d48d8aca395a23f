import type { LastCallErrorCode } from '../../errors.ts';
import { ERROR_CODES, type ErrorKind, wordFor } from '../wire/frames.ts';

/** What an ERROR is here, whichever side has said it. */
export const LINK_ERRORS: Readonly<Record<ErrorKind, LastCallErrorCode>> = {
  protocol: 'ERR_CHANNEL_PROTOCOL',
  version: 'ERR_CHANNEL_VERSION',
  limit: 'ERR_CHANNEL_LIMIT',
  timeout: 'ERR_CHANNEL_TIMEOUT',
};

/** The same for one that came over the wire; one that is not known is about the protocol. */
export function linkErrorFor(code: number): LastCallErrorCode {
  return LINK_ERRORS[wordFor(ERROR_CODES, code) ?? 'protocol'];
}

/** What somebody else has written ends on terminals and in logs. */
export function printable(text: string): string {
  return text.replaceAll(/\p{C}/gu, '?');
}
