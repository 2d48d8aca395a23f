import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import { printableName } from '../find/find-listeners.ts';
import type { Namespace } from '../find/namespace.ts';
import { type AddressCounts, type ConnectionStates, type NamedAddress, NO_CONNECTIONS } from './count-connections.ts';

/**
 * A gate as other processes see it. `refuse` and `unix`: shut by that method. `device`: the program has bound the listener to an
 * interface. `open`: none of these. (`hold` is a filter, which other processes cannot see.)
 */
export type SeenGate = 'open' | 'refuse' | 'unix' | 'device';

/** The listeners at one address, at one moment. */
export interface ListenerSample {
  readonly address: string;
  readonly family: 'TCP' | 'Unix';
  readonly gate: SeenGate;
  /** How many sockets share the address (SO_REUSEPORT). The other numbers are their sums. */
  readonly sockets: number;
  /** How many of the sockets have this gate. */
  readonly gated: number;
  readonly queued: number;
  /** The limit of the accept queue; undefined if the kernel does not return it. */
  readonly limit: number | undefined;
  readonly halfOpen: number;
  /** SYNs and final ACKs turned away since the listener was made; undefined if the kernel does not return it. */
  readonly drops: number | undefined;
  readonly connections: ConnectionStates;
}

/** Takes a sample of the listeners of a namespace for which `isWanted` is true; `count` counts the connections of TCP listeners. */
export function sampleListeners(
  namespace: Namespace,
  isWanted: (socket: ListeningSocket) => boolean,
  count: (namespace: Namespace, addresses: readonly NamedAddress[]) => ReadonlyMap<string, AddressCounts>,
): readonly ListenerSample[] {
  const groups = new Map<string, Group>();
  for (const socket of namespace.listeners()) {
    if (!isWanted(socket)) continue;
    const name = printableName(socket.address);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { name, address: socket.address, sockets: [socket] });
    else group.sockets.push(socket);
  }
  const tcp = [...groups.values()].filter(({ address }) => address.family !== 'Unix');
  const counts = tcp.length === 0 ? new Map<string, AddressCounts>() : count(namespace, tcp);
  return [...groups.values()].map((group) => sampleOf(group, counts.get(group.name) ?? NO_CONNECTIONS));
}

interface Group extends NamedAddress {
  readonly sockets: ListeningSocket[];
}

function sampleOf({ name, sockets }: Group, { halfOpen, connections }: AddressCounts): ListenerSample {
  const gates = sockets.map(gateOf);
  // One shut gate in a group is the most important one to show.
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
    // /proc does not have the limit.
    limit: limit === 0 ? undefined : limit,
    halfOpen,
    drops: drops.length === 0 ? undefined : drops.reduce((all, one) => all + one, 0),
    connections: { ...connections },
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
