import {
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_SYN_RECV,
  TCP_TIME_WAIT,
} from '../../linux/constants.ts';
import type { VisitConnection } from '../../linux/tables/inet-diag.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import type { LocalPort, Namespace } from '../find/namespace.ts';
import { isAt } from '../gate/traffic.ts';

/** The connections at a listener's address, by state. */
export interface ConnectionStates {
  established: number;
  /** The client has closed, the program has not. */
  closeWait: number;
  /** The program has closed, the client has not: FIN_WAIT1, FIN_WAIT2. */
  finWait: number;
  /** Both have, and an acknowledgement is missing: LAST_ACK, CLOSING. */
  closing: number;
  timeWait: number;
}

/** What there is at an address, beside its listener. */
export interface EndCounts {
  readonly halfOpen: number;
  readonly connections: Readonly<ConnectionStates>;
}

/** An address that is listened on, and what it is called. */
export interface CountedEnd {
  readonly name: string;
  readonly address: SocketAddress;
}

export const NO_CONNECTIONS: EndCounts = { halfOpen: 0, connections: noStates() };

/** Counts the connections at these addresses, by the name of each. The kernel walks its whole table for it. */
export function countConnections(namespace: Namespace, ends: readonly CountedEnd[]): ReadonlyMap<string, EndCounts> {
  let failure: unknown;
  for (const visitAll of namespace.waysToVisit) {
    const counters = ends.map((end): Counter => ({ ...end, halfOpen: 0, connections: noStates() }));
    try {
      visitAll(portsOf(ends), countInto(counters));
      return new Map(counters.map((counter) => [counter.name, counter]));
    } catch (error) {
      // What it has counted so far is thrown away.
      failure = error;
    }
  }
  throw failure;
}

interface Counter extends CountedEnd {
  halfOpen: number;
  readonly connections: ConnectionStates;
}

function noStates(): ConnectionStates {
  return { established: 0, closeWait: 0, finWait: 0, closing: 0, timeWait: 0 };
}

const STATES: ReadonlyMap<number, keyof ConnectionStates> = new Map([
  [TCP_ESTABLISHED, 'established'],
  [TCP_CLOSE_WAIT, 'closeWait'],
  [TCP_FIN_WAIT1, 'finWait'],
  [TCP_FIN_WAIT2, 'finWait'],
  [TCP_LAST_ACK, 'closing'],
  [TCP_CLOSING, 'closing'],
  [TCP_TIME_WAIT, 'timeWait'],
]);

function portsOf(ends: readonly CountedEnd[]): readonly LocalPort[] {
  const ports: LocalPort[] = [];
  for (const { address } of ends) {
    if (address.family === 'Unix') continue;
    const { family, port } = address;
    if (!ports.some((one) => one.family === family && one.port === port)) ports.push({ family, port });
  }
  return ports;
}

function countInto(counters: readonly Counter[]): VisitConnection {
  const byPort = new Map<number, Counter[]>();
  for (const counter of counters) {
    if (counter.address.family === 'Unix') continue;
    const others = byPort.get(counter.address.port);
    if (others === undefined) byPort.set(counter.address.port, [counter]);
    else others.push(counter);
  }
  return (state, localPort, localAddress) => {
    const candidates = byPort.get(localPort);
    if (candidates === undefined) return;
    // The text of an address costs more than all the rest, and one listener's port needs none.
    const counter = candidates.length === 1 ? candidates[0] : closest(candidates, localAddress(), localPort);
    if (counter === undefined) return;
    const name = STATES.get(state);
    if (name !== undefined) counter.connections[name] += 1;
    else if (state === TCP_SYN_RECV) counter.halfOpen += 1;
  };
}

/** A listener on the very address comes before one on all. */
function closest(counters: readonly Counter[], localAddress: string, localPort: number): Counter | undefined {
  // What came in over IPv4 to a listener of both families is IPv6, with a mapped address.
  const family = localAddress.includes(':') ? 'IPv6' : 'IPv4';
  const matching = counters.filter(
    ({ address }) => address.family === family && isAt(address, { localAddress, localPort }),
  );
  return matching.find(({ address }) => !isWildcard(address)) ?? matching[0];
}

function isWildcard(address: SocketAddress): boolean {
  return address.family !== 'Unix' && (address.address === '0.0.0.0' || address.address === '::');
}
