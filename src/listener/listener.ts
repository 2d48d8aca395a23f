import type net from 'node:net';
import { listeningDescriptors } from '../linux/descriptors.ts';
import { loadLibc } from '../linux/libc.ts';
import { isListening, localAddress, type SocketAddress } from '../linux/sockets.ts';
import { descriptorOf } from '../node-fields.ts';

/** One listening socket, as a close meets it. */
export interface Listener {
  readonly server: net.Server;
  readonly address: SocketAddress | undefined;
  /** For reports: `127.0.0.1:8080`, `[::]:8080`, `unix:/run/app.sock`, `unix:@abstract`. */
  readonly name: string;
  /**
   * The socket's descriptor, asked anew before each use: the program may close its server at any time, and the number
   * would be another's then. Undefined once closed, or where no system call can be made.
   */
  readonly descriptor: () => number | undefined;
}

/** Finds the socket of a server that listens. */
export function findListener(server: net.Server): Listener {
  const address = addressOf(server);
  return { server, address, name: nameOf(address), descriptor: findDescriptor(server, address) };
}

function addressOf(server: net.Server): SocketAddress | undefined {
  const address = server.address();
  if (address === null) return undefined;
  if (typeof address === 'string') return { family: 'Unix', path: address };
  return { family: address.family === 'IPv6' ? 'IPv6' : 'IPv4', address: address.address, port: address.port };
}

function nameOf(address: SocketAddress | undefined): string {
  if (address === undefined) return 'unknown';
  if (address.family === 'Unix') return `unix:${address.path.replaceAll('\0', '@')}`;
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

function findDescriptor(server: net.Server, address: SocketAddress | undefined): () => number | undefined {
  if (!loadLibc().available || address === undefined) return () => undefined;
  const own = descriptorOf(server);
  if (own !== undefined) {
    // Looked at once: as long as the server has the same handle open, the number is the same socket's.
    return isOurs(own, address) ? () => (descriptorOf(server) === own ? own : undefined) : () => undefined;
  }
  const matches = listeningDescriptors().filter((found) => isSame(found.address, address));
  const [only] = matches;
  if (only === undefined || matches.length > 1) return () => undefined;
  return () => (server.listening && isOurs(only.fd, address) ? only.fd : undefined);
}

function isOurs(fd: number, address: SocketAddress): boolean {
  if (!isListening(fd)) return false;
  const found = localAddress(fd);
  return found !== undefined && isSame(found, address);
}

function isSame(left: SocketAddress, right: SocketAddress): boolean {
  if (left.family === 'Unix' || right.family === 'Unix') {
    return left.family === 'Unix' && right.family === 'Unix' && left.path === right.path;
  }
  return (
    left.family === right.family && left.port === right.port && withoutZone(left.address) === withoutZone(right.address)
  );
}

function withoutZone(address: string): string {
  // server.address() gives a link-local address with its interface (fe80::1%eth0), getsockname(2) has that apart.
  return address.split('%', 1)[0] ?? address;
}
