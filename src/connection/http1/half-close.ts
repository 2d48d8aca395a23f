import type net from 'node:net';
import { SHUT_WR } from '../../linux/constants.ts';
import { loadLibc } from '../../linux/libc.ts';
import { shutdown } from '../../linux/sockets.ts';
import { descriptorOf, keepHttpFromWriting, onEndOfReads } from '../../node/fields.ts';

/**
 * Half-closes a connection on which nobody but http waits for anything, and destroys it when the peer's end comes, or its
 * reset. Node's streams would take as long for the two as the kernel does, several times over: with ten thousand idle
 * connections that is most of a close. What comes instead of an end is read as ever. False where that is not possible.
 */
export function halfCloseIdle(socket: net.Socket): boolean {
  const fd = descriptorOf(socket);
  if (fd === undefined || !loadLibc().available || !onEndOfReads(socket, () => socket.destroy())) return false;
  try {
    shutdown(fd, SHUT_WR);
    // What http answers by itself to a late request (100, 417) would be an error on the program's socket.
    keepHttpFromWriting(socket);
    return true;
  } catch {
    // ENOTCONN: it is gone, and its end is about to be read.
    return false;
  }
}
