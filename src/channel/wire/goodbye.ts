import { GOODBYE_REASONS, type GoodbyeReason, read32, wordFor } from './frames.ts';
import type { GoodbyeWords } from './peer.ts';

/** Reason (16 bits), retry-after in milliseconds (32 bits). */
export function encodeGoodbye({ reason = 'closing', retryAfter = 0 }: GoodbyeWords): Uint8Array {
  const bytes = Buffer.alloc(6);
  bytes.writeUInt16BE(GOODBYE_REASONS[reason]);
  bytes.writeUInt32BE(retryAfter, 2);
  return bytes;
}

/** The same as it came; what is behind it is a later version's. */
export function decodeGoodbye(
  payload: Uint8Array,
): { readonly reason: GoodbyeReason | undefined; readonly retryAfter: number } | undefined {
  const retryAfter = read32(payload, 2);
  const [high = 0, low = 0] = payload;
  return retryAfter === undefined ? undefined : { reason: wordFor(GOODBYE_REASONS, (high << 8) | low), retryAfter };
}
