import net from 'node:net';
import { resolve } from 'node:path';
import { listeningDescriptors } from '../linux/descriptors.ts';
import { loadLibc } from '../linux/libc.ts';
import { isListening, localAddress, nameOf, type SocketAddress } from '../linux/sockets.ts';
import { descriptorOf, handleOf } from '../node/fields.ts';

// sun_path of struct sockaddr_un, sys/un.h: 108 bytes, the last one for the end mark.
const LONGEST_PATH = 107;

/** One listening socket, as a close meets it. */
export interface Listener {
  /** The server here that listens on it. Undefined for a socket that a cluster's primary holds for its workers. */
  readonly server: net.Server | undefined;
  readonly address: SocketAddress | undefined;
  /** For reports: `127.0.0.1:8080`, `[::]:8080`, `[fe80::1%eth0]:8080`, `unix:/run/app.sock`, `unix:@abstract`. */
  readonly name: string;
  /**
   * The socket's descriptor, asked anew before each use: the program may close its server at any time, and the number
   * would be another's then. Undefined once closed, or where no system call can be made.
   */
  readonly descriptor: () => number | undefined;
  /** Whether this very socket still listens: the server may have closed it, and have listened anew. */
  readonly isOpen: () => boolean;
}

/** Finds the socket of a server that listens. */
export function findListener(server: net.Server): Listener {
  const address = addressOf(server);
  const handle = handleOf(server);
  const isOpen = (): boolean => server.listening && handleOf(server) === handle;
  return { server, address, name: nameOf(address), descriptor: findDescriptor(server, address, isOpen), isOpen };
}

/** Where a cluster's workers listen, as the primary knows it: no address means all of them. */
export type ClusterAddress =
  | { readonly port: number; readonly address: string | undefined }
  | { readonly path: string };

/**
 * Finds the socket that a cluster's primary listens on for its workers: no server here has it. Undefined where there is not
 * just one that it can be.
 */
export function findPrimaryListener(wanted: ClusterAddress): Listener | undefined {
  const all = loadLibc().available ? listeningDescriptors() : [];
  const exact = all.filter(({ address }) => isExactly(address, wanted));
  const [found, another] = exact.length > 0 ? exact : all.filter(({ address }) => isAnyOf(address, wanted));
  if (found === undefined || another !== undefined) return undefined;
  const { fd, address } = found;
  const isOpen = (): boolean => isOurs(fd, address);
  const descriptor = (): number | undefined => (isOpen() ? fd : undefined);
  return { server: undefined, address, name: nameOf(address), descriptor, isOpen };
}

/** For reports, where there is no listener. */
export function nameOfClusterAddress(wanted: ClusterAddress): string {
  if ('path' in wanted) return nameOf({ family: 'Unix', path: wanted.path });
  const { address = '::', port } = wanted;
  return nameOf({ family: net.isIPv4(address) ? 'IPv4' : 'IPv6', address, port });
}

function isExactly(address: SocketAddress, wanted: ClusterAddress): boolean {
  // Node's primary binds the path that is relative to its folder, where that is shorter (lib/internal/cluster/primary.js).
  if (address.family === 'Unix') return 'path' in wanted && isSamePath(resolve(address.path), resolve(wanted.path));
  if ('path' in wanted || address.port !== wanted.port) return false;
  return withoutZone(address.address) === inShortForm(withoutZone(wanted.address ?? '::'));
}

/** An IPv6 address may be written in many ways; the kernel's is the one of RFC 5952. */
function inShortForm(address: string): string {
  return net.isIPv6(address) ? new net.SocketAddress({ address, family: 'ipv6' }).address : address;
}

/** Without an address Node listens on `::`, or on 0.0.0.0 where there is no IPv6. */
function isAnyOf(address: SocketAddress, wanted: ClusterAddress): boolean {
  if (address.family === 'Unix' || 'path' in wanted || address.port !== wanted.port) return false;
  return wanted.address === undefined && address.address === '0.0.0.0';
}

function addressOf(server: net.Server): SocketAddress | undefined {
  const address = server.address();
  if (address === null) return passedAddressOf(server);
  if (typeof address === 'string') return { family: 'Unix', path: address };
  return { family: address.family === 'IPv6' ? 'IPv6' : 'IPv4', address: address.address, port: address.port };
}

/** Node knows no address of a Unix listener that came as a descriptor; the kernel does. */
function passedAddressOf(server: net.Server): SocketAddress | undefined {
  const fd = descriptorOf(server);
  return fd !== undefined && loadLibc().available && isListening(fd) ? localAddress(fd) : undefined;
}

function findDescriptor(
  server: net.Server,
  address: SocketAddress | undefined,
  isOpen: () => boolean,
): () => number | undefined {
  if (!loadLibc().available || address === undefined) return () => undefined;
  const own = descriptorOf(server);
  if (own !== undefined) {
    // Looked at once: as long as the server has the same handle open, the number is the same socket's.
    return isOurs(own, address) ? () => (isOpen() ? own : undefined) : () => undefined;
  }
  const matches = listeningDescriptors().filter((found) => isSame(found.address, address));
  const [only] = matches;
  if (only === undefined || matches.length > 1) return () => undefined;
  return () => (isOpen() && isOurs(only.fd, address) ? only.fd : undefined);
}

function isOurs(fd: number, address: SocketAddress): boolean {
  if (!isListening(fd)) return false;
  const found = localAddress(fd);
  return found !== undefined && isSame(found, address);
}

function isSame(left: SocketAddress, right: SocketAddress): boolean {
  if (left.family === 'Unix' || right.family === 'Unix') {
    return left.family === 'Unix' && right.family === 'Unix' && isSamePath(left.path, right.path);
  }
  return (
    left.family === right.family && left.port === right.port && withoutZone(left.address) === withoutZone(right.address)
  );
}

/** libuv 1.46 (Node 20) cuts a path that is longer than sun_path and listens on what is left. */
function isSamePath(bound: string, asked: string): boolean {
  return bound === asked || (Buffer.byteLength(bound) >= LONGEST_PATH && asked.startsWith(bound));
}

/** An address as the kernel's tables have it: server.address() gives a link-local one with its interface, fe80::1%eth0. */
export function withoutZone(address: string): string {
  return address.split('%', 1)[0] ?? address;
}
