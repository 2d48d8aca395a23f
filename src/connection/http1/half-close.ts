import type net from 'node:net';
import { SHUT_WR } from '../../linux/constants.ts';
import { loadLibc } from '../../linux/libc.ts';
import { shutdown } from '../../linux/sockets.ts';
import { descriptorOf, keepHttpFromWriting, onEndOfReads } from '../../node/fields.ts';

/**
 * Half-closes a connection on which only http waits, and destroys it when the peer's end or reset comes. Node's streams would
 * take several times as long as the kernel for the two, which is most of a close with ten thousand idle connections. Bytes that
 * come instead of an end are read as always. False where that is not possible.
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
