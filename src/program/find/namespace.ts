import { readlinkSync } from 'node:fs';
import { TCP_CLOSE, TCP_LISTEN } from '../../linux/constants.ts';
import {
  dumpHalfOpen,
  dumpTcpListeners,
  type Family,
  type ListeningSocket,
  type VisitConnection,
  visitConnections,
} from '../../linux/tables/inet-diag.ts';
import { readNamespaceTables } from '../../linux/tables/proc-net.ts';
import { readTcpCounters, type TcpCounters } from '../../linux/tables/tcp-counters.ts';
import { dumpUnixListeners } from '../../linux/tables/unix-diag.ts';

/** The network namespace that a process is in, as far as its sockets can be asked about. */
export interface Namespace {
  /** Ours: netlink answers about it, and tells of connections. */
  readonly isOwn: boolean;
  listeners(): readonly ListeningSocket[];
  /** Handshakes under way, by where they go. */
  halfOpen(): readonly { readonly localAddress: string; readonly localPort: number }[];
  /** Ways to visit what is no listener, at these ends, the best first: one that throws has visited some of it. */
  readonly waysToVisit: readonly VisitConnections[];
  /** What TCP has counted in it. Throws where it cannot be told. */
  counters(): TcpCounters;
}

/** Visits at least the connections of these families to these ports. */
export type VisitConnections = (ends: readonly LocalPort[], visit: VisitConnection) => void;

/** A local port of one family. A listener of both families is IPv6, and so are its connections. */
export interface LocalPort {
  readonly family: Family;
  readonly port: number;
}

/** The namespace of a process; where nobody may tell, it is taken for ours, as it nearly always is. */
export function namespaceOf(pid: number): Namespace {
  const isOwn = linkOf('self') === (linkOf(String(pid)) ?? linkOf('self'));
  return isOwn ? OWN : otherNamespace(pid);
}

/** Ours, by netlink, or by /proc in a kernel without sock_diag. */
export const OWN: Namespace = {
  isOwn: true,
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
      return readNamespaceTables(process.pid).halfOpen;
    }
  },
  waysToVisit: [visitByNetlink, (_ends, visit) => visitRows(process.pid, visit)],
  counters: () => readTcpCounters(),
};

const FEW_PORTS = 4;

const ALL_STATES = ~((1 << TCP_LISTEN) | (1 << TCP_CLOSE));

/** The kernel walks its whole table for each question, and tells of those that were asked for only. */
function visitByNetlink(ends: readonly LocalPort[], visit: VisitConnection): void {
  if (ends.length <= FEW_PORTS) {
    for (const { family, port } of ends) visitConnections(family, { states: ALL_STATES, port }, visit);
    return;
  }
  for (const family of new Set(ends.map((end) => end.family))) visitConnections(family, { states: ALL_STATES }, visit);
}

function visitRows(pid: number, visit: VisitConnection): void {
  for (const { state, localPort, localAddress } of readNamespaceTables(pid).connections) {
    visit(state, localPort, () => localAddress);
  }
}

function otherNamespace(pid: number): Namespace {
  return {
    isOwn: false,
    listeners: () => readNamespaceTables(pid).listeners,
    halfOpen: () => readNamespaceTables(pid).halfOpen,
    waysToVisit: [(_ends, visit) => visitRows(pid, visit)],
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
