import type { SocketAddress } from '../../linux/sockets.ts';
import type { HeldListener } from '../find/find-listeners.ts';

/**
 * Whether a listener may serve other processes of the same program: it is local (loopback or Unix), and another process of the
 * program listens for clients from outside. A proxy and its backend in one container are such a program, nginx and php-fpm for
 * one. While the proxy has clients it must get into the backend.
 */
export function isInner({ socket, holders }: HeldListener, all: readonly HeldListener[]): boolean {
  if (!isLocal(socket.address)) return false;
  const own = new Set(holders.map(({ pid }) => pid));
  const outer = all.filter((other) => !isLocal(other.socket.address));
  return outer.some((other) => other.holders.some(({ pid }) => !own.has(pid)));
}

function isLocal(address: SocketAddress): boolean {
  if (address.family === 'Unix') return true;
  return address.family === 'IPv4' ? address.address.startsWith('127.') : address.address === '::1';
}
