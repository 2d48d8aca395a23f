import net from 'node:net';
import { AF_INET, AF_INET6, AF_UNIX, SO_REUSEADDR, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET } from './constants.ts';
import { bindFunction, check, requireLibc } from './libc.ts';
import { listen, setIntOption, type SocketAddress } from './sockets.ts';
import { encodeUnixAddress } from './unix-datagram.ts';

const FAMILIES = { IPv4: AF_INET, IPv6: AF_INET6, Unix: AF_UNIX } as const;

/**
 * Opens a listening socket, close-on-exec: socket(2), bind(2), listen(2). Throws a `SystemCallError`: EADDRINUSE, EACCES,
 * EADDRNOTAVAIL.
 */
export function openListener(address: SocketAddress, backlog: number): number {
  const libc = requireLibc();
  const bind = bindFunction('int bind(int fd, void *address, uint32_t length)');
  const fd = check('socket', libc.socket(FAMILIES[address.family], SOCK_STREAM | SOCK_CLOEXEC, 0));
  try {
    if (address.family !== 'Unix') setIntOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    const encoded = encodeAddress(address);
    check('bind', bind(fd, encoded, encoded.length));
    listen(fd, backlog);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** struct sockaddr_in, sockaddr_in6 (netinet/in.h) or sockaddr_un. */
function encodeAddress(address: SocketAddress): Buffer {
  if (address.family === 'Unix') return encodeUnixAddress(address.path.replace(/^\0/, '@'));
  const bytes = Buffer.alloc(address.family === 'IPv4' ? 16 : 28);
  bytes.writeUInt16LE(FAMILIES[address.family], 0);
  bytes.writeUInt16BE(address.port, 2);
  if (address.family === 'IPv4') Buffer.from(address.address.split('.').map(Number)).copy(bytes, 4);
  else ipv6Bytes(address.address).copy(bytes, 8);
  return bytes;
}

function ipv6Bytes(text: string): Buffer {
  if (!net.isIPv6(text) || text.includes('%')) throw new Error(`not an IPv6 address: ${text}`);
  // The URL parser writes an IPv4 tail as two groups.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined): string[] => (part === undefined || part === '' ? [] : part.split(':'));
  const missing = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array.from({ length: missing }, () => '0'), ...groups(tail)];
  return Buffer.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]));
}
