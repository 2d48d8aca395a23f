import { LastCallError } from '../../errors.ts';

/** The first frame of each side: what it speaks, and its limits. */
export interface Hello {
  /** The first and the last version that it speaks. */
  readonly versions: readonly [number, number];
  /** The longest payload of a frame that it takes, in bytes. */
  readonly maxFrame: number;
  /** Requests that it serves at once. 0 from a client. */
  readonly maxRequests: number;
  /** Bytes of payload that may be on their way to it, or unread there, on the whole connection. At least two frames. */
  readonly credit: number;
  /** The same for one request or reply. */
  readonly requestCredit: number;
  /** For how long it remembers the outcomes of requests with a key, in milliseconds. 0: not at all. */
  readonly remembers: number;
  /**
   * From a server: the name of the store that holds the outcomes. From a client: its identity, by which it proves on each
   * connection that the keys are its own; empty for none.
   */
  readonly store: string;
}

/** The version that this code speaks. */
export const VERSION = 1;

/** `LCCH`. It shows whether the other side speaks this protocol. */
const MAGIC = Uint8Array.of(0x4c, 0x43, 0x43, 0x48);

/** Bytes of a HELLO without its store's name. */
const FIXED = 27;

/** The longest HELLO that is read, in bytes. Later versions may append to it. */
export const LONGEST_HELLO = 1_024;

/** The smallest `maxFrame` that a side may announce, in bytes. */
export const LEAST_FRAME = 1_024;

export function encodeHello(hello: Hello): Uint8Array {
  const store = Buffer.from(hello.store);
  const bytes = Buffer.alloc(FIXED + store.length);
  bytes.set(MAGIC);
  bytes.set(hello.versions, 4);
  [hello.maxFrame, hello.maxRequests, hello.credit, hello.requestCredit, hello.remembers].forEach((value, index) =>
    bytes.writeUInt32BE(value, 6 + 4 * index),
  );
  bytes[26] = store.length;
  bytes.set(store, FIXED);
  return bytes;
}

/** Reads a HELLO. Later versions may append to it. Throws a `LastCallError` that names the mistake. */
export function decodeHello(payload: Uint8Array): Hello {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (bytes.length < FIXED || MAGIC.some((byte, index) => bytes[index] !== byte)) throw broken('it is not a HELLO');
  const [first = 0, last = 0] = [bytes[4], bytes[5]];
  const [maxFrame, maxRequests, credit, requestCredit, remembers] = [6, 10, 14, 18, 22].map((at) =>
    bytes.readUInt32BE(at),
  ) as [number, number, number, number, number];
  const end = FIXED + (bytes[26] ?? 0);
  if (first === 0 || last < first) throw broken(`it has no versions (${first} to ${last})`);
  if (maxFrame < LEAST_FRAME || credit < 2 * maxFrame || requestCredit < maxFrame) {
    throw broken(`its limits are too small (frames of ${maxFrame} bytes, credit ${credit} and ${requestCredit})`);
  }
  if (bytes.length < end) throw broken("its store's name is cut off");
  const store = bytes.toString('utf8', FIXED, end);
  return { versions: [first, last], maxFrame, maxRequests, credit, requestCredit, remembers, store };
}

/** The highest version that both sides speak. Throws a `LastCallError` with code `ERR_CHANNEL_VERSION` where there is none. */
export function chooseVersion(ours: Hello, theirs: Hello): number {
  const version = Math.min(ours.versions[1], theirs.versions[1]);
  if (version >= Math.max(ours.versions[0], theirs.versions[0])) return version;
  throw new LastCallError(
    'ERR_CHANNEL_VERSION',
    `We speak versions ${ours.versions.join(' to ')}, the other side ${theirs.versions.join(' to ')}`,
  );
}

function broken(what: string): LastCallError {
  return new LastCallError('ERR_CHANNEL_PROTOCOL', `The first frame of the other side is wrong: ${what}`);
}
