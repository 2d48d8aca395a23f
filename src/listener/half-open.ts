import { TCP_SYN_RECV } from '../linux/constants.ts';
import { type ConnectionEnds, dumpHalfOpen } from '../linux/tables/inet-diag.ts';
import { readTcpRows } from '../linux/tables/proc-net.ts';
import { isIPv6Only } from '../linux/sockets.ts';
import { tablePace } from './count-queues.ts';
import { type Listener, withoutZone } from './listener.ts';

type Family = 'IPv4' | 'IPv6';
/** /proc has no address in a form that we read. */
type Handshake = Pick<ConnectionEnds, 'localPort'> & Partial<Pick<ConnectionEnds, 'localAddress'>>;

/** All half-open connections of a family, of all listeners: those that are closed together share it. */
interface Dump {
  /** When it began, on the clock of `performance.now()`. */
  readonly at: number;
  readonly handshakes: readonly Handshake[];
}

const dumps = new Map<Family, Dump>();

/**
 * How many handshakes to the listener's address and port were under way at a moment not before `since`, on the clock of
 * `performance.now()`. The kernel counts them per port, so those of a sibling that listens on the same one (SO_REUSEPORT)
 * are among them. 0 where that cannot be known.
 */
export function countHalfOpen(listener: Listener, since: number): number {
  if (!isCountable(listener)) return 0;
  try {
    return familiesOf(listener)
      .flatMap((family) => handshakesSince(family, since))
      .filter((handshake) => isFor(listener, handshake)).length;
  } catch {
    return 0;
  }
}

/** Whether the count is known already, or may be asked for again. */
export function mayCountHalfOpen(listener: Listener, since: number): boolean {
  const isKnown = (): boolean => familiesOf(listener).every((family) => isFresh(dumps.get(family), since));
  return !isCountable(listener) || tablePace.wait === 0 || isKnown();
}

function isCountable({ address }: Listener): boolean {
  return address !== undefined && address.family !== 'Unix' && process.platform === 'linux';
}

function handshakesSince(family: Family, since: number): readonly Handshake[] {
  const last = dumps.get(family);
  if (last !== undefined && isFresh(last, since)) return last.handshakes;
  const at = performance.now();
  const handshakes = tablePace.measure(() => askKernel(family));
  dumps.set(family, { at, handshakes });
  return handshakes;
}

function isFresh(dump: Dump | undefined, since: number): boolean {
  return dump !== undefined && dump.at >= since;
}

function askKernel(family: Family): readonly Handshake[] {
  try {
    return dumpHalfOpen(family);
  } catch {
    // No tcp_diag in this kernel, an answer that was cut short, or no FFI.
    return readTcpRows(family, TCP_SYN_RECV);
  }
}

function isFor(listener: Listener, handshake: Handshake): boolean {
  const { address } = listener;
  if (address === undefined || address.family === 'Unix' || handshake.localPort !== address.port) return false;
  const { localAddress } = handshake;
  return localAddress === undefined || isWildcard(address.address) || localAddress === withoutZone(address.address);
}

function familiesOf(listener: Listener): readonly Family[] {
  const { address } = listener;
  if (address?.family === 'IPv4') return ['IPv4'];
  const fd = listener.descriptor();
  const isDualStack = address?.family === 'IPv6' && address.address === '::' && fd !== undefined && !isIPv6Only(fd);
  return isDualStack ? ['IPv6', 'IPv4'] : ['IPv6'];
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
