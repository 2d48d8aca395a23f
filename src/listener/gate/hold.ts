import { attachSynFilter, detachFilter } from '../../linux/filter.ts';

/**
 * Drops new SYNs. The client repeats its SYN after 1 s, then 3 s, and reaches the process that listens by then. All else
 * passes, the ACK of a SYN cookie too. Throws EPERM where the kernel asks for CAP_NET_ADMIN.
 */
export function holdNewConnections(fd: number): void {
  attachSynFilter(fd);
}

/** Ends a hold that was only needed until SYN cookies were back. */
export function endHold(fd: number): void {
  detachFilter(fd);
}
