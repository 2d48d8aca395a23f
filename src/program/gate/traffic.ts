import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../../linux/constants.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { type Connection, dumpConnections } from '../../linux/tables/inet-diag.ts';
import type { HeldListener } from '../find/find-listeners.ts';

/** The connections of a program, as the kernel shows them. */
export interface Traffic {
  /** Connections at the addresses of the listeners. */
  readonly open: number;
  /** Connections whose client waits for an answer, as far as the kernel knows. */
  readonly unanswered: number;
}

// A client that has just sent data may send more, and one that has just connected has sent nothing yet; in ms.
const JUST_NOW = 100;

const OPEN_STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT);

/** Counts the connections of the listeners in our own network namespace. 0 if they cannot be read. */
export function readTraffic(listeners: readonly HeldListener[]): Traffic {
  const addresses = listeners.filter(({ namespace }) => namespace.isOwn).map(({ socket }) => socket.address);
  if (!addresses.some(({ family }) => family !== 'Unix')) return { open: 0, unanswered: 0 };
  const connections = dumpOpen().filter((connection) => addresses.some((address) => isAt(address, connection)));
  return { open: connections.length, unanswered: connections.filter(isUnanswered).length };
}

/** Counts the half-open connections to a listener's address in its namespace. 0 if they cannot be read. */
export function countHalfOpenAt({ socket, namespace }: HeldListener): number {
  try {
    return namespace.halfOpen().filter((handshake) => isAt(socket.address, handshake)).length;
  } catch {
    return 0;
  }
}

function dumpOpen(): readonly Connection[] {
  try {
    return dumpConnections(OPEN_STATES);
  } catch {
    return [];
  }
}

/** The program has not read the request, has not answered it, or the client has not acknowledged the answer. */
function isUnanswered({ unread, unacknowledged, lastSent, lastReceived }: Connection): boolean {
  if (unread > 0 || unacknowledged > 0) return true;
  if (lastSent === undefined || lastReceived === undefined) return false;
  // The client sent last. (A handshake starts both clocks.)
  return lastReceived < lastSent || lastReceived < JUST_NOW;
}

/** Whether the local end of a connection belongs to this listening address. */
export function isAt(
  address: SocketAddress,
  { localAddress, localPort }: Pick<Connection, 'localAddress' | 'localPort'>,
): boolean {
  if (address.family === 'Unix' || address.port !== localPort) return false;
  return isWildcard(address.address) || address.address === localAddress.replace(/^::ffff:(?=\d+\.)/, '');
}

/** Whether an address stands for all addresses of its family. */
export function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
