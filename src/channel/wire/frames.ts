/** The kinds of frames (docs/channel-protocol.md). From 0x80 on a receiver that does not know one ignores it. */
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

/** The first kind that a receiver may ignore. */
export const FIRST_OPTIONAL = 0x80;

/** Nothing more of this payload comes. */
export const END = 0x01;
/** The payload begins with a request key: its length in one byte, then UTF-8. */
export const KEYED = 0x02;

/** Bytes before a payload: its length (32 bits, big-endian), kind, flags, id (32 bits). */
export const HEADER_LENGTH = 10;

/** The highest id that a request can have; before it has come a client leaves for a new connection. */
export const LAST_ID = 0xffff_ffff;

export const NOTHING: Uint8Array = new Uint8Array(0);

/** What a FAILURE says of one request. */
export const FAILURE_CODES = {
  /** The handler threw, or rejected: the request was processed, and this is how it ended. */
  failed: 1,
  /** The handler was not called: the request may be sent again. */
  'not processed': 2,
  /** It was begun, and nobody knows how it ended. */
  unknown: 3,
  /** The client has taken it back. */
  cancelled: 4,
} as const;

/** What an ERROR says of a connection. */
export const ERROR_CODES = {
  protocol: 1,
  version: 2,
  limit: 3,
  timeout: 4,
} as const;
export type ErrorKind = keyof typeof ERROR_CODES;

/** What a GOODBYE gives as its reason. */
export const GOODBYE_REASONS = {
  closing: 0,
  idle: 1,
  'ids used up': 2,
  'moving on': 3,
} as const;

/** Why a connection is left. `moving on`: the other side is to come again, here or elsewhere; the service does not close. */
export type GoodbyeReason = keyof typeof GOODBYE_REASONS;

/** The word for a number that came over the wire; undefined for one that is not known. */
export function wordFor<Word extends string>(words: Readonly<Record<Word, number>>, code: number): Word | undefined {
  return (Object.keys(words) as Word[]).find((word) => words[word] === code);
}

/** One 32-bit number as a payload. */
export function number32(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A 32-bit number in a payload, where there is one. */
export function read32(payload: Uint8Array, offset: number = 0): number | undefined {
  if (payload.length < offset + 4) return undefined;
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(offset);
}

/** What an ERROR or a FAILURE carries: a code (16 bits), and words for people. */
export function codeAndText(code: number, text: string): Uint8Array {
  const words = Buffer.from(text).subarray(0, LONGEST_TEXT);
  return Buffer.concat([Uint8Array.of(code >> 8, code & 0xff), words]);
}

/** The same as it came; what is no UTF-8 in the text is replaced. */
export function readCodeAndText(payload: Uint8Array): { readonly code: number; readonly text: string } | undefined {
  const [high, low] = payload;
  if (high === undefined || low === undefined) return undefined;
  return { code: (high << 8) | low, text: textDecoder.decode(payload.subarray(2, 2 + LONGEST_TEXT)) };
}

// What somebody may have to say about an error, in bytes; it ends in logs.
const LONGEST_TEXT = 512;

const textDecoder = new TextDecoder();
