/** What the wire looks at in a TCP packet. */
export interface Segment {
  readonly version: 4 | 6;
  readonly source: number;
  readonly destination: number;
  readonly sequence: number;
  readonly flags: number;
  /** Where the payload begins in the packet, and its length; both in bytes. */
  readonly payloadAt: number;
  readonly payload: number;
}

// RFC 9293 section 3.1
export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const ACK = 0x10;

const TCP = 6;
const MORE_FRAGMENTS_OR_OFFSET = 0x3fff;
const IPV6_HEADER = 40;
const SMALLEST_IPV4_HEADER = 20;
const SMALLEST_TCP_HEADER = 20;

/**
 * Reads the packet in the first `length` bytes. Undefined for what is not a whole, well-formed TCP packet: other
 * protocols, fragments, IPv6 with extension headers (no host of the lab sends them on TCP), truncated ones.
 */
export function parseSegment(bytes: Buffer, length: number): Segment | undefined {
  if (length < SMALLEST_IPV4_HEADER || length > bytes.length) return undefined;
  const version = bytes.readUInt8(0) >> 4;
  if (version === 4) return parseIpv4(bytes, length);
  if (version === 6) return parseIpv6(bytes, length);
  return undefined;
}

function parseIpv4(bytes: Buffer, length: number): Segment | undefined {
  const header = (bytes.readUInt8(0) & 0x0f) * 4;
  const total = bytes.readUInt16BE(2);
  if (header < SMALLEST_IPV4_HEADER || total > length) return undefined;
  if (bytes.readUInt8(9) !== TCP || (bytes.readUInt16BE(6) & MORE_FRAGMENTS_OR_OFFSET) !== 0) return undefined;
  return parseTcp(4, bytes, header, total);
}

function parseIpv6(bytes: Buffer, length: number): Segment | undefined {
  if (length < IPV6_HEADER || bytes.readUInt8(6) !== TCP) return undefined;
  const total = IPV6_HEADER + bytes.readUInt16BE(4);
  return total > length ? undefined : parseTcp(6, bytes, IPV6_HEADER, total);
}

function parseTcp(version: 4 | 6, bytes: Buffer, at: number, end: number): Segment | undefined {
  if (at + SMALLEST_TCP_HEADER > end) return undefined;
  const header = (bytes.readUInt8(at + 12) >> 4) * 4;
  const payloadAt = at + header;
  if (header < SMALLEST_TCP_HEADER || payloadAt > end) return undefined;
  return {
    version,
    source: bytes.readUInt16BE(at),
    destination: bytes.readUInt16BE(at + 2),
    sequence: bytes.readUInt32BE(at + 4),
    flags: bytes.readUInt8(at + 13),
    payloadAt,
    payload: end - payloadAt,
  };
}
