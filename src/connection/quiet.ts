import type net from 'node:net';
import { loadLibc } from '../linux/libc.ts';
import { unreadBytes } from '../linux/sockets.ts';
import { countRetransmissions, millisecondsQuiet } from '../linux/tcp-info.ts';
import { descriptorOf, responseOn } from '../node-fields.ts';
import { type Protocol, unacknowledged } from './connection.ts';
import { isUpgraded, programSocket } from './registry.ts';

/** How much had moved on a connection at some time, for where the kernel keeps no clock (Unix sockets, no FFI). */
export interface Movement {
  readonly bytes: number;
  readonly at: number;
}

/** What has moved on the connection until now; `at` stays as long as nothing more has. */
export function observe(socket: net.Socket, before: Movement | undefined): Movement {
  const bytes = socket.bytesRead + socket.bytesWritten;
  return before?.bytes === bytes ? before : { bytes, at: performance.now() };
}

/** Whether the protocol, or Node, shows that something is still to come on the connection from our side. */
export function isBusy(server: net.Server, socket: net.Socket, protocol: Protocol): boolean {
  const program = programSocket(socket);
  if (responseOn(program) !== undefined || program.writableLength > 0) return true;
  // Node ends the socket of a session that is over.
  if (protocol === 'h2') return !program.writableEnded;
  if (protocol === 'http/1.1') return isUpgraded(server, socket) && program.bytesRead > 0 && program.bytesWritten === 0;
  // The client has said its last word, and the program means to answer it: else Node would have ended the socket.
  return program.readableEnded && !program.writableEnded;
}

/**
 * Milliseconds for which nothing has moved on the connection either way; undefined while something waits to be written,
 * to be acknowledged or to be read.
 */
export function quietFor(socket: net.Socket, seen: Movement): number | undefined {
  if (unacknowledged(socket) > 0) return undefined;
  const observed = performance.now() - seen.at;
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available) return observed;
  try {
    if (unreadBytes(fd) > 0) return undefined;
    return socket.remoteAddress === undefined ? observed : millisecondsQuiet(fd);
  } catch {
    return observed;
  }
}

/**
 * Whether the client has said nothing yet and its SYN-ACK had to be sent again. It starts with a retransmission time-out
 * of 3 s then (RFC 6298 5.7): if its first segment is lost as well, it is silent for longer than others, and means to ask.
 */
export function isSilentAfterLoss(socket: net.Socket): boolean {
  const fd = descriptorOf(socket);
  if (socket.bytesRead > 0 || fd === undefined || !loadLibc().available) return false;
  try {
    return countRetransmissions(fd) > 0;
  } catch {
    return false;
  }
}
