import {
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
} from '../../linux/constants.ts';
import type { ConnectionEnds } from '../../linux/tables/inet-diag.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import { acceptedOnUnix, connectionsOf, isOfOthers, type OpenConnection } from './connections.ts';

/** The connections of a program, as the kernel shows them. */
export interface Traffic {
  /** The connections at the addresses of the listeners, by their ends. */
  readonly open: ReadonlySet<string>;
  /** Those whose client waits for an answer, as far as the kernel knows. */
  readonly unanswered: ReadonlyMap<string, Exchange>;
  /** Others, used a short time ago, of which the kernel does not show whether the words or the answer came last. */
  readonly unclear: ReadonlyMap<string, Exchange>;
  /** Others to which the program has sent something a short time ago: the answer may go on. */
  readonly recent: ReadonlyMap<string, Exchange>;
  /** How many others were used a moment ago. */
  readonly justUsed: number;
}

/** How many segments with data went over a connection. */
export interface Exchange {
  readonly received: number;
  readonly sent: number;
}

/** What became of a connection. */
export interface Fate {
  /** What had moved when its program closed it first. Undefined if it is open, or if its client closed it first. */
  readonly endedAt: Exchange | undefined;
}

// In ms. A client that has just sent data may send more.
const JUST_NOW = 100;
/** How long it is waited for a connection whose last words and last answer were in one tick of the kernel's clock, in ms. */
export const UNCLEAR_FOR = 2_000;
// The kernel delivers what the program has written. Only while that moves may the program have more to write.
const STALLED_AFTER = 3_000;
// A client whose last words are as old is taken for one that only speaks, such as a shipper of logs.
const ONLY_SPEAKS_AFTER = 60_000;

const OPEN_STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT);
/** The program has closed the connection before the client. */
const ENDED_STATES = (1 << TCP_FIN_WAIT1) | (1 << TCP_FIN_WAIT2) | (1 << TCP_CLOSING);

/** Reads the connections of the listeners. None if they cannot be read. */
export function readTraffic(listeners: readonly HeldListener[]): Traffic {
  const isOther = isOfOthers(listeners);
  const open = new Set<string>();
  const unanswered = new Map<string, Exchange>();
  const unclear = new Map<string, Exchange>();
  const recent = new Map<string, Exchange>();
  let justUsed = 0;
  for (const connection of connectionsOf(listeners, OPEN_STATES)) {
    if (isOther(connection)) continue;
    const ends = endsOf(connection);
    open.add(ends);
    if (isUnanswered(connection)) unanswered.set(ends, exchangeOn(connection));
    else if (isUnclear(connection)) unclear.set(ends, exchangeOn(connection));
    else if (isRecent(connection)) recent.set(ends, exchangeOn(connection));
    if (!unanswered.has(ends) && !unclear.has(ends) && isJustUsed(connection)) justUsed += 1;
  }
  // The kernel shows nothing of what moved there: each client may be waiting for an answer.
  for (const inode of acceptedOnUnix(listeners)) {
    open.add(unixEnds(inode));
    unanswered.set(unixEnds(inode), { received: 0, sent: 0 });
  }
  return { open, unanswered, unclear, recent, justUsed };
}

/** Whether these ends are of an accepted connection on a Unix socket. */
export function isUnix(ends: string): boolean {
  return ends.startsWith(UNIX);
}

/** What became of the connections of the listeners. Those that the kernel has forgotten, or keeps in TIME_WAIT, are not in it. */
export function readFates(listeners: readonly HeldListener[]): ReadonlyMap<string, Fate> {
  const states = OPEN_STATES | ENDED_STATES | (1 << TCP_LAST_ACK);
  return new Map(
    connectionsOf(listeners, states).map((connection): [string, Fate] => [
      endsOf(connection),
      { endedAt: ((1 << connection.state) & ENDED_STATES) === 0 ? undefined : exchangeOn(connection) },
    ]),
  );
}

const UNIX = 'unix ';

function unixEnds(inode: number): string {
  return `${UNIX}${inode}`;
}

/** A name for the ends of a connection, the client's first. Either end may show an IPv4 address as one of IPv6. */
export function endsOf(ends: ConnectionEnds): string {
  const { localAddress, localPort, remoteAddress, remotePort } = ends;
  const plain = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '');
  return `${plain(remoteAddress)} ${remotePort} ${plain(localAddress)} ${localPort}`;
}

function exchangeOn({ moved }: OpenConnection): Exchange {
  return { received: moved?.segmentsIn ?? 0, sent: moved?.segmentsOut ?? 0 };
}

/** The program has not read the request, has not answered it, or is still sending the answer. */
function isUnanswered({ state, unread, unacknowledged, moved }: OpenConnection): boolean {
  // The client's FIN counts as a byte (tcp_diag_get_info, net/ipv4/tcp_diag.c).
  if (unread > (state === TCP_CLOSE_WAIT ? 1 : 0)) return true;
  // /proc does not say when something last moved: each that is connected may be waiting for an answer.
  if (moved === undefined) return true;
  const { lastSent, lastReceived, segmentsIn, segmentsOut } = moved;
  if (unacknowledged > 0 && lastSent < STALLED_AFTER) return true;
  // A handshake starts both clocks, and the first request may come in the same tick.
  const spokeLast = segmentsOut === 0 ? segmentsIn > 0 : lastReceived < lastSent;
  return spokeLast && lastReceived < ONLY_SPEAKS_AFTER;
}

function isUnclear({ moved }: OpenConnection): boolean {
  if (moved === undefined || moved.segmentsIn === 0 || moved.segmentsOut === 0) return false;
  const { lastSent, lastReceived, lastAcknowledged } = moved;
  // An acknowledgement that came after the words is the answer's.
  return lastSent === lastReceived && lastAcknowledged >= lastReceived && lastReceived < UNCLEAR_FOR;
}

function isRecent({ moved }: OpenConnection): boolean {
  return moved !== undefined && moved.segmentsOut > 0 && moved.lastSent < UNCLEAR_FOR;
}

function isJustUsed({ moved }: OpenConnection): boolean {
  return moved !== undefined && moved.lastReceived < JUST_NOW;
}
