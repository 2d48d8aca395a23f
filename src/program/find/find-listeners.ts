import { allProcesses, isGone, socketsOf } from '../../linux/process/processes.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import { nameOf, type SocketAddress } from '../../linux/sockets.ts';
import { type Namespace, namespaceOf } from './namespace.ts';
import { descriptorsPassedTo } from './passed-to.ts';
import { findTree } from './process-tree.ts';

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

/** A process that holds a socket, and the descriptor of the socket there. */
export interface Holder {
  readonly pid: number;
  readonly fd: number;
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

// Limit of the search for other holders on this host, in ms.
const SEARCH_LIMIT = 1_000;

/** Finds the listeners of a program and its descendants, and their other holders. */
export function findListeners(root: number, own: OwnInodes = new Set()): ProgramListeners {
  const processes = allProcesses();
  const tree = findTree(root, processes);
  const { found, unreadable, passed } = inspectTree(tree, own);
  const others = [...processes]
    .filter(([pid, { isKernelThread }]) => !isKernelThread && !tree.has(pid) && pid !== process.pid)
    .map(([pid]) => pid);
  const otherHolders = findOtherHolders(new Set(found.keys()), others);
  const listeners = [...found.values()].map(({ socket, namespace, holders }) => ({
    socket,
    namespace,
    holders,
    name: printableName(socket.address),
    isPassed: passed.has(socket.inode),
    sharedBecause: own.has(socket.inode) ? undefined : whyShared(socket, passed, otherHolders),
  }));
  return { tree, listeners, unreadable };
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
        const socket = table.get(inode);
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

interface OtherHolders {
  /** Processes outside of the program, by the inode of the socket that they hold. */
  readonly byInode: ReadonlyMap<number, readonly number[]>;
  /** Whether any process could not be inspected. */
  readonly areHidden: boolean;
  readonly isFinished: boolean;
}

function findOtherHolders(inodes: ReadonlySet<number>, pids: readonly number[]): OtherHolders {
  const byInode = new Map<number, number[]>();
  const end = performance.now() + SEARCH_LIMIT;
  let areHidden = false;
  if (inodes.size === 0) return { byInode, areHidden, isFinished: true };
  for (const pid of pids) {
    if (performance.now() > end) return { byInode, areHidden, isFinished: false };
    try {
      for (const inode of socketsOf(pid).keys()) {
        if (inodes.has(inode)) byInode.set(inode, [...(byInode.get(inode) ?? []), pid]);
      }
    } catch (error) {
      areHidden ||= !isGone(error);
    }
  }
  return { byInode, areHidden, isFinished: true };
}

function whyShared(
  { inode, uid }: ListeningSocket,
  passed: ReadonlySet<number>,
  otherHolders: OtherHolders,
): string | undefined {
  if (passed.has(inode)) return 'an activator passed it (LISTEN_FDS)';
  const others = otherHolders.byInode.get(inode) ?? [];
  if (others.length > 0) return `process ${others.join(', ')} holds it too`;
  if (!otherHolders.isFinished) return `the search for other holders took longer than ${SEARCH_LIMIT} ms`;
  // The hidden processes belong to other users. They get a socket of this user only by a message (unix(7), SCM_RIGHTS), but may
  // have inherited one that another user made.
  const isOthers = uid !== undefined && uid !== process.geteuid?.();
  if (otherHolders.areHidden && isOthers) return `user ${uid} made it, and that user's processes cannot be inspected`;
  return undefined;
}

/** `nameOf` for a terminal, which the path of another program's Unix socket must not control. */
export function printableName(address: SocketAddress): string {
  return nameOf(address).replaceAll(/\p{Cc}/gu, '?');
}
