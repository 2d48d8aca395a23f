import { closeSync, openSync, readlinkSync } from 'node:fs';
import { TCP_CLOSE, TCP_LISTEN } from '../../linux/constants.ts';
import {
  type ConnectionEnds,
  dumpHalfOpen,
  dumpTcpListeners,
  type Family,
  type ListeningSocket,
  type VisitConnection,
  visitConnections,
} from '../../linux/tables/inet-diag.ts';
import { inNetworkNamespace } from '../../linux/namespace.ts';
import { livingThreadOf } from '../../linux/process/processes.ts';
import { readHalfOpen, readNamespaceTables } from '../../linux/tables/proc-net.ts';
import { readTcpCounters, type TcpCounters } from '../../linux/tables/tcp-counters.ts';
import { dumpUnixListeners } from '../../linux/tables/unix-diag.ts';

/** The network namespace of a process, and its sockets. */
export interface Namespace {
  /** Netlink answers only about our own namespace. */
  readonly isOwn: boolean;
  /** A process of it, for /proc. */
  readonly pid: number | 'self';
  /** Calls `act` where netlink answers about this namespace. Throws without the right to enter it (setns(2)). */
  enter<T>(act: () => T): T;
  listeners(): readonly ListeningSocket[];
  /** Half-open connections, with their local ends. */
  halfOpen(): readonly Pick<ConnectionEnds, 'localAddress' | 'localPort'>[];
  /** Methods to visit connections, the best first. One that throws may have visited some of them. */
  readonly visitors: readonly VisitConnections[];
  /** What TCP has counted in the namespace. Throws if it cannot be read. */
  counters(): TcpCounters;
}

/** Visits at least the connections to these ports. */
export type VisitConnections = (ends: readonly LocalPort[], visit: VisitConnection) => void;

/** A local port of one family. A dual-stack listener is IPv6, and so are its connections. */
export interface LocalPort {
  readonly family: Family;
  readonly port: number;
}

/** The namespace of a process. If it cannot be read, it counts as ours, as it nearly always is. */
export function namespaceOf(pid: number): Namespace {
  const isOwn = linkOf('self') === (linkOf(`${pid}/task/${livingThreadOf(pid)}`) ?? linkOf('self'));
  return isOwn ? OWN : otherNamespace(pid);
}

/** Our own namespace, by netlink, or by /proc if the kernel has no sock_diag. */
export const OWN: Namespace = {
  isOwn: true,
  pid: 'self',
  enter: (act) => act(),
  listeners: () => {
    try {
      return [...dumpTcpListeners(), ...dumpUnixListeners()];
    } catch {
      return readNamespaceTables(process.pid).listeners;
    }
  },
  halfOpen: () => {
    try {
      return [...dumpHalfOpen('IPv4'), ...dumpHalfOpen('IPv6')];
    } catch {
      return readHalfOpen(process.pid);
    }
  },
  visitors: [visitByNetlink, (_ends, visit) => visitByProc(process.pid, visit)],
  counters: () => readTcpCounters(),
};

const FEW_PORTS = 4;

const ALL_STATES = ~((1 << TCP_LISTEN) | (1 << TCP_CLOSE));

/** The kernel walks its whole table for each request, but returns only the requested rows: for many ports one request is cheaper. */
function visitByNetlink(ends: readonly LocalPort[], visit: VisitConnection): void {
  if (ends.length <= FEW_PORTS) {
    for (const { family, port } of ends) visitConnections(family, { states: ALL_STATES, port }, visit);
    return;
  }
  for (const family of new Set(ends.map((end) => end.family))) visitConnections(family, { states: ALL_STATES }, visit);
}

function visitByProc(pid: number, visit: VisitConnection): void {
  for (const { state, localPort, localAddress } of readNamespaceTables(pid).connections) {
    visit(state, localPort, () => localAddress);
  }
}

function otherNamespace(pid: number): Namespace {
  return {
    isOwn: false,
    pid,
    enter: (act) => {
      const descriptor = openSync(`/proc/${pid}/ns/net`, 'r');
      try {
        return inNetworkNamespace(descriptor, act);
      } finally {
        closeSync(descriptor);
      }
    },
    listeners: () => readNamespaceTables(pid).listeners,
    halfOpen: () => readHalfOpen(pid),
    visitors: [(_ends, visit) => visitByProc(pid, visit)],
    counters: () => readTcpCounters(pid),
  };
}

function linkOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** The lengths of the accept queues, by the inode of the listener. */
export function queuesIn(namespace: Namespace): ReadonlyMap<number, number> {
  try {
    return new Map(namespace.listeners().map(({ inode, queued }) => [inode, queued]));
  } catch {
    return new Map();
  }
}
