import type net from 'node:net';
import { TCP_CLOSING, TCP_FIN_WAIT1, TCP_LAST_ACK } from '../linux/constants.ts';
import { loadLibc } from '../linux/libc.ts';
import { unacknowledgedBytes } from '../linux/sockets.ts';
import { connectionState, sendingSegmentSize } from '../linux/tcp-info.ts';
import { descriptorOf, isTcp, undispatchedBytes, writeQueueSize } from '../node/fields.ts';
import { programSocket } from './tls/sockets.ts';

/** In these states our FIN is not acknowledged; the kernel counts it as a byte (tcp_send_fin, net/ipv4/tcp_output.c). */
const FIN_UNACKNOWLEDGED: ReadonlySet<number> = new Set([TCP_FIN_WAIT1, TCP_CLOSING, TCP_LAST_ACK]);

/** Bytes sent that the peer has not acknowledged, those still in the program included; 0 where that cannot be known. */
export function unacknowledged(socket: net.Socket): number {
  const { bytes, state } = askKernel(socket);
  const isFinAmongThem = bytes > 0 && state !== undefined && FIN_UNACKNOWLEDGED.has(state);
  return unsent(socket) + bytes - (isFinAmongThem ? 1 : 0);
}

/** Bytes that have not reached the kernel. (`writableLength` counts a chunk that is being written as a whole.) */
export function unsent(socket: net.Socket): number {
  return undispatchedBytes(programSocket(socket)) + writeQueueSize(socket);
}

/**
 * How much of a last response a peer may have read without acknowledging it: two segments (RFC 1122 4.2.3.2). Some clients,
 * HAProxy and undici among them, reset the connection as soon as they have read it, and the kernel takes no acknowledgement
 * from a reset. 0 where that cannot be known.
 */
export function delayedAcknowledgement(socket: net.Socket): number {
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available || !isTcp(socket)) return 0;
  try {
    return 2 * sendingSegmentSize(fd);
  } catch {
    return 0;
  }
}

/** Whether the peer has acknowledged everything, our FIN included. */
export function isDelivered(socket: net.Socket): boolean {
  return writeQueueSize(socket) === 0 && askKernel(socket).bytes === 0;
}

export function askKernel(socket: net.Socket): { readonly bytes: number; readonly state: number | undefined } {
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available) return { bytes: 0, state: undefined };
  try {
    const bytes = unacknowledgedBytes(fd);
    return { bytes, state: bytes > 0 && isTcp(socket) ? connectionState(fd) : undefined };
  } catch {
    return { bytes: 0, state: undefined };
  }
}
