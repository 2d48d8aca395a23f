export interface PacketParts {
  readonly version?: 4 | 6;
  readonly source: number;
  readonly destination: number;
  readonly sequence?: number;
  readonly flags: number;
  readonly payload?: string;
  /** Bytes of options in the TCP header, a multiple of 4. */
  readonly options?: number;
}

/** Makes a TCP packet for tests; addresses and checksums are left zero. */
export function buildPacket({
  version = 4,
  source,
  destination,
  sequence = 0,
  flags,
  payload = '',
  options = 0,
}: PacketParts): Buffer {
  const tcp = Buffer.alloc(20 + options);
  tcp.writeUInt16BE(source, 0);
  tcp.writeUInt16BE(destination, 2);
  tcp.writeUInt32BE(sequence, 4);
  tcp.writeUInt8((tcp.length / 4) << 4, 12);
  tcp.writeUInt8(flags, 13);
  const body = Buffer.concat([tcp, Buffer.from(payload, 'latin1')]);
  return Buffer.concat([version === 4 ? ipv4Header(body.length) : ipv6Header(body.length), body]);
}

function ipv4Header(length: number): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(header.length + length, 2);
  header.writeUInt8(6, 9);
  return header;
}

function ipv6Header(length: number): Buffer {
  const header = Buffer.alloc(40);
  header.writeUInt8(0x60, 0);
  header.writeUInt16BE(length, 4);
  header.writeUInt8(6, 6);
  return header;
}
