import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../../linux/constants.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { type Connection, dumpConnections } from '../../linux/tables/inet-diag.ts';
import { addressText, readTcpRowsAt } from '../../linux/tables/proc-net.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import type { Namespace } from '../find/namespace.ts';

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
  const connections = findOpen(addresses).filter((connection) =>
    addresses.some((address) => isAt(address, connection)),
  );
  return { open: connections.length, unanswered: connections.filter(isUnanswered).length };
}

/** Counts the half-open connections to a listener's address in its namespace. 0 if they cannot be read. */
export function countHalfOpenAt({ socket, namespace }: HeldListener): number {
  try {
    return halfOpenIn(namespace).filter((handshake) => isAt(socket.address, handshake)).length;
  } catch {
    return 0;
  }
}

/** Counts of the same turn of the loop share a table: the kernel walks all sockets of the host for it. */
const tables = new Map<Namespace, ReturnType<Namespace['halfOpen']>>();

function halfOpenIn(namespace: Namespace): ReturnType<Namespace['halfOpen']> {
  const known = tables.get(namespace);
  if (known !== undefined) return known;
  const table = namespace.halfOpen();
  if (tables.size === 0) setImmediate(() => tables.clear());
  tables.set(namespace, table);
  return table;
}

/** What counts of a connection. */
type OpenConnection = Omit<Connection, 'remoteAddress' | 'remotePort' | 'inode'>;

function findOpen(addresses: readonly SocketAddress[]): readonly OpenConnection[] {
  try {
    return dumpConnections(OPEN_STATES);
  } catch {
    // No tcp_diag in this kernel, or no netlink for this process.
    return findOpenInProc(addresses);
  }
}

function findOpenInProc(addresses: readonly SocketAddress[]): readonly OpenConnection[] {
  const ports = new Set(addresses.flatMap((address) => (address.family === 'Unix' ? [] : address.port)));
  try {
    return [...ports]
      .flatMap((port) => [...readTcpRowsAt('IPv4', port), ...readTcpRowsAt('IPv6', port)])
      .flatMap(({ local, localPort, state, receiveQueue, transmitQueue }) =>
        ((1 << state) & OPEN_STATES) === 0
          ? []
          : {
              localAddress: addressText(local),
              localPort,
              state,
              unread: receiveQueue,
              unacknowledged: transmitQueue,
              lastSent: undefined,
              lastReceived: undefined,
            },
      );
  } catch {
    return [];
  }
}

/** The program has not read the request, has not answered it, or the client has not acknowledged the answer. */
function isUnanswered({ unread, unacknowledged, lastSent, lastReceived }: OpenConnection): boolean {
  if (unread > 0 || unacknowledged > 0) return true;
  // /proc does not say when something last moved: whoever is connected may be waiting for an answer.
  if (lastSent === undefined || lastReceived === undefined) return true;
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
