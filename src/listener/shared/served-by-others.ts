import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { inodeOf } from '../../linux/descriptors.ts';
import { isSeenToAccept } from '../../linux/process/accepting.ts';
import { Search } from '../../linux/process/holders.ts';
import { isSameProgram, readStat } from '../../linux/process/processes.ts';
import type { SocketAddress } from '../../linux/sockets.ts';
import { activator, isPassedBySupervisor } from '../listen-fds.ts';
import type { Sharing } from '../sharing.ts';

/** How long the processes of the host may be searched while the queue is served here, and how long without a turn of the loop, in ms. */
const SEARCH_LIMIT = 2_000;
const PIECE = 10;

/** A descriptor of a shared listener, and its address. */
export interface SharedSocket {
  readonly fd: number;
  readonly address: SocketAddress | undefined;
}

/** Whether another process is known to serve the queue of a shared listener. */
export async function isServedByOthers(socket: SharedSocket, holders: Sharing['holders']): Promise<boolean> {
  if (holders === 'the cluster' || isLeftToActivator(socket.fd)) return true;
  const serves = (pid: number): boolean => isServing(pid, socket);
  if (holders !== 'not looked for') return holders.some(serves);
  try {
    return await search(socket.fd, serves);
  } catch {
    return false;
  }
}

async function search(fd: number, serves: (pid: number) => boolean): Promise<boolean> {
  const found = new Search(inodeOf(fd), { onlyOurs: false });
  const end = performance.now() + SEARCH_LIMIT;
  for (let seen = 0; performance.now() < end; seen = found.holders.length) {
    found.goOn(PIECE);
    if (found.holders.slice(seen).some(serves)) return true;
    if (found.finished) return false;
    await turn();
  }
  return false;
}

/** `lastcall run`, a shell, tini and npm hold a descriptor, too. Only these serve its clients. */
function isServing(pid: number, { fd, address }: SharedSocket): boolean {
  if (isPassedBySupervisor(fd) && pid === activator()) return true;
  if (isSameProgram(pid)) return true;
  return address !== undefined && isSeenToAccept(pid, { inode: inodeOf(fd), address });
}

/** systemd keeps the sockets that it passes. A program may not look into systemd. */
function isLeftToActivator(fd: number): boolean {
  const pid = isPassedBySupervisor(fd) ? activator() : undefined;
  if (pid === undefined || readStat(pid) === undefined) return false;
  try {
    return readFileSync(`/proc/${pid}/comm`, 'latin1') === 'systemd\n';
  } catch {
    return false;
  }
}
