import { IPPROTO_TCP, TCP_INFO } from './constants.ts';
import { readOption } from './sockets.ts';

/** struct tcp_info, linux/tcp.h: the fields that a close asks for, at their offsets. All are 32-bit. (tcpi_state is the first byte.) */
const OFFSET = {
  tcpi_rto: 8,
  tcpi_snd_mss: 16,
  tcpi_unacked: 24,
  tcpi_sacked: 28,
  tcpi_last_data_sent: 44,
  tcpi_last_data_recv: 52,
  tcpi_total_retrans: 100,
  tcpi_notsent_bytes: 144,
} as const;

// All that the fields above need; the kernel copies no more than it is asked for. (tcpi_notsent_bytes is there from 4.6 on.)
const SIZE = 148;

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

/**
 * Milliseconds since data last moved on a connection, either way, as the kernel counts them; for one that
 * never spoke, since its handshake (tcp_create_openreq_child, net/ipv4/tcp_minisocks.c, starts both clocks).
 * Undefined while something that was sent is not acknowledged.
 */
export function millisecondsQuiet(fd: number): number | undefined {
  const info = readTcpInfo(fd);
  if (info.readUInt32LE(OFFSET.tcpi_unacked) > 0 || info.readUInt32LE(OFFSET.tcpi_notsent_bytes) > 0) return undefined;
  return Math.min(info.readUInt32LE(OFFSET.tcpi_last_data_sent), info.readUInt32LE(OFFSET.tcpi_last_data_recv));
}

/** The retransmission time-out as our side measured it in the handshake, in milliseconds (RFC 6298); 3 s if it could not. */
export function retransmissionTimeout(fd: number): number {
  return readTcpInfo(fd).readUInt32LE(OFFSET.tcpi_rto) / 1_000;
}

/**
 * How often something had to be sent again on a connection, its SYN-ACK included (tcp_create_openreq_child takes that
 * over from the handshake).
 */
export function countRetransmissions(fd: number): number {
  return readTcpInfo(fd).readUInt32LE(OFFSET.tcpi_total_retrans);
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
  if (written < SIZE) throw new Error(`TCP_INFO is ${written} bytes long, expected at least ${SIZE}`);
  return info;
}
