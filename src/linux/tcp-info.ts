import { IPPROTO_TCP, TCP_INFO } from './constants.ts';
import { readOption } from './sockets.ts';

/**
 * struct tcp_info, linux/tcp.h: the fields that a close asks for, at their offsets. All are 32-bit but the last, which has 64
 * bits. (tcpi_state is the first byte.)
 */
const OFFSET = {
  tcpi_rto: 8,
  tcpi_snd_mss: 16,
  tcpi_unacked: 24,
  tcpi_sacked: 28,
  tcpi_last_data_sent: 44,
  tcpi_last_data_recv: 52,
  tcpi_total_retrans: 100,
  tcpi_notsent_bytes: 144,
  tcpi_data_segs_in: 152,
  tcpi_bytes_retrans: 208,
} as const;

// All that the fields above need; the kernel copies no more than it is asked for.
const SIZE = 216;

// Linux 4.6 has the fields up to tcpi_data_segs_in; what it does not have stays 0.
const LEAST_SIZE = 156;

/** How full a listener's accept queue is. */
export interface AcceptQueue {
  /** Connections whose handshake is complete and that nobody has accepted (tcpi_unacked of a listener). */
  readonly queued: number;
  /** What listen(2) and net.core.somaxconn allow (tcpi_sacked of a listener). */
  readonly limit: number;
}

/** The accept queue of a TCP listener, from TCP_INFO; about 1 µs. Throws a `SystemCallError`. */
export function readAcceptQueue(fd: number): AcceptQueue {
  const info = readTcpInfo(fd);
  return { queued: info.readUInt32LE(OFFSET.tcpi_unacked), limit: info.readUInt32LE(OFFSET.tcpi_sacked) };
}

/** What the kernel knows of a connection's silence. */
export interface ConnectionInfo {
  /**
   * Milliseconds since data last moved, either way; for a connection that never spoke, since its handshake
   * (tcp_create_openreq_child, net/ipv4/tcp_minisocks.c, starts both clocks). Undefined while something that was sent is not
   * acknowledged.
   */
  readonly quiet: number | undefined;
  /** The retransmission time-out as our side has measured it, in milliseconds (RFC 6298); 1 s or 3 s if it could not. */
  readonly retransmissionTimeout: number;
  /**
   * How often something had to be sent again, our SYN-ACK included (tcp_create_openreq_child takes that over from the
   * handshake).
   */
  readonly retransmissions: number;
  /** How many bytes of data had to be sent again; a SYN-ACK has none. */
  readonly retransmittedBytes: number;
  /** How many segments with data the peer has sent. */
  readonly dataSegments: number;
}

/** What TCP_INFO says of a connection. Throws a `SystemCallError`. */
export function readConnection(fd: number): ConnectionInfo {
  const info = readTcpInfo(fd);
  const isOnItsWay = info.readUInt32LE(OFFSET.tcpi_unacked) > 0 || info.readUInt32LE(OFFSET.tcpi_notsent_bytes) > 0;
  const { tcpi_last_data_sent: sent, tcpi_last_data_recv: received } = OFFSET;
  return {
    quiet: isOnItsWay ? undefined : Math.min(info.readUInt32LE(sent), info.readUInt32LE(received)),
    retransmissionTimeout: info.readUInt32LE(OFFSET.tcpi_rto) / 1_000,
    retransmissions: info.readUInt32LE(OFFSET.tcpi_total_retrans),
    // Without a BigInt; what is above 2 to the 53 is rounded.
    retransmittedBytes:
      info.readUInt32LE(OFFSET.tcpi_bytes_retrans) + info.readUInt32LE(OFFSET.tcpi_bytes_retrans + 4) * 2 ** 32,
    dataSegments: info.readUInt32LE(OFFSET.tcpi_data_segs_in),
  };
}

/** How much data a segment that we send carries at most, in bytes. */
export function sendingSegmentSize(fd: number): number {
  return readTcpInfo(fd).readUInt32LE(OFFSET.tcpi_snd_mss);
}

/** The state of a connection, as net/tcp_states.h numbers them. */
export function connectionState(fd: number): number {
  return readTcpInfo(fd).readUInt8(0);
}

// One for all: what is read from it is read before the next call.
const info = Buffer.alloc(SIZE);

function readTcpInfo(fd: number): Buffer {
  const written = readOption(fd, IPPROTO_TCP, TCP_INFO, info);
  if (written < LEAST_SIZE) throw new Error(`TCP_INFO is ${written} bytes long, expected at least ${LEAST_SIZE}`);
  return info;
}
