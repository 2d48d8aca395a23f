import { SHUT_RD } from '../../linux/constants.ts';
import { shutdown } from '../../linux/sockets.ts';

/**
 * Shuts a Unix listener for reading: connect(2) is refused at once, and what is queued can still be accepted
 * (unix_stream_connect and unix_accept, net/unix/af_unix.c).
 */
export function shutUnixListener(fd: number): void {
  shutdown(fd, SHUT_RD);
}
