import {
  TCP_CLOSE_WAIT,
  TCP_CLOSING,
  TCP_ESTABLISHED,
  TCP_FIN_WAIT1,
  TCP_FIN_WAIT2,
  TCP_LAST_ACK,
  TCP_SYN_RECV,
  TCP_TIME_WAIT,
} from '../linux/constants.ts';
import type { ListeningSocket, VisitConnection } from '../linux/socket-tables.ts';
import { NO_INTERFACE } from '../listener/gate/refuse.ts';
import { nameOf } from './find-listeners.ts';
import type { LocalPort, Namespace } from './namespace.ts';
import { isAt } from './traffic.ts';

/**
 * What is seen of a gate from outside: `refuse` and `unix` are shut by that method; `device` is bound to an interface, by whoever
 * made it; `open` is none of these. (A filter, which `hold` is, cannot be seen.)
 */
export type SeenGate = 'open' | 'refuse' | 'unix' | 'device';

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

/** One address that is listened on, as it is now. */
export interface ListenerSample {
  readonly address: string;
  readonly family: 'TCP' | 'Unix';
  readonly gate: SeenGate;
  /** How many sockets share the address (SO_REUSEPORT), and how many of them have that gate. Counts are of all together. */
  readonly sockets: number;
  readonly gated: number;
  readonly queued: number;
  /** How many may wait; undefined where the kernel does not tell. */
  readonly limit: number | undefined;
  readonly halfOpen: number;
  /** SYNs and final ACKs turned away since the listener was made; undefined where the kernel does not tell. */
  readonly drops: number | undefined;
  readonly connections: ConnectionStates;
}

/** Looks at these listeners of a namespace, once. */
export function sampleListeners(
  namespace: Namespace,
  isWanted: (socket: ListeningSocket) => boolean,
): readonly ListenerSample[] {
  const groups = new Map<string, Group>();
  for (const socket of namespace.listeners()) {
    if (!isWanted(socket)) continue;
    const name = nameOf(socket.address);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { name, sockets: [socket], halfOpen: 0, connections: noStates() });
    else group.sockets.push(socket);
  }
  countConnections(namespace, [...groups.values()]);
  return [...groups.values()].map(sampleOf);
}

interface Group {
  readonly name: string;
  readonly sockets: ListeningSocket[];
  halfOpen: number;
  connections: ConnectionStates;
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

function countConnections(namespace: Namespace, groups: readonly Group[]): void {
  const byPort = new Map<number, Group[]>();
  const ends: LocalPort[] = [];
  for (const group of groups) {
    const address = group.sockets[0]?.address;
    if (address === undefined || address.family === 'Unix') continue;
    const { family, port } = address;
    if (!ends.some((end) => end.family === family && end.port === port)) ends.push({ family, port });
    const others = byPort.get(address.port);
    if (others === undefined) byPort.set(address.port, [group]);
    else others.push(group);
  }
  if (ends.length === 0) return;
  visitByTheBestWay(namespace, ends, groups, (state, localPort, localAddress) => {
    const candidates = byPort.get(localPort);
    if (candidates === undefined) return;
    // The text of an address costs more than all the rest, and one listener's port needs none.
    const group = candidates.length === 1 ? candidates[0] : closest(candidates, localAddress(), localPort);
    if (group === undefined) return;
    const name = STATES.get(state);
    if (name !== undefined) group.connections[name] += 1;
    else if (state === TCP_SYN_RECV) group.halfOpen += 1;
  });
}

function visitByTheBestWay(
  namespace: Namespace,
  ends: readonly LocalPort[],
  groups: readonly Group[],
  visit: VisitConnection,
): void {
  let failure: unknown;
  for (const visitAll of namespace.waysToVisit) {
    for (const group of groups) Object.assign(group, { halfOpen: 0, connections: noStates() });
    try {
      return visitAll(ends, visit);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

/** A listener on the very address comes before one on all. */
function closest(groups: readonly Group[], localAddress: string, localPort: number): Group | undefined {
  // What came in over IPv4 to a listener of both families is IPv6, with a mapped address.
  const family = localAddress.includes(':') ? 'IPv6' : 'IPv4';
  const matching = groups.filter(({ sockets }) =>
    sockets.some(({ address }) => address.family === family && isAt(address, { localAddress, localPort })),
  );
  return matching.find(({ sockets }) => !sockets.some(({ address }) => isWildcard(address))) ?? matching[0];
}

function isWildcard(address: ListeningSocket['address']): boolean {
  return address.family !== 'Unix' && (address.address === '0.0.0.0' || address.address === '::');
}

function sampleOf({ name, sockets, halfOpen, connections }: Group): ListenerSample {
  const gates = sockets.map(gateOf);
  // What stands out is told of a group: one gate that is shut.
  const gate = gates.find((one) => one === 'refuse' || one === 'unix') ?? gates.find((one) => one !== 'open') ?? 'open';
  const drops = sockets.map((socket) => socket.drops).filter((number) => number !== undefined);
  const limit = sum(sockets, (socket) => socket.limit);
  return {
    address: name,
    family: sockets[0]?.address.family === 'Unix' ? 'Unix' : 'TCP',
    gate,
    sockets: sockets.length,
    gated: gates.filter((one) => one === gate).length,
    queued: sum(sockets, (socket) => socket.queued),
    // Of /proc it is not known.
    limit: limit === 0 ? undefined : limit,
    halfOpen,
    drops: drops.length === 0 ? undefined : drops.reduce((all, one) => all + one, 0),
    connections,
  };
}

function gateOf({ device = 0, isShut = false }: ListeningSocket): SeenGate {
  if (isShut) return 'unix';
  if (device === NO_INTERFACE) return 'refuse';
  return device === 0 ? 'open' : 'device';
}

function sum(sockets: readonly ListeningSocket[], count: (socket: ListeningSocket) => number): number {
  return sockets.reduce((all, socket) => all + count(socket), 0);
}
