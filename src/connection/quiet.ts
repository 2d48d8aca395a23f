import type net from 'node:net';
import { loadLibc } from '../linux/libc.ts';
import { unacknowledgedBytes, unreadBytes } from '../linux/sockets.ts';
import { type ConnectionInfo, readConnection } from '../linux/tcp-info.ts';
import { descriptorOf, isTcp } from '../node/fields.ts';
import { unsent } from './acknowledged.ts';
import { isHandshaking } from './tls/sockets.ts';

// A client that got its SYN-ACK at the second try has measured a round trip of a little over 1 s. It repeats its request
// 2, 5 and 11 round trips after the first time (a loss probe, RFC 8985 7.2; then time-outs, RFC 6298 2.2 and 5.5):
// this is enough for three losses, or for two after a SYN-ACK at the third try.
const LONG_SILENCE = 13_000;

// Once it has sent something: enough for two losses.
const LONG_SILENCE_LATER = 6_500;

// After this many round trips it has forgotten that one: its time-out has come down from 3 s to 0.6 s (tcp_rtt_estimator,
// net/ipv4/tcp_input.c, reckoned with round trips of 1 to 300 ms). A segment with data stands for one.
const FORGOTTEN_AFTER = 32;

// TCP_RTO_MIN of net/tcp.h.
const LEAST_TIMEOUT = 200;

// The longest time-out after which words that were lost twice come again within the 2 s that `idleWait` is by default: after
// one time-out, and then two more.
const USUAL_TIMEOUT = 600;

/** How much had moved on a connection at some time, for where the kernel keeps no clock (Unix sockets, no FFI). */
export interface Movement {
  readonly bytes: number;
  readonly at: number;
}

/** What has moved on the connection until now; `at` stays the same while nothing moves. */
export function observe(socket: net.Socket, before: Movement | undefined): Movement {
  const bytes = socket.bytesRead + socket.bytesWritten;
  return before?.bytes === bytes ? before : { bytes, at: performance.now() };
}

/** A connection on which nothing moves. */
export interface Silence {
  /** For how long, in milliseconds. */
  readonly quiet: number;
  /** What the kernel says of it; undefined where it keeps no clock. */
  readonly info: ConnectionInfo | undefined;
}

/**
 * The silence on a connection; undefined while something waits to be written or to be acknowledged. `observed` returns it
 * where the kernel keeps no clock.
 */
export function silenceOn(socket: net.Socket, observed: () => number): Silence | undefined {
  const fd = descriptorOf(socket);
  if (unsent(socket) > 0) return undefined;
  if (fd === undefined || !loadLibc().available) return { quiet: observed(), info: undefined };
  try {
    // A Unix socket has no clock.
    if (!isTcp(socket)) return unacknowledgedBytes(fd) > 0 ? undefined : { quiet: observed(), info: undefined };
    const info = readConnection(fd);
    return info.quiet === undefined ? undefined : { quiet: info.quiet, info };
  } catch {
    return { quiet: observed(), info: undefined };
  }
}

/** Whether there are bytes that nobody has read. Asked last before a half-close: they may be a request. */
export function hasUnread(socket: net.Socket): boolean {
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available) return false;
  try {
    return unreadBytes(fd) > 0;
  } catch {
    return false;
  }
}

/**
 * How long a client may be quiet before it is ended, in ms: `idleWait`, unless its request may be lost and repeated later.
 * A client repeats it after a time-out that it has measured as we have. So a client on a slow path gets longer in proportion,
 * and one that has sent nothing yet gets even longer, for it came to ask something. Where our SYN-ACK had to be repeated, the
 * client has measured that too, and gets more time until it has forgotten it. So does one whose TLS handshake has begun.
 */
export function patienceWith(socket: net.Socket, { info }: Pick<Silence, 'info'>, idleWait: number): number {
  if (isHandshaking(socket)) return Math.max(idleWait, LONG_SILENCE);
  // An `idleWait` of 0 waits for nobody.
  if (info === undefined || idleWait === 0) return idleWait;
  const isSilent = socket.bytesRead === 0;
  const longest = Math.max(idleWait, isSilent ? LONG_SILENCE : LONG_SILENCE_LATER);
  // Whatever was sent again after the handshake had a byte at least.
  const wasSynAckLost = info.retransmissions > info.retransmittedBytes;
  if (wasSynAckLost && info.dataSegments < FORGOTTEN_AFTER) return longest;
  const timeouts = info.retransmissionTimeout / (isSilent ? LEAST_TIMEOUT : USUAL_TIMEOUT);
  return Math.min(longest, Math.max(1, timeouts) * idleWait);
}
