import { inodeOf } from '../linux/descriptors.ts';
import { type HalfOpen, dumpHalfOpen, readUnixQueue } from '../linux/sock-diag.ts';
import { readTcpTable } from '../linux/proc-net.ts';
import { isIPv6Only } from '../linux/sockets.ts';
import { readAcceptQueue } from '../linux/tcp-info.ts';
import { descriptorOf } from '../node-fields.ts';
import { type Listener, withoutZone } from './listener.ts';

// net/tcp_states.h
const SYN_RECV = 3;
const LISTEN = 10;

/** How many connections wait to be accepted; undefined where nobody can tell. */
export function countQueued(listener: Listener): number | undefined {
  const fd = listener.descriptor();
  try {
    if (fd === undefined) return queuedByProc(listener);
    return listener.address?.family === 'Unix' ? readUnixQueue(inodeOf(fd)) : readAcceptQueue(fd).queued;
  } catch {
    return undefined;
  }
}

/**
 * How many handshakes to the listener's address and port are under way. The kernel counts them per port, so those of a
 * sibling that listens on the same one (SO_REUSEPORT) are among them. 0 where nobody can tell.
 */
export function countHalfOpen(listener: Listener): number {
  const { address } = listener;
  if (address === undefined || address.family === 'Unix' || process.platform !== 'linux') return 0;
  try {
    return familiesOf(listener).reduce((count, family) => count + countFamily(listener, family, address.port), 0);
  } catch {
    return 0;
  }
}

function countFamily(listener: Listener, family: 'IPv4' | 'IPv6', port: number): number {
  try {
    return dumpHalfOpen(family, port).filter((halfOpen) => isFor(listener, halfOpen)).length;
  } catch {
    // No tcp_diag in this kernel, an answer that was cut short, or no FFI.
    return readTcpTable(family).filter((row) => row.state === SYN_RECV && row.localPort === port).length;
  }
}

function isFor(listener: Listener, halfOpen: HalfOpen): boolean {
  const { address } = listener;
  if (address === undefined || address.family === 'Unix') return false;
  return isWildcard(address.address) || halfOpen.localAddress === withoutZone(address.address);
}

function familiesOf(listener: Listener): readonly ('IPv4' | 'IPv6')[] {
  const { address } = listener;
  if (address?.family === 'IPv4') return ['IPv4'];
  const fd = listener.descriptor();
  const isDualStack = address?.family === 'IPv6' && address.address === '::' && fd !== undefined && !isIPv6Only(fd);
  return isDualStack ? ['IPv6', 'IPv4'] : ['IPv6'];
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

/** Without system calls: the LISTEN row of /proc/net/tcp, found by the socket's inode. */
function queuedByProc(listener: Listener): number | undefined {
  const { address } = listener;
  const fd = descriptorOf(listener.server);
  if (fd === undefined || address === undefined || address.family === 'Unix' || process.platform !== 'linux')
    return undefined;
  const inode = inodeOf(fd);
  return readTcpTable(address.family).find((row) => row.state === LISTEN && row.inode === inode)?.receiveQueue;
}
