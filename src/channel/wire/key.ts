/** The longest key, in bytes of UTF-8. */
export const LONGEST_KEY = 255;

// Keys are equal where their bytes are: nothing is left out, and nothing put in its place.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** A key as it stands before a payload: its length, then UTF-8. */
export function encodeKey(key: string): Uint8Array {
  const text = Buffer.from(key);
  return Buffer.concat([Uint8Array.of(text.length), text]);
}

/** The same, and how many bytes of the payload it takes. */
export function readKey(payload: Uint8Array): { readonly text: string; readonly length: number } | 'no key' {
  const [textLength = 0] = payload;
  const length = 1 + textLength;
  if (textLength === 0 || payload.length < length) return 'no key';
  try {
    return { text: decoder.decode(payload.subarray(1, length)), length };
  } catch {
    return 'no key';
  }
}
