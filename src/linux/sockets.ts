import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  FIONREAD,
  IPPROTO_IPV6,
  IPV6_V6ONLY,
  SIOCOUTQ,
  SK_MEMINFO_DROPS,
  SO_ACCEPTCONN,
  SO_MEMINFO,
  SOL_SOCKET,
} from './constants.ts';
import { check, requireLibc } from './libc.ts';

/** The address that a socket is bound to, as getsockname(2) returns it. An abstract Unix name begins with a NUL. */
export type SocketAddress =
  | { readonly family: 'IPv4' | 'IPv6'; readonly address: string; readonly port: number }
  | { readonly family: 'Unix'; readonly path: string };

/** The text of an address for reports: `127.0.0.1:8080`, `[::]:8080`, `unix:/run/app.sock`, `unix:@abstract`. */
export function nameOf(address: SocketAddress | undefined): string {
  if (address === undefined) return 'unknown';
  if (address.family === 'Unix') return `unix:${address.path.replaceAll('\0', '@')}`;
  return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}

// struct sockaddr_storage, bits/socket.h: no address is longer.
const SOCKADDR_STORAGE_SIZE = 128;

/** getsockopt(2) for an option whose value is an int. */
export function getIntOption(fd: number, level: number, name: number): number {
  const value = Buffer.alloc(4);
  readOption(fd, level, name, value);
  return value.readInt32LE();
}

const optionLength = Buffer.alloc(4);

/** getsockopt(2) into `value`; returns how many bytes the kernel wrote. */
export function readOption(fd: number, level: number, name: number, value: Buffer): number {
  optionLength.writeUInt32LE(value.length);
  check('getsockopt', requireLibc().getsockopt(fd, level, name, value, optionLength));
  return Math.min(optionLength.readUInt32LE(), value.length);
}

/** setsockopt(2) for an option whose value is an int. */
export function setIntOption(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  writeOption(fd, level, name, bytes);
}

/** setsockopt(2) with a value of any layout. */
export function writeOption(fd: number, level: number, name: number, value: Buffer): void {
  check('setsockopt', requireLibc().setsockopt(fd, level, name, value, value.length));
}

/** listen(2). On a socket that already listens it only changes the limit of the accept queue. */
export function listen(fd: number, backlog: number): void {
  check('listen', requireLibc().listen(fd, backlog));
}

/** shutdown(2). */
export function shutdown(fd: number, how: number): void {
  check('shutdown', requireLibc().shutdown(fd, how));
}

/** Whether the descriptor is a listening socket (SO_ACCEPTCONN); false if it is not a socket. */
export function isListening(fd: number): boolean {
  try {
    return getIntOption(fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
  } catch {
    return false;
  }
}

/** Whether an IPv6 socket takes no IPv4 (IPV6_V6ONLY); otherwise it is dual-stack. */
export function isIPv6Only(fd: number): boolean {
  return getIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 1;
}

/**
 * Counts what a listener has turned away since it was made (SO_MEMINFO, SK_MEMINFO_DROPS): SYNs and final ACKs that met a
 * full accept queue (tcp_listendrop, include/net/tcp.h). Cookies sent to a flood are not included.
 */
export function countListenDrops(fd: number): number {
  const values = Buffer.alloc((SK_MEMINFO_DROPS + 1) * 4);
  const written = readOption(fd, SOL_SOCKET, SO_MEMINFO, values);
  if (written < values.length)
    throw new Error(`SO_MEMINFO is ${written} bytes long, expected at least ${values.length}`);
  return values.readUInt32LE(SK_MEMINFO_DROPS * 4);
}

/** Bytes sent that the peer has not acknowledged (tcp(7), SIOCOUTQ). */
export function unacknowledgedBytes(fd: number): number {
  return readIntByIoctl(fd, SIOCOUTQ);
}

/** Bytes in the receive buffer that the program has not read (tcp(7), FIONREAD). */
export function unreadBytes(fd: number): number {
  return readIntByIoctl(fd, FIONREAD);
}

/** getsockname(2); undefined for a family other than IPv4, IPv6 and Unix. */
export function localAddress(fd: number): SocketAddress | undefined {
  const bytes = Buffer.alloc(SOCKADDR_STORAGE_SIZE);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  check('getsockname', requireLibc().getsockname(fd, bytes, length));
  return decodeAddress(bytes.subarray(0, Math.min(length.readUInt32LE(), bytes.length)));
}

/** Decodes a sockaddr_in, sockaddr_in6 or sockaddr_un; undefined for another family, or if it is too short. */
export function decodeAddress(bytes: Buffer): SocketAddress | undefined {
  if (bytes.length < 2) return undefined;
  const family = bytes.readUInt16LE(0);
  if (family === AF_INET && bytes.length >= 8) {
    return { family: 'IPv4', address: ipv4Text(bytes.subarray(4, 8)), port: bytes.readUInt16BE(2) };
  }
  if (family === AF_INET6 && bytes.length >= 24) {
    return { family: 'IPv6', address: ipv6Text(bytes.subarray(8, 24)), port: bytes.readUInt16BE(2) };
  }
  if (family === AF_UNIX) return { family: 'Unix', path: unixPath(bytes.subarray(2)) };
  return undefined;
}

/** Sixteen bytes of an IPv6 address in the text form of RFC 5952. */
export function ipv6Text(bytes: Buffer): string {
  if (isMapped(bytes)) return `::ffff:${ipv4Text(bytes.subarray(12, 16))}`;
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(index * 2).toString(16));
  // The URL parser compresses the longest run of zeros exactly as RFC 5952 asks.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

/** Four bytes of an IPv4 address in dotted form. */
export function ipv4Text(bytes: Buffer): string {
  return Array.from(bytes.subarray(0, 4)).join('.');
}

function isMapped(bytes: Buffer): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes.readUInt16BE(10) === 0xffff;
}

export function unixPath(bytes: Buffer): string {
  // unix(7): an abstract name begins with a NUL and has no end mark; a path ends at its first NUL.
  // libuv 1.46 (Node 20) binds an abstract name with all of sun_path, so that NULs follow it.
  if (bytes[0] === 0) return `\0${bytes.subarray(1).toString().replace(/\0+$/, '')}`;
  const end = bytes.indexOf(0);
  return bytes.subarray(0, end === -1 ? bytes.length : end).toString();
}

// One buffer for all calls, which follow each other: a close of ten thousand connections makes forty thousand of them.
const ioctlValue = Buffer.alloc(4);

function readIntByIoctl(fd: number, request: number): number {
  check('ioctl', requireLibc().ioctl(fd, request, ioctlValue));
  return ioctlValue.readInt32LE();
}
