import type net from 'node:net';
import { loadLibc } from '../linux/libc.ts';
import { unacknowledgedBytes, unreadBytes } from '../linux/sockets.ts';
import { countRetransmissions, millisecondsQuiet, retransmissionTimeout } from '../linux/tcp-info.ts';
import { descriptorOf, isTcp } from '../node-fields.ts';
import { unsent } from './delivered.ts';
import { isHandshaking } from './tls.ts';

// A client that got its SYN-ACK at the second try has measured a round trip of 1 s and a little. It sends its first words
// again 2, 5 and 11 round trips after the first time (a loss probe, RFC 8985 7.2; then time-outs, RFC 6298 2.2 and 5.5):
// this is enough for three losses, or for two after a SYN-ACK at the third try.
const LONG_SILENCE = 13_000;

// TCP_RTO_MIN of net/tcp.h.
const LEAST_TIMEOUT = 200;

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

/**
 * Milliseconds for which nothing has moved on the connection either way; undefined while something waits to be written,
 * to be acknowledged or to be read. `observed` tells it where the kernel keeps no clock.
 */
export function quietFor(socket: net.Socket, observed: () => number): number | undefined {
  const fd = descriptorOf(socket);
  if (unsent(socket) > 0) return undefined;
  if (fd === undefined || !loadLibc().available) return observed();
  try {
    const quiet = isTcp(socket) ? millisecondsQuiet(fd) : quietByUnix(fd, observed);
    // The last question before a half-close: a request that is there already is to be served.
    return quiet === undefined || unreadBytes(fd) > 0 ? undefined : quiet;
  } catch {
    return observed();
  }
}

/** A Unix socket has no clock. */
function quietByUnix(fd: number, observed: () => number): number | undefined {
  return unacknowledgedBytes(fd) > 0 ? undefined : observed();
}

/**
 * How long a client may be quiet before it is ended, in milliseconds: `idleWait`, unless it has said nothing yet. Then its
 * first words may have been lost on the way, more than once. It sends them again after a time-out that it has measured
 * as we have: on a slow path it gets longer in proportion. Where our SYN-ACK had to be sent again the client has measured
 * that, too, and gets `LONG_SILENCE`, as does one whose TLS handshake has begun.
 */
export function patienceWith(server: net.Server, socket: net.Socket, idleWait: number): number {
  const longest = Math.max(idleWait, LONG_SILENCE);
  if (isHandshaking(server, socket)) return longest;
  const fd = descriptorOf(socket);
  if (socket.bytesRead > 0 || fd === undefined || !loadLibc().available) return idleWait;
  try {
    if (countRetransmissions(fd) > 0) return longest;
    return Math.min(longest, Math.max(1, retransmissionTimeout(fd) / LEAST_TIMEOUT) * idleWait);
  } catch {
    return idleWait;
  }
}
