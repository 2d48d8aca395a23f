import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { TCP_CLOSE_WAIT, TCP_ESTABLISHED } from '../constants.ts';
import type { SocketAddress } from '../sockets.ts';
import { dumpConnections } from '../tables/inet-diag.ts';

/** The numbers of accept and accept4 in asm/unistd.h. */
const ACCEPT: Partial<Record<NodeJS.Architecture, readonly string[]>> = { x64: ['43', '288'], arm64: ['202', '242'] };

const OPEN = (1 << TCP_ESTABLISHED) | (1 << TCP_CLOSE_WAIT);

/** A listening socket. */
export interface AcceptedFrom {
  readonly inode: number;
  readonly address: SocketAddress;
}

/**
 * Whether a process has been seen to accept clients from a listener: it waits for them with epoll(7), or in accept(2), or has one.
 * To hold a descriptor of the listener is not enough. False if the process cannot be inspected.
 */
export function isSeenToAccept(pid: number, listener: AcceptedFrom): boolean {
  const links = linksOf(pid);
  const held = [...links].filter(([, link]) => link === `socket:[${listener.inode}]`).map(([fd]) => fd);
  if (held.length === 0) return false;
  const ways = [
    (): boolean => isPolled(pid, listener.inode, links),
    (): boolean => isInAccept(pid, held),
    (): boolean => hasClient(listener.address, links),
  ];
  return ways.some((isSeen) => {
    try {
      return isSeen();
    } catch {
      return false;
    }
  });
}

function linksOf(pid: number): ReadonlyMap<number, string> {
  const links = new Map<number, string>();
  for (const fd of descriptorsOf(pid)) {
    const link = linkOf(`/proc/${pid}/fd/${fd}`);
    if (link !== undefined) links.set(Number(fd), link);
  }
  return links;
}

function descriptorsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    // Closed between the two calls.
    return undefined;
  }
}

/** Each watched file is a line of an epoll's fdinfo, with the inode in hexadecimal (ep_show_fdinfo, fs/eventpoll.c). */
function isPolled(pid: number, inode: number, links: ReadonlyMap<number, string>): boolean {
  const wanted = new RegExp(`^tfd: .* ino:${inode.toString(16)} `, 'm');
  return [...links].some(
    ([fd, link]) =>
      link === 'anon_inode:[eventpoll]' && wanted.test(readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1')),
  );
}

/** The system call of each thread, with its first argument: the descriptor (proc_pid_syscall(5)). */
function isInAccept(pid: number, held: readonly number[]): boolean {
  const numbers = ACCEPT[process.arch] ?? [];
  return readdirSync(`/proc/${pid}/task`).some((thread) => {
    const [number = '', fd = ''] = readFileSync(`/proc/${pid}/task/${thread}/syscall`, 'latin1').split(' ');
    return numbers.includes(number) && held.includes(Number(fd));
  });
}

function hasClient(address: SocketAddress, links: ReadonlyMap<number, string>): boolean {
  if (address.family === 'Unix') return false;
  const sockets = new Set(links.values());
  return dumpConnections(OPEN, address.port).some(({ inode }) => sockets.has(`socket:[${inode}]`));
}
