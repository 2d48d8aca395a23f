import { allProcesses, socketsOf } from '../../linux/process/processes.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { type Namespace, namespaceOf } from './namespace.ts';
import { descriptorsPassedTo } from './passed-to.ts';
import { findTree } from './process-tree.ts';

/** A listening socket that a program, or one of its descendants, holds. */
export interface HeldListener {
  readonly socket: ListeningSocket;
  readonly name: string;
  readonly namespace: Namespace;
  /** Where it can be had. */
  readonly holders: readonly Holder[];
  /** Why its gate must not be shut: somebody else holds it, or may; undefined if it is the program's own. */
  readonly sharedBecause: string | undefined;
}

/** A process of the program, and the number that the socket has there. */
export interface Holder {
  readonly pid: number;
  readonly fd: number;
}

/** What was found of a program. */
export interface ProgramListeners {
  readonly tree: ReadonlySet<number>;
  readonly listeners: readonly HeldListener[];
  /** Processes of the program that this one may not look into. */
  readonly unreadable: readonly number[];
}

/** Listeners that this process has opened itself and passed to the program: nobody else's, though the environment says passed. */
export type OwnInodes = ReadonlySet<number>;

// How long the rest of the host may be searched for other holders, in milliseconds.
const SEARCH_LIMIT = 1_000;

/** Finds the listeners of a program and of its descendants, and who else holds them. */
export function findListeners(root: number, own: OwnInodes = new Set()): ProgramListeners {
  const processes = allProcesses();
  const tree = findTree(root, processes);
  const { found, unreadable, passed } = lookIntoTree(tree, own);
  const others = [...processes]
    .filter(([pid, { isKernelThread }]) => !isKernelThread && !tree.has(pid) && pid !== process.pid)
    .map(([pid]) => pid);
  const strangers = findStrangers(new Set(found.keys()), others);
  const listeners = [...found.values()].map(({ socket, namespace, holders }) => ({
    socket,
    namespace,
    holders,
    name: nameOf(socket.address),
    sharedBecause: own.has(socket.inode) ? undefined : whyShared(socket, passed, strangers),
  }));
  return { tree, listeners, unreadable };
}

interface Found {
  readonly socket: ListeningSocket;
  readonly namespace: Namespace;
  readonly holders: Holder[];
}

function lookIntoTree(
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
      // Most have inherited what was looked at already. (An inode is one socket's in all namespaces.)
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

interface Strangers {
  /** By the socket's inode: processes that are none of the program's, and hold it. */
  readonly holders: ReadonlyMap<number, readonly number[]>;
  /** Whether any process could not be looked into. */
  readonly areHidden: boolean;
  readonly isFinished: boolean;
}

function findStrangers(inodes: ReadonlySet<number>, pids: readonly number[]): Strangers {
  const holders = new Map<number, number[]>();
  const end = performance.now() + SEARCH_LIMIT;
  let areHidden = false;
  if (inodes.size === 0) return { holders, areHidden, isFinished: true };
  for (const pid of pids) {
    if (performance.now() > end) return { holders, areHidden, isFinished: false };
    try {
      for (const inode of socketsOf(pid).keys()) {
        if (inodes.has(inode)) holders.set(inode, [...(holders.get(inode) ?? []), pid]);
      }
    } catch (error) {
      areHidden ||= !isGone(error);
    }
  }
  return { holders, areHidden, isFinished: true };
}

function whyShared(
  { inode, uid }: ListeningSocket,
  passed: ReadonlySet<number>,
  strangers: Strangers,
): string | undefined {
  if (passed.has(inode)) return 'an activator passed it (LISTEN_FDS)';
  const others = strangers.holders.get(inode) ?? [];
  if (others.length > 0) return `process ${others.join(', ')} holds it too`;
  if (!strangers.isFinished) return `the search for other holders took longer than ${SEARCH_LIMIT} ms`;
  // A user's own socket comes to another user's process by a message only; one that another user made may be anybody's.
  const isOthers = uid !== undefined && uid !== process.geteuid?.();
  if (strangers.areHidden && isOthers) return `user ${uid} made it, whose processes cannot be looked into`;
  return undefined;
}

/** For reports: `127.0.0.1:8080`, `[::]:8080`, `unix:/run/app.sock`, `unix:@abstract`. */
export function nameOf(address: SocketAddress): string {
  // Somebody else's words: nothing of them may steer a terminal.
  if (address.family === 'Unix') return `unix:${address.path.replaceAll('\0', '@').replaceAll(/\p{Cc}/gu, '?')}`;
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
