import { readlinkSync } from 'node:fs';
import { readNamespaceTables } from '../linux/proc-listeners.ts';
import { dumpHalfOpen } from '../linux/sock-diag.ts';
import { dumpTcpListeners, dumpUnixListeners, type ListeningSocket } from '../linux/socket-tables.ts';

/** The network namespace that a process is in, as far as its sockets can be asked about. */
export interface Namespace {
  /** Ours: netlink answers about it, and tells of connections. */
  readonly isOwn: boolean;
  listeners(): readonly ListeningSocket[];
  /** Handshakes under way, by where they go. */
  halfOpen(): readonly { readonly localAddress: string; readonly localPort: number }[];
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
};

function otherNamespace(pid: number): Namespace {
  return {
    isOwn: false,
    listeners: () => readNamespaceTables(pid).listeners,
    halfOpen: () => readNamespaceTables(pid).halfOpen,
  };
}

function linkOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}
