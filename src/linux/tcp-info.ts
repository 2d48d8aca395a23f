import { IPPROTO_TCP, TCP_INFO } from './constants.ts';
import { readOption } from './sockets.ts';

/** struct tcp_info, linux/tcp.h: the fields that a close reads, at their offsets. All have 32 bits. (tcpi_state is the first byte.) */
const OFFSET = {
  tcpi_rto: 8,
  tcpi_snd_mss: 16,
  tcpi_unacked: 24,
  tcpi_sacked: 28,
  tcpi_last_data_sent: 44,
  tcpi_last_data_recv: 52,
  tcpi_last_ack_recv: 56,
  tcpi_total_retrans: 100,
  tcpi_notsent_bytes: 144,
  tcpi_data_segs_in: 152,
  tcpi_data_segs_out: 156,
  tcpi_rcv_ooopack: 224,
} as const;

// The size of all fields above; the kernel copies no more than it is asked for.
const SIZE = 228;

// Linux 4.6 has the fields up to tcpi_data_segs_out; the last one, of Linux 5.4, stays 0 there.
const LEAST_SIZE = 160;

/** The data that moved on a connection, as a tcp_info counts it. */
export interface DataMoved {
  /** Time since data was last sent, in ms. */
  readonly lastSent: number;
  /** Time since data was last received, in ms. Both clocks start at the handshake, and turn with the kernel's ticks. */
  readonly lastReceived: number;
  /** Time since the peer last acknowledged something, with data or without, in ms. */
  readonly lastAcknowledged: number;
  /** How many segments with data the peer has sent, repeated ones included. */
  readonly segmentsIn: number;
  /** How many segments with data were sent to the peer, repeated ones included. */
  readonly segmentsOut: number;
}

/** Decodes a tcp_info that came from sock_diag. Undefined if it is too short. */
export function decodeDataMoved(bytes: Buffer): DataMoved | undefined {
  if (bytes.length < LEAST_SIZE) return undefined;
  return {
    lastSent: bytes.readUInt32LE(OFFSET.tcpi_last_data_sent),
    lastReceived: bytes.readUInt32LE(OFFSET.tcpi_last_data_recv),
    lastAcknowledged: bytes.readUInt32LE(OFFSET.tcpi_last_ack_recv),
    segmentsIn: bytes.readUInt32LE(OFFSET.tcpi_data_segs_in),
    segmentsOut: bytes.readUInt32LE(OFFSET.tcpi_data_segs_out),
  };
}

/** How full a listener's accept queue is. */
export interface AcceptQueue {
  /** Connections with a complete handshake that the program has not accepted (tcpi_unacked of a listener). */
  readonly queued: number;
  /** What listen(2) and net.core.somaxconn allow (tcpi_sacked of a listener). */
  readonly limit: number;
}

/** Reads the accept queue of a TCP listener from TCP_INFO; takes about 1 µs. Throws a `SystemCallError`. */
export function readAcceptQueue(fd: number): AcceptQueue {
  const info = readTcpInfo(fd);
  return { queued: info.readUInt32LE(OFFSET.tcpi_unacked), limit: info.readUInt32LE(OFFSET.tcpi_sacked) };
}

/** What TCP_INFO has about a connection. */
export interface ConnectionInfo {
  /**
   * Time since data last moved, in either direction, in ms. A connection without data counts from its handshake
   * (tcp_create_openreq_child, net/ipv4/tcp_minisocks.c, starts both clocks). Undefined while sent data is not acknowledged.
   */
  readonly quiet: number | undefined;
  /** The retransmission time-out that our side has measured, in ms (RFC 6298); 1,000 or 3,000 without a measurement. */
  readonly retransmissionTimeout: number;
  /**
   * How many segments were sent again, our SYN-ACK included (tcp_create_openreq_child copies the number of the handshake).
   */
  readonly retransmissions: number;
  /** How many segments with data the peer has sent. */
  readonly dataSegments: number;
  /** How many segments of the peer's have come before those that they follow. Its FIN may be one. */
  readonly outOfOrder: number;
}

/** For how long nothing of a kind has moved on a connection, in ms; the kernel's clock ticks every 1 to 10 ms. */
export interface LastMovements {
  readonly sent: number;
  readonly received: number;
  /** Since the last segment of the peer that acknowledges anything, with data or without. */
  readonly acknowledged: number;
  /** How many segments with data were sent and received. */
  readonly segmentsSent: number;
  readonly segmentsReceived: number;
}

/** Reads from TCP_INFO what moved last on a connection. Throws a `SystemCallError`. */
export function readLastMovements(fd: number): LastMovements {
  const info = readTcpInfo(fd);
  return {
    sent: info.readUInt32LE(OFFSET.tcpi_last_data_sent),
    received: info.readUInt32LE(OFFSET.tcpi_last_data_recv),
    acknowledged: info.readUInt32LE(OFFSET.tcpi_last_ack_recv),
    segmentsSent: info.readUInt32LE(OFFSET.tcpi_data_segs_out),
    segmentsReceived: info.readUInt32LE(OFFSET.tcpi_data_segs_in),
  };
}

/** Reads TCP_INFO of a connection. Throws a `SystemCallError`. */
export function readConnection(fd: number): ConnectionInfo {
  const info = readTcpInfo(fd);
  const isOnItsWay = info.readUInt32LE(OFFSET.tcpi_unacked) > 0 || info.readUInt32LE(OFFSET.tcpi_notsent_bytes) > 0;
  const { tcpi_last_data_sent: sent, tcpi_last_data_recv: received } = OFFSET;
  return {
    quiet: isOnItsWay ? undefined : Math.min(info.readUInt32LE(sent), info.readUInt32LE(received)),
    retransmissionTimeout: info.readUInt32LE(OFFSET.tcpi_rto) / 1_000,
    retransmissions: info.readUInt32LE(OFFSET.tcpi_total_retrans),
    dataSegments: info.readUInt32LE(OFFSET.tcpi_data_segs_in),
    outOfOrder: info.readUInt32LE(OFFSET.tcpi_rcv_ooopack),
  };
}

/** The largest amount of data in a segment that we send, in bytes. */
export function sendingSegmentSize(fd: number): number {
  return readTcpInfo(fd).readUInt32LE(OFFSET.tcpi_snd_mss);
}

/** The state of a connection: a number of net/tcp_states.h. */
export function connectionState(fd: number): number {
  return readTcpInfo(fd).readUInt8(0);
}

// One buffer for all calls: each caller reads it before the next call.
const info = Buffer.alloc(SIZE);

function readTcpInfo(fd: number): Buffer {
  const written = readOption(fd, IPPROTO_TCP, TCP_INFO, info);
  if (written < LEAST_SIZE) throw new Error(`TCP_INFO is ${written} bytes long, expected at least ${LEAST_SIZE}`);
  return info;
}
