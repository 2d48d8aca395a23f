import { ESRCH, IPPROTO_TCP, SO_BINDTOIFINDEX, SOL_SOCKET, TCP_DEFER_ACCEPT } from '../../linux/constants.ts';
import { duplicate } from '../../linux/descriptors.ts';
import { requireLibc, SystemCallError } from '../../linux/libc.ts';
import { copyDescriptorOf } from '../../linux/process/pidfd.ts';
import { getIntOption, type SocketAddress } from '../../linux/sockets.ts';
import { readUnixQueue } from '../../linux/tables/unix-diag.ts';
import { readAcceptQueue } from '../../linux/tcp-info.ts';
import { NO_INTERFACE } from '../../listener/gate/refuse.ts';
import { type HeldListener, printableName } from '../find/find-listeners.ts';
import { addressIfListener } from '../find/listening-address.ts';

/** A copy of a descriptor of a program's listener. The socket stays open as long as the copy, whatever the program does. */
export interface CopiedListener {
  /** As it was found, with the address that the socket itself has. */
  readonly held: HeldListener;
  readonly fd: number;
  /** The settings when it was copied; undefined for a Unix listener. */
  readonly before: ListenerSettings | undefined;
  /** The length of the accept queue; undefined if the kernel does not return it. */
  queued(): number | undefined;
  close(): void;
}

/** The settings of a TCP listener that a gate changes. */
export interface ListenerSettings {
  readonly device: number;
  readonly deferAccept: number;
  readonly backlog: number;
}

/**
 * Copies a listener from the program, or from this process if `own` has it: descriptors here by the socket's inode. Throws a
 * `SystemCallError`: EPERM without the right to trace any of its holders, ESRCH or EBADF if they are gone.
 */
export function copyListener(found: HeldListener, own: ReadonlyMap<number, number>): CopiedListener {
  const { fd, address } = copyFrom(found, own.get(found.socket.inode));
  const held = { ...found, socket: { ...found.socket, address }, name: printableName(address) };
  let isOpen = true;
  return {
    held,
    fd,
    before: address.family === 'Unix' ? undefined : settingsOf(fd),
    queued: () => (isOpen ? queuedAt(held, fd) : undefined),
    close: () => {
      if (isOpen) requireLibc().close(fd);
      isOpen = false;
    },
  };
}

/** Kind and address are the socket's own, not those of a table. */
function copyFrom(
  { socket, holders }: HeldListener,
  own: number | undefined,
): { readonly fd: number; readonly address: SocketAddress } {
  if (own !== undefined) return { fd: duplicate(own), address: socket.address };
  let failure: unknown = new SystemCallError('pidfd_getfd', ESRCH);
  for (const { pid, fd } of holders) {
    try {
      const copy = copyDescriptorOf(pid, fd);
      // The program may have closed it, and opened another file under its number.
      const address = addressIfListener(copy, socket.inode);
      if (address !== undefined) return { fd: copy, address };
      requireLibc().close(copy);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function queuedAt({ socket, namespace }: HeldListener, fd: number): number | undefined {
  if (socket.address.family !== 'Unix') return readAcceptQueue(fd).queued;
  try {
    return namespace.isOwn ? readUnixQueue(socket.inode) : undefined;
  } catch {
    return undefined;
  }
}

function settingsOf(fd: number): ListenerSettings {
  const device = getIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX);
  return {
    // A gate that is already shut was shut by an earlier stop: the listener had no device before.
    device: device === NO_INTERFACE ? 0 : device,
    deferAccept: getIntOption(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT),
    backlog: readAcceptQueue(fd).limit,
  };
}
