import { fstatSync, readdirSync } from 'node:fs';
import { F_DUPFD_CLOEXEC, SO_ACCEPTCONN, SOL_SOCKET } from './constants.ts';
import { bindFunction, check, loadLibc } from './libc.ts';
import { localAddress, type SocketAddress } from './sockets.ts';

/** A listening socket among this process's descriptors. */
export interface ListeningDescriptor {
  readonly fd: number;
  readonly address: SocketAddress;
}

// The highest descriptor to probe if /proc/self/fd cannot be read: /proc is not mounted, or hidden.
const HIGHEST_PROBED = 65_536;

/** Finds every listening socket of this process: /proc/self/fd, SO_ACCEPTCONN, getsockname(2). Empty without the C library. */
export function listeningDescriptors(): readonly ListeningDescriptor[] {
  const loaded = loadLibc();
  if (!loaded.available) return [];
  const value = Buffer.alloc(4);
  const length = Buffer.alloc(4);
  const accepts = (fd: number): boolean => {
    length.writeUInt32LE(value.length);
    return loaded.libc.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, value, length) === 0 && value.readInt32LE() === 1;
  };
  return openDescriptors().filter(accepts).flatMap(describe);
}

/** The inode of a descriptor of this process, by fstat(2), which also works if /proc/self/fd is unreadable. */
export function inodeOf(fd: number): number {
  return fstatSync(fd).ino;
}

/** Makes another descriptor for the same open file, close-on-exec: fcntl(2), F_DUPFD_CLOEXEC. Throws a `SystemCallError`. */
export function duplicate(fd: number): number {
  const fcntl = bindFunction('int fcntl(int fd, int command, int argument)');
  return check('fcntl', fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

function describe(fd: number): readonly ListeningDescriptor[] {
  const address = localAddress(fd);
  return address === undefined ? [] : [{ fd, address }];
}

function openDescriptors(): readonly number[] {
  try {
    return readdirSync('/proc/self/fd').map(Number);
  } catch {
    return Array.from({ length: HIGHEST_PROBED }, (_, fd) => fd);
  }
}
