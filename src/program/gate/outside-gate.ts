import {
  AF_INET,
  IPPROTO_TCP,
  SO_BINDTOIFINDEX,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  SOL_SOCKET,
  TCP_DEFER_ACCEPT,
} from '../../linux/constants.ts';
import { duplicate, inodeOf } from '../../linux/descriptors.ts';
import { detachFilter } from '../../linux/filter.ts';
import { check, requireLibc, SystemCallError } from '../../linux/libc.ts';
import { holdProcess } from '../../linux/process/pidfd.ts';
import { readUnixQueue } from '../../linux/tables/sock-diag.ts';
import { getIntOption, isListening, listen, setIntOption } from '../../linux/sockets.ts';
import { readAcceptQueue } from '../../linux/tcp-info.ts';
import type { Gate } from '../../close/report.ts';
import { makeRoom, shutGate } from '../../listener/gate/gate.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import type { HeldListener } from '../find/find-listeners.ts';

/** A duplicate of a listener of another process. While it is open the socket lives, whatever the program does. */
export interface ReachedListener {
  readonly held: HeldListener;
  readonly fd: number;
  /** How it was when it was reached; undefined of a Unix listener. */
  readonly before: ListenerSettings | undefined;
  /** How many wait to be accepted; undefined where the kernel does not tell. */
  queued(): number | undefined;
  close(): void;
}

/** What a shut gate changes. */
export interface ListenerSettings {
  readonly device: number;
  readonly deferAccept: number;
  readonly backlog: number;
}

/** A gate that was shut from outside. */
export interface ShutFromOutside {
  readonly reached: ReachedListener;
  readonly gate: Gate;
  readonly reason: string | undefined;
  /** Lets new connections in again, and puts the rest back as it was. Throws where it cannot. */
  reopen(): void;
}

/**
 * Copies a listener from the program, or from this process where it is one that it has opened itself. Throws a
 * `SystemCallError`: EPERM without the right to trace any of its holders, ESRCH or EBADF if they are gone.
 */
export function reachListener(held: HeldListener, own: ReadonlyMap<number, number>): ReachedListener {
  const fd = copyFrom(held, own.get(held.socket.inode));
  let isOpen = true;
  return {
    held,
    fd,
    before: held.socket.address.family === 'Unix' ? undefined : settingsOf(fd),
    queued: () => (isOpen ? queuedAt(held, fd) : undefined),
    close: () => {
      if (isOpen) requireLibc().close(fd);
      isOpen = false;
    },
  };
}

function copyFrom({ socket, holders }: HeldListener, own: number | undefined): number {
  if (own !== undefined) return duplicate(own);
  let failure: unknown = new SystemCallError('pidfd_getfd', 3);
  for (const { pid, fd } of holders) {
    try {
      const copy = copyDescriptor(pid, fd);
      // The program may have closed it, and have opened something else under its number.
      if (inodeOf(copy) === socket.inode && isListening(copy)) return copy;
      requireLibc().close(copy);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function copyDescriptor(pid: number, fd: number): number {
  const process = holdProcess(pid);
  try {
    return process.copyDescriptor(fd);
  } finally {
    process.close();
  }
}

function queuedAt({ socket, namespace }: HeldListener, fd: number): number | undefined {
  if (socket.address.family !== 'Unix') return readAcceptQueue(fd).queued;
  try {
    return namespace.isOwn ? readUnixQueue(socket.inode) : undefined;
  } catch {
    return undefined;
  }
}

/** Shuts the gate of a reached listener by the best method that the kernel allows, and remembers how it was. */
export function shutFromOutside(reached: ReachedListener): ShutFromOutside {
  const { fd, held, before } = reached;
  const { family } = held.socket.address;
  // Silent clients held back by TCP_DEFER_ACCEPT come in, and a full queue takes those who were let in already.
  if (family !== 'Unix') makeRoom(fd);
  const { gate, reason } = shutGate(fd, {
    family,
    sharedBecause: undefined,
    noSystemCalls: undefined,
    newConnections: 'refuse',
  });
  return {
    reached,
    gate,
    reason,
    reopen: () => {
      if (gate === 'unix') throw new Error('a Unix listener that was shut cannot be opened again');
      if (before === undefined) return;
      if (gate === 'refuse') setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, before.device);
      if (gate === 'hold') detachFilter(fd);
      setIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, before.deferAccept);
      listen(fd, before.backlog);
    },
  };
}

function settingsOf(fd: number): ListenerSettings {
  return {
    device: deviceOf(fd),
    deferAccept: getIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT),
    backlog: readAcceptQueue(fd).limit,
  };
}

/** A gate that is shut already was shut by a stop like this one: it had no device before. */
function deviceOf(fd: number): number {
  const device = getIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
  return device === NO_INTERFACE ? 0 : device;
}

/**
 * Whether this process may open a gate again (CAP_NET_RAW, sock_bindtoindex in net/core/sock.c), found by trying on a socket of
 * its own.
 */
export function mayReopen(): boolean {
  const libc = requireLibc();
  const fd = check('socket', libc.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE);
    setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
    return true;
  } catch {
    return false;
  } finally {
    libc.close(fd);
  }
}
