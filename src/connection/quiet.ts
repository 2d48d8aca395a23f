import type net from 'node:net';
import { loadLibc } from '../linux/libc.ts';
import { recentLosses } from '../linux/losses.ts';
import { unacknowledgedBytes, unreadBytes } from '../linux/sockets.ts';
import { type ConnectionInfo, readConnection } from '../linux/tcp-info.ts';
import { descriptorOf, isTcp } from '../node/fields.ts';
import { unsent } from './acknowledged.ts';
import { isHandshaking, programSocket } from './tls/sockets.ts';

// A client that got its SYN-ACK at the second try has measured a round trip of a little over 1 s. It repeats its request
// 2, 5 and 11 round trips after the first time (a loss probe, RFC 8985 7.2; then time-outs, RFC 6298 2.2 and 5.5):
// this is enough for three losses, or for two after a SYN-ACK at the third try. A client whose host remembers such a round trip
// (tcp_metrics, tcp(7)) repeats its request after 0.3, 3.5 and 10 s.
const LONG_SILENCE = 13_000;

// Where many segments are lost, the memory of the client's host grows from one stop to the next. It has been seen to remember 1.7 s,
// and repeats a request after 0.3, 5.4 and 16 s then: this is enough for three losses.
const LONGEST_SILENCE = 17_000;

// Enough for two losses. It is given to a client that has sent something, and where few segments are lost.
const LONG_SILENCE_LATER = 6_500;

// How long before Node's own end, in ms: a look may be late.
const BEFORE_NODE = 500;

// The share of lost segments from which two losses in a row are as likely as one client in 100,000, and that for three losses.
const FEW_LOSSES = 0.003;
const MANY_LOSSES = 0.02;

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

/** How many segments of a TCP client's have come out of order: what it said before them was lost. 0 where that is not known. */
export function outOfOrderOn(socket: net.Socket): number {
  const fd = descriptorOf(socket);
  if (fd === undefined || !isTcp(socket) || !loadLibc().available) return 0;
  try {
    return readConnection(fd).outOfOrder;
  } catch {
    return 0;
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
 * and one that has sent nothing yet gets even longer, for it came to ask something. Where we had to repeat something on the
 * connection, as our SYN-ACK, the client has measured that too, and gets more time until it has forgotten it. So does a client
 * of a host that loses segments, for it may remember the losses of earlier connections, and one whose TLS handshake has begun.
 */
export function patienceWith(socket: net.Socket, { info }: Pick<Silence, 'info'>, idleWait: number): number {
  if (isHandshaking(socket)) return Math.max(idleWait, LONG_SILENCE);
  // An `idleWait` of 0 waits for nobody.
  if (info === undefined || idleWait === 0) return idleWait;
  const isSilent = socket.bytesRead === 0;
  const isNear = isOnThisHost(socket);
  const losses = isNear ? 0 : recentLosses();
  const longSilence = losses < MANY_LOSSES ? LONG_SILENCE : LONGEST_SILENCE;
  const longest = isSilent ? Math.max(idleWait, longSilence) : longestAfterWords(socket, idleWait);
  // On this host only a full queue throws words away, and only the first ones. What we repeated later was a probe.
  const mayBeLost = isSilent || !isNear;
  if (mayBeLost && info.retransmissions > 0 && info.dataSegments < FORGOTTEN_AFTER) return longest;
  const timeouts = info.retransmissionTimeout / (isSilent ? LEAST_TIMEOUT : USUAL_TIMEOUT);
  const byTimeout = Math.min(longest, Math.max(1, timeouts) * idleWait);
  return Math.max(byTimeout, Math.min(longest, patienceAt(losses, isSilent)));
}

/** Our end comes before that of Node's keepAliveTimeout: Node closes the connection, and a request on its way would be reset. */
function longestAfterWords(socket: net.Socket, idleWait: number): number {
  const { timeout = 0 } = programSocket(socket);
  return Math.max(idleWait, timeout > 0 ? Math.min(LONG_SILENCE_LATER, timeout - BEFORE_NODE) : LONG_SILENCE_LATER);
}

/** How long a client may be quiet where this share of the segments is lost. */
function patienceAt(share: number, isSilent: boolean): number {
  // After the answer to its first request a client goes by what it has measured on this connection.
  if (!isSilent) return share < MANY_LOSSES ? 0 : LONG_SILENCE_LATER;
  if (share < FEW_LOSSES) return 0;
  return share < MANY_LOSSES ? LONG_SILENCE_LATER : LONGEST_SILENCE;
}

/**
 * Whether what a client sends may be lost on the way, longer than it is waited for: this host has lately lost segments. A client
 * that has spoken goes by what it has measured on this connection: its words are lost so often only where many are.
 */
export function mayLoseWords(socket: net.Socket): boolean {
  return !isOnThisHost(socket) && recentLosses() >= (socket.bytesRead === 0 ? FEW_LOSSES : MANY_LOSSES);
}

/** Nothing is lost on the loopback, whatever other paths lose. */
function isOnThisHost({ remoteAddress = '' }: net.Socket): boolean {
  return remoteAddress === '::1' || /^(::ffff:)?127\./.test(remoteAddress);
}
