import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import { type ConnectionStates, type CountedEnd, type EndCounts, NO_CONNECTIONS } from './count-connections.ts';
import { nameOf } from '../find/find-listeners.ts';
import type { Namespace } from '../find/namespace.ts';

/**
 * What is seen of a gate from outside: `refuse` and `unix` are shut by that method; `device` is bound to an interface, by whoever
 * made it; `open` is none of these. (A filter, which `hold` is, cannot be seen.)
 */
export type SeenGate = 'open' | 'refuse' | 'unix' | 'device';

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

/** Looks at these listeners of a namespace, once; `count` counts the connections of those that are TCP. */
export function sampleListeners(
  namespace: Namespace,
  isWanted: (socket: ListeningSocket) => boolean,
  count: (namespace: Namespace, ends: readonly CountedEnd[]) => ReadonlyMap<string, EndCounts>,
): readonly ListenerSample[] {
  const groups = new Map<string, Group>();
  for (const socket of namespace.listeners()) {
    if (!isWanted(socket)) continue;
    const name = nameOf(socket.address);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { name, address: socket.address, sockets: [socket] });
    else group.sockets.push(socket);
  }
  const ends = [...groups.values()].filter(({ address }) => address.family !== 'Unix');
  const counts = ends.length === 0 ? new Map<string, EndCounts>() : count(namespace, ends);
  return [...groups.values()].map((group) => sampleOf(group, counts.get(group.name) ?? NO_CONNECTIONS));
}

interface Group extends CountedEnd {
  readonly sockets: ListeningSocket[];
}

function sampleOf({ name, sockets }: Group, { halfOpen, connections }: EndCounts): ListenerSample {
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
