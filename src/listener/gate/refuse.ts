import { SO_BINDTOIFINDEX, SOL_SOCKET } from '../../linux/constants.ts';
import { getIntOption, setIntOption } from '../../linux/sockets.ts';

/** No interface has the largest index, so no packet comes from there. */
export const NO_INTERFACE = 0x7fffffff;

/**
 * Binds the listener to an interface that does not exist: the kernel's lookup for a SYN no longer finds it and answers
 * RST, while half-open connections complete, because they are found by their four-tuple. Unprivileged since Linux 5.7,
 * once per socket (sock_bindtoindex, net/core/sock.c). Throws EPERM for a listener that is bound to a device already.
 */
export function refuseNewConnections(fd: number): void {
  if (getIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX) === NO_INTERFACE) return;
  setIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX, NO_INTERFACE);
}

/** Whether the listener is bound to a device, which only CAP_NET_RAW may change. */
export function isBoundToDevice(fd: number): boolean {
  return getIntOption(fd, SOL_SOCKET, SO_BINDTOIFINDEX) !== 0;
}
