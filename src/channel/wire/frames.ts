/** The kinds of frames (docs/channel-protocol.md). */
export const FRAME = {
  hello: 0x01,
  request: 0x02,
  reply: 0x03,
  data: 0x04,
  failure: 0x05,
  cancel: 0x06,
  credit: 0x07,
  message: 0x08,
  ping: 0x09,
  pong: 0x0a,
  goodbye: 0x0b,
  goodbyeAck: 0x0c,
  error: 0x0d,
  received: 0x0e,
} as const;

/** From this kind on, a receiver ignores frames that it does not know. */
export const FIRST_OPTIONAL = 0x80;

/** Flag: the payload ends with this frame. */
export const END = 0x01;
/** Flag: the payload begins with a request key. */
export const KEYED = 0x02;

/** Bytes before a payload: its length (32 bits, big-endian), kind, flags, id (32 bits). */
export const HEADER_LENGTH = 10;

/** The highest id of a request. A client that has used it makes a new connection. */
export const LAST_ID = 0xffff_ffff;

export const NOTHING: Uint8Array = new Uint8Array(0);

/** How a request ended, as the code of a FAILURE. */
export const FAILURE_CODES = {
  /** The handler threw or rejected. The request was processed. */
  failed: 1,
  /** The handler was not called. The request may be sent again. */
  'not processed': 2,
  /** The request was begun, and the server does not know how it ended. */
  unknown: 3,
  /** The client cancelled the request. */
  cancelled: 4,
  /** Its key was used before, with another payload. The request was not processed, and what was processed is another one. */
  'key reused': 5,
} as const;

/** Why a side ends the connection, as the code of an ERROR. */
export const ERROR_CODES = {
  protocol: 1,
  version: 2,
  limit: 3,
  timeout: 4,
} as const;
export type ErrorKind = keyof typeof ERROR_CODES;

/** Why a side leaves, as the reason of a GOODBYE. */
export const GOODBYE_REASONS = {
  closing: 0,
  idle: 1,
  'ids used up': 2,
  'moving on': 3,
} as const;

/** Why a side leaves a connection. `moving on`: the service goes on, and the client makes a new connection. */
export type GoodbyeReason = keyof typeof GOODBYE_REASONS;

/** The word for a code that came over the wire. Undefined for an unknown code. */
export function wordFor<Word extends string>(words: Readonly<Record<Word, number>>, code: number): Word | undefined {
  return (Object.keys(words) as Word[]).find((word) => words[word] === code);
}
