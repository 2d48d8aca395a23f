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

/** Where a socket is bound, as getsockname(2) says. */
export type SocketAddress =
  | { readonly family: 'IPv4' | 'IPv6'; readonly address: string; readonly port: number }
  | { readonly family: 'Unix'; readonly path: string };

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

/** listen(2): on a socket that listens already it only changes the limit of the accept queue. */
export function listen(fd: number, backlog: number): void {
  check('listen', requireLibc().listen(fd, backlog));
}

/** shutdown(2). */
export function shutdown(fd: number, how: number): void {
  check('shutdown', requireLibc().shutdown(fd, how));
}

/** Whether the descriptor is a listening socket (SO_ACCEPTCONN); false also for what is no socket at all. */
export function isListening(fd: number): boolean {
  try {
    return getIntOption(fd, SOL_SOCKET, SO_ACCEPTCONN) === 1;
  } catch {
    return false;
  }
}

/** Whether an IPv6 socket leaves IPv4 alone (IPV6_V6ONLY); one that does not is dual-stack. */
export function isIPv6Only(fd: number): boolean {
  return getIntOption(fd, IPPROTO_IPV6, IPV6_V6ONLY) === 1;
}

/**
 * What a listener has turned away since it was made (SO_MEMINFO, SK_MEMINFO_DROPS): SYNs and final ACKs that met a full
 * accept queue (tcp_listendrop, include/net/tcp.h). Cookies sent to a flood are not among them.
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

/** Bytes in the receive buffer that nobody has read (tcp(7), FIONREAD). */
export function unreadBytes(fd: number): number {
  return readIntByIoctl(fd, FIONREAD);
}

/** getsockname(2); undefined for a family that is not ours. */
export function localAddress(fd: number): SocketAddress | undefined {
  const bytes = Buffer.alloc(SOCKADDR_STORAGE_SIZE);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length);
  check('getsockname', requireLibc().getsockname(fd, bytes, length));
  return decodeAddress(bytes.subarray(0, Math.min(length.readUInt32LE(), bytes.length)));
}

/** Decodes a sockaddr_in, sockaddr_in6 or sockaddr_un; undefined if it is none of these or too short. */
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

/** Sixteen bytes of an IPv6 address in the one text form that RFC 5952 leaves. */
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

// One for all: a close of ten thousand connections asks forty thousand times, and each call is over before the next.
const ioctlValue = Buffer.alloc(4);

function readIntByIoctl(fd: number, request: number): number {
  check('ioctl', requireLibc().ioctl(fd, request, ioctlValue));
  return ioctlValue.readInt32LE();
}
