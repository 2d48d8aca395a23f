import { GOODBYE_REASONS, type GoodbyeReason, wordFor } from './frames.ts';

/** One 32-bit number as a payload. */
export function number32(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The 32-bit number at an offset. Undefined where the payload is too short. */
export function read32(payload: Uint8Array, offset: number = 0): number | undefined {
  if (payload.length < offset + 4) return undefined;
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(offset);
}

// The longest text of an ERROR or a FAILURE, in bytes. Texts end up in logs.
const LONGEST_TEXT = 512;

const textDecoder = new TextDecoder();

/** The payload of an ERROR or a FAILURE: a code (16 bits), and a text for people. */
export function codeAndText(code: number, text: string): Uint8Array {
  const words = Buffer.from(text).subarray(0, LONGEST_TEXT);
  return Buffer.concat([Uint8Array.of(code >> 8, code & 0xff), words]);
}

/**
 * Reads the payload of an ERROR or a FAILURE. Undefined where it is too short. The other side wrote the text, and it ends up on
 * terminals: invalid UTF-8 and control characters are replaced.
 */
export function readCodeAndText(payload: Uint8Array): { readonly code: number; readonly text: string } | undefined {
  const [high, low] = payload;
  if (high === undefined || low === undefined) return undefined;
  const text = textDecoder.decode(payload.subarray(2, 2 + LONGEST_TEXT)).replaceAll(/\p{C}/gu, '?');
  return { code: (high << 8) | low, text };
}

/** The longest key, in bytes of UTF-8. */
export const LONGEST_KEY = 255;

// Keys are equal where their bytes are equal, so a byte order mark counts, and invalid UTF-8 is not replaced.
const keyDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A key, as it stands before the payload of a request: its length in one byte, then UTF-8. */
export function encodeKey(key: string): Uint8Array {
  const text = Buffer.from(key);
  return Buffer.concat([Uint8Array.of(text.length), text]);
}

/** The key at the start of a payload, and the number of bytes that it takes. */
export function readKey(payload: Uint8Array): { readonly text: string; readonly length: number } | 'no key' {
  const [textLength = 0] = payload;
  const length = 1 + textLength;
  if (textLength === 0 || payload.length < length) return 'no key';
  try {
    return { text: keyDecoder.decode(payload.subarray(1, length)), length };
  } catch {
    return 'no key';
  }
}

/** The content of a farewell. */
export interface GoodbyeWords {
  /** Default `closing`. `moving on` is for one client, which then makes a new connection, here or elsewhere. */
  readonly reason?: GoodbyeReason;
  /** For how long the client must not come back to this address, in milliseconds. Default 0. */
  readonly retryAfter?: number;
}

/** A GOODBYE that came. `reason` is undefined where its code is unknown. */
export interface ReceivedGoodbye {
  readonly reason: GoodbyeReason | undefined;
  readonly retryAfter: number;
}

/** The payload of a GOODBYE: reason (16 bits), retry-after in milliseconds (32 bits). */
export function encodeGoodbye({ reason = 'closing', retryAfter = 0 }: GoodbyeWords): Uint8Array {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(GOODBYE_REASONS[reason]);
  bytes.writeUInt32BE(retryAfter, 2);
  return bytes;
}

/** Reads the payload of a GOODBYE. Undefined where it is too short. Later versions may append to it. */
export function decodeGoodbye(payload: Uint8Array): ReceivedGoodbye | undefined {
  const retryAfter = read32(payload, 2);
  const [high = 0, low = 0] = payload;
  return retryAfter === undefined ? undefined : { reason: wordFor(GOODBYE_REASONS, (high << 8) | low), retryAfter };
}
