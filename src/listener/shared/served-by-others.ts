import { readFileSync } from 'node:fs';
import { inodeOf } from '../../linux/descriptors.ts';
import { isSeenToAccept } from '../../linux/process/accepting.ts';
import { isSameProgram, readStat } from '../../linux/process/processes.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { joinSearch, type SearchTime } from '../holder-search.ts';
import { activator } from '../listen-fds.ts';
import type { Sharing } from '../sharing.ts';

/** A descriptor of a shared listener, and its address. */
export interface SharedSocket {
  readonly fd: number;
  readonly address: SocketAddress | undefined;
  /** Whether an activator passed it. A copy of the descriptor does not show it. */
  readonly isPassed: boolean;
}

/** Whether another process is known to serve the queue of a shared listener. */
export async function isServedByOthers(
  socket: SharedSocket,
  holders: Sharing['holders'],
  time: SearchTime,
): Promise<boolean> {
  if (holders === 'the cluster' || isLeftToActivator(socket)) return true;
  const serves = (pid: number): boolean => isServing(pid, socket);
  if (holders !== 'not looked for') return holders.some(serves);
  try {
    const inode = inodeOf(socket.fd);
    return await joinSearch(inode, { onlyOurs: false }).hasHolder(inode, serves, time);
  } catch {
    return false;
  }
}

/** `lastcall run`, a shell, tini and npm hold a descriptor, too. Only these serve its clients. */
function isServing(pid: number, { fd, address, isPassed }: SharedSocket): boolean {
  if (isPassed && pid === activator()) return true;
  if (isSameProgram(pid)) return true;
  return address !== undefined && isSeenToAccept(pid, { inode: inodeOf(fd), address });
}

/** systemd keeps the sockets that it passes. A program may not look into systemd. */
function isLeftToActivator({ isPassed }: SharedSocket): boolean {
  const pid = isPassed ? activator() : undefined;
  if (pid === undefined || readStat(pid) === undefined) return false;
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1') === 'systemd\n';
  } catch {
    return false;
  }
}
