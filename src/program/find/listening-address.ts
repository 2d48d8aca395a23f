import { inodeOf } from '../../linux/descriptors.ts';
import { requireLibc } from '../../linux/libc.ts';
import { copyDescriptorOf } from '../../linux/process/pidfd.ts';
import { isListening, localAddress, type SocketAddress } from '../../linux/sockets.ts';

/** A process that holds a socket, and the descriptor of the socket there. */
export interface Holder {
  readonly pid: number;
  readonly fd: number;
}

/**
 * The address of a listener, from a copy of the holder's descriptor: a table of /proc contains what other users have written.
 * Undefined if the descriptor is no listener with this inode. Throws a `SystemCallError`: EPERM without the right to copy it.
 */
export function listeningAddressOf({ pid, fd }: Holder, inode: number): SocketAddress | undefined {
  const copy = copyDescriptorOf(pid, fd);
  try {
    return addressIfListener(copy, inode);
  } finally {
    requireLibc().close(copy);
  }
}

/** The address of a descriptor of this process, if it is a listener with this inode. */
export function addressIfListener(fd: number, inode: number): SocketAddress | undefined {
  return inodeOf(fd) === inode && isListening(fd) ? localAddress(fd) : undefined;
}
