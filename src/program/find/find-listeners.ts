import { allProcesses, isGone, socketsOf } from '../../linux/process/processes.ts';
import { SystemCallError } from '../../linux/libc.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import { nameOf, type SocketAddress } from '../../linux/sockets.ts';
import { type Holder, listeningAddressOf } from './listening-address.ts';
import { type Namespace, namespaceOf } from './namespace.ts';
import { OtherHolders } from './other-holders.ts';
import { descriptorsPassedTo } from './passed-to.ts';
import { findTree } from './process-tree.ts';
import { findSuccessors } from './successors.ts';

/** A listening socket that a program, or one of its descendants, holds. */
export interface HeldListener {
  readonly socket: ListeningSocket;
  readonly name: string;
  readonly namespace: Namespace;
  /** The processes of the program that hold it. */
  readonly holders: readonly Holder[];
  /** Why its gate must not be shut: another process holds it, or may hold it. Undefined if only the program holds it. */
  readonly sharedBecause: string | undefined;
  /** Whether an activator passed it, which serves it when the program has ended. */
  readonly isPassed: boolean;
}

/** The processes of a program, and their listeners. */
export interface ProgramListeners {
  readonly tree: ReadonlySet<number>;
  readonly listeners: readonly HeldListener[];
  /** Processes of the program that cannot be inspected. */
  readonly unreadable: readonly number[];
}

/** The inodes of listeners that this process has opened for the program. No activator shares them, whatever LISTEN_FDS says. */
export type OwnInodes = ReadonlySet<number>;

/** How to find the listeners of a program. */
export interface FindOptions {
  /** Default: none. */
  readonly own?: OwnInodes;
  /** Inodes of listeners whose other holders are not searched for: they are known. Default: none. */
  readonly known?: ReadonlySet<number>;
  /** Whether descendants that may be its successor belong to it: to who ends all of them. Default: they do not. */
  readonly withSuccessors?: boolean;
  /** Limit of the search for other holders on this host, in ms. Default 1,000. */
  readonly searchLimit?: number;
}

const NONE: ReadonlySet<number> = new Set();

/** Finds the listeners of a program and its descendants, and their other holders. */
export function findListeners(
  root: number,
  { own = NONE, known = NONE, withSuccessors = false, searchLimit = 1_000 }: FindOptions = {},
): ProgramListeners {
  const processes = allProcesses();
  const all = findTree(root, processes);
  const { found, unreadable, passed } = inspectTree(all, own);
  const successors = withSuccessors ? NONE : findSuccessors(root, all, processes, pidsOf(found));
  const tree = new Set([...all].filter((pid) => !successors.has(pid)));
  const ours = [...found.values()]
    .map(({ holders, ...rest }) => ({ ...rest, holders: holders.filter(({ pid }) => tree.has(pid)) }))
    .filter(({ holders }) => holders.length > 0);
  const inDoubt = ours.map(({ socket }) => socket.inode).filter((inode) => !own.has(inode) && !known.has(inode));
  const others = new OtherHolders(inDoubt, { root, tree, processes }, searchLimit);
  const listeners = ours.map(({ socket, namespace, holders }) => ({
    socket,
    namespace,
    holders,
    name: printableName(socket.address),
    isPassed: passed.has(socket.inode),
    sharedBecause: passed.has(socket.inode) ? 'an activator passed it (LISTEN_FDS)' : others.whyShared(socket),
  }));
  return { tree, listeners, unreadable: unreadable.filter((pid) => tree.has(pid)) };
}

/** Its address, where only a claim is known, is asked of the socket itself. Undefined if it is no listener. */
function verified(socket: ListeningSocket | undefined, holder: Holder): ListeningSocket | undefined {
  if (socket?.isClaimed !== true) return socket;
  try {
    const address = listeningAddressOf(holder, socket.inode);
    return address && { ...socket, address };
  } catch (error) {
    if (!(error instanceof SystemCallError)) throw error;
    return socket;
  }
}

function pidsOf(found: ReadonlyMap<number, Found>): ReadonlyMap<number, ReadonlySet<number>> {
  return new Map([...found].map(([inode, { holders }]) => [inode, new Set(holders.map(({ pid }) => pid))]));
}

interface Found {
  readonly socket: ListeningSocket;
  readonly namespace: Namespace;
  readonly holders: Holder[];
}

function inspectTree(
  tree: ReadonlySet<number>,
  own: OwnInodes,
): { found: ReadonlyMap<number, Found>; unreadable: readonly number[]; passed: ReadonlySet<number> } {
  const tables = new Map<Namespace, ReadonlyMap<number, ListeningSocket>>();
  const found = new Map<number, Found>();
  const seen = new Set<number>();
  const unreadable: number[] = [];
  const passed = new Set<number>();
  for (const pid of tree) {
    try {
      const sockets = [...socketsOf(pid)];
      for (const [inode, fd] of sockets) found.get(inode)?.holders.push({ pid, fd });
      // Most processes have only inherited sockets that were seen before. (An inode is unique in all namespaces.)
      const others = sockets.filter(([inode]) => !seen.has(inode));
      for (const [inode] of others) seen.add(inode);
      if (others.length === 0) continue;
      const namespace = namespaceOf(pid);
      const table = tables.get(namespace) ?? new Map(namespace.listeners().map((socket) => [socket.inode, socket]));
      tables.set(namespace, table);
      const passedHere = descriptorsPassedTo(pid, tree);
      for (const [inode, fd] of others) {
        const socket = verified(table.get(inode), { pid, fd });
        if (socket === undefined) continue;
        found.set(inode, { socket, namespace, holders: [{ pid, fd }] });
        if (passedHere.includes(fd) && !own.has(inode)) passed.add(inode);
      }
    } catch (error) {
      if (!isGone(error)) unreadable.push(pid);
    }
  }
  return { found, unreadable, passed };
}

/** `nameOf` for a terminal, which the path of another program's Unix socket must not control. */
export function printableName(address: SocketAddress): string {
  return nameOf(address).replaceAll(/\p{Cc}/gu, '?');
}
