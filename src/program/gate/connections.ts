import type { SocketAddress } from '../../linux/sockets.ts';
import { socketsOf } from '../../linux/process/processes.ts';
import { type Connection, dumpConnections } from '../../linux/tables/inet-diag.ts';
import { addressText, readTcpRowsAt } from '../../linux/tables/proc-net.ts';
import { dumpUnixConnections, type UnixConnection } from '../../linux/tables/unix-diag.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import type { Namespace } from '../find/namespace.ts';

// The kernel walks its whole table for each port.
const FEW_PORTS = 4;

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

/** What counts of a connection. The table of /proc has the inode, too, and it is not needed there. */
export type OpenConnection = Omit<Connection, 'inode'> & { readonly inode?: number };

/** At a listener that another process serves too, a successor for one, only the connections that the program holds are its own. */
export function isOfOthers(
  listeners: readonly HeldListener[],
): (connection: OpenConnection | UnixConnection) => boolean {
  const shared = listeners.filter(({ sharedBecause, isPassed }) => sharedBecause !== undefined && !isPassed);
  if (shared.length === 0) return () => false;
  const ours = new Set(shared.flatMap(({ holders }) => holders.flatMap(({ pid }) => inodesOf(pid))));
  return (connection) =>
    connection.inode !== undefined &&
    !ours.has(connection.inode) &&
    shared.some(({ socket: { address } }) =>
      'path' in connection ? address.family === 'Unix' && address.path === connection.path : isAt(address, connection),
    );
}

function inodesOf(pid: number): readonly number[] {
  try {
    return [...socketsOf(pid).keys()];
  } catch {
    // It has ended, or cannot be inspected.
    return [];
  }
}

/** The TCP connections of the listeners in these states (bits), each in the namespace of its listener. None if they cannot be read. */
export function connectionsOf(listeners: readonly HeldListener[], states: number): readonly OpenConnection[] {
  const namespaces = new Map<Namespace['pid'], Namespace>();
  for (const { namespace } of listeners) namespaces.set(namespace.pid, namespace);
  return [...namespaces.values()].flatMap((namespace) => {
    const addresses = listeners
      .filter((held) => held.namespace.pid === namespace.pid)
      .map(({ socket }) => socket.address);
    const ports = new Set(addresses.flatMap((address) => (address.family === 'Unix' ? [] : [address.port])));
    if (ports.size === 0) return [];
    return findAt(namespace, ports, states).filter((connection) =>
      addresses.some((address) => isAt(address, connection)),
    );
  });
}

function findAt(namespace: Namespace, ports: ReadonlySet<number>, states: number): readonly OpenConnection[] {
  try {
    return namespace.enter(() =>
      ports.size <= FEW_PORTS
        ? [...ports].flatMap((port) => dumpConnections(states, port))
        : dumpConnections(states).filter(({ localPort }) => ports.has(localPort)),
    );
  } catch {
    // No tcp_diag in this kernel, no netlink for this process, or no right to enter the namespace.
    return findInProc(namespace, ports, states);
  }
}

function findInProc({ pid }: Namespace, ports: ReadonlySet<number>, states: number): readonly OpenConnection[] {
  try {
    return [...ports]
      .flatMap((port) => [...readTcpRowsAt('IPv4', port, pid), ...readTcpRowsAt('IPv6', port, pid)])
      .filter(({ state }) => ((1 << state) & states) !== 0)
      .map(({ local, localPort, remote, remotePort, state, receiveQueue, transmitQueue }) => ({
        localAddress: addressText(local),
        localPort,
        remoteAddress: addressText(remote),
        remotePort,
        state,
        unread: receiveQueue,
        unacknowledged: transmitQueue,
        moved: undefined,
      }));
  } catch {
    return [];
  }
}

/** The inodes of the connections that were accepted on Unix listeners. None if they cannot be read. */
export function acceptedOnUnix(listeners: readonly HeldListener[]): readonly number[] {
  const unix = listeners.filter(({ socket }) => socket.address.family === 'Unix');
  const isOther = isOfOthers(unix);
  const namespaces = new Map(unix.map(({ namespace }) => [namespace.pid, namespace]));
  return [...namespaces.values()].flatMap((namespace) => {
    const here = unix.filter((held) => held.namespace.pid === namespace.pid);
    const paths = new Set(here.map(({ socket }) => (socket.address.family === 'Unix' ? socket.address.path : '')));
    try {
      const found = namespace.enter(() => dumpUnixConnections());
      return found.filter((one) => paths.has(one.path) && !isOther(one)).map(({ inode }) => inode);
    } catch {
      return [];
    }
  });
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
