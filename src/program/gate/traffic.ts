import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../../linux/constants.ts';
import { type Connection, dumpConnections } from '../../linux/tables/inet-diag.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import type { HeldListener } from '../find/find-listeners.ts';

/** What is seen from outside of a program's connections. */
export interface Traffic {
  /** Connections that the program, or its kernel, has at its listeners' addresses. */
  readonly open: number;
  /** Those whose client waits for an answer, as far as the kernel can tell. */
  readonly owed: number;
}

// One that has just spoken may have more to say, and one that has just been accepted has said nothing yet; in ms.
const JUST_NOW = 100;

const OPEN_STATES = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT);

/** Looks at the connections of the listeners that are in this process's network namespace. None where nobody can tell. */
export function lookAtTraffic(listeners: readonly HeldListener[]): Traffic {
  const addresses = listeners.filter(({ namespace }) => namespace.isOwn).map(({ socket }) => socket.address);
  if (!addresses.some(({ family }) => family !== 'Unix')) return { open: 0, owed: 0 };
  const connections = dumpOpen().filter((connection) => addresses.some((address) => isAt(address, connection)));
  return { open: connections.length, owed: connections.filter(isOwed).length };
}

/** How many handshakes to a listener's address are under way in its namespace. */
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

/** The program has not read it yet, or has not answered, or the answer is on its way. */
function isOwed({ unread, unacknowledged, lastSent, lastReceived }: Connection): boolean {
  if (unread > 0 || unacknowledged > 0) return true;
  if (lastSent === undefined || lastReceived === undefined) return false;
  // The client spoke last. (A handshake starts both clocks.)
  return lastReceived < lastSent || lastReceived < JUST_NOW;
}

/** Whether a connection, or a handshake, is one at this listening address. */
export function isAt(
  address: SocketAddress,
  { localAddress, localPort }: Pick<Connection, 'localAddress' | 'localPort'>,
): boolean {
  if (address.family === 'Unix' || address.port !== localPort) return false;
  const local = localAddress.replace(/^::ffff:(?=\d+\.)/, '');
  return address.address === '0.0.0.0' || address.address === '::' || address.address === local;
}
