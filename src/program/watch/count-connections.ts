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
import type { SocketAddress } from '../../linux/sockets.ts';
import type { VisitConnection } from '../../linux/tables/inet-diag.ts';
import type { LocalPort, Namespace } from '../find/namespace.ts';
import { isAt, isWildcard } from '../gate/connections.ts';

/** How many connections there are at a listener's address, by state. */
export interface ConnectionStates {
  established: number;
  /** The client has closed, the program has not. */
  closeWait: number;
  /** The program has closed, the client has not: FIN_WAIT1, FIN_WAIT2. */
  finWait: number;
  /** Both have closed, and an acknowledgement is missing: LAST_ACK, CLOSING. */
  closing: number;
  timeWait: number;
}

/** The connections at a listener's address. */
export interface AddressCounts {
  readonly halfOpen: number;
  readonly connections: Readonly<ConnectionStates>;
}

/** A listener's address, with its name. */
export interface NamedAddress {
  readonly name: string;
  readonly address: SocketAddress;
}

export const NO_CONNECTIONS: AddressCounts = { halfOpen: 0, connections: noStates() };

/** Counts the connections at these addresses, by the name of each. The kernel walks its whole table for this. */
export function countConnections(
  namespace: Namespace,
  addresses: readonly NamedAddress[],
): ReadonlyMap<string, AddressCounts> {
  let failure: unknown;
  for (const visitAll of namespace.visitors) {
    const counters = addresses.map((one): Counter => ({ ...one, halfOpen: 0, connections: noStates() }));
    try {
      visitAll(portsOf(addresses), countInto(counters));
      return new Map(counters.map((counter) => [counter.name, counter]));
    } catch (error) {
      // The next method begins with new counters.
      failure = error;
    }
  }
  throw failure;
}

interface Counter extends NamedAddress {
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

function portsOf(addresses: readonly NamedAddress[]): readonly LocalPort[] {
  const ports: LocalPort[] = [];
  for (const { address } of addresses) {
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
    // To decode an address costs more than all the rest, and is not needed for the only listener at a port.
    const counter = candidates.length === 1 ? candidates[0] : closest(candidates, localAddress(), localPort);
    if (counter === undefined) return;
    const name = STATES.get(state);
    if (name !== undefined) counter.connections[name] += 1;
    else if (state === TCP_SYN_RECV) counter.halfOpen += 1;
  };
}

/** A listener on exactly this address comes before one on all addresses. */
function closest(counters: readonly Counter[], localAddress: string, localPort: number): Counter | undefined {
  // An IPv4 connection to a dual-stack listener is IPv6, with a mapped address.
  const family = localAddress.includes(':') ? 'IPv6' : 'IPv4';
  const matching = counters.filter(
    ({ address }) => address.family === family && isAt(address, { localAddress, localPort }),
  );
  return matching.find(({ address }) => address.family !== 'Unix' && !isWildcard(address.address)) ?? matching[0];
}
