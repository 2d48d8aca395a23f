import { AF_UNIX, EAGAIN, ENOBUFS, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from './constants.ts';
import { bindFunction, check, requireLibc, SystemCallError } from './libc.ts';

// struct sockaddr_un, sys/un.h: sun_family u16, sun_path 108 bytes.
const PATH_OFFSET = 2;
const PATH_SIZE = 108;

/** Sends datagrams to one Unix address. */
export interface DatagramSender {
  /** Returns false if the receiver has no room for it now. Throws a `SystemCallError` if it cannot be sent at all. */
  send(text: string): boolean;
  close(): void;
}

/**
 * Opens a socket that sends to a path, or to an abstract address, `@name`. Each send looks up the address anew, so that the
 * receiver may start later, or restart. Never blocks. Throws for an invalid address, and if no system call can be made.
 */
export function openDatagramSender(address: string): DatagramSender {
  const target = encodeUnixAddress(address);
  const libc = requireLibc();
  const sendto = bindFunction(
    'intptr_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint32_t address_length)',
  );
  let fd = check('socket', libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return {
    send: (text) => {
      const bytes = Buffer.from(text);
      const flags = MSG_DONTWAIT | MSG_NOSIGNAL;
      if (sendto(fd, bytes, bytes.length, flags, target, target.length) !== -1) return true;
      const errno = libc.errno();
      if (errno === EAGAIN || errno === ENOBUFS) return false;
      throw new SystemCallError('sendto', errno);
    },
    close: () => {
      if (fd !== -1) libc.close(fd);
      // From now on the number may be another file's.
      fd = -1;
    },
  };
}

/** Encodes a sockaddr_un, unix(7): a path with its NUL, or a NUL and an abstract name without an end mark. */
export function encodeUnixAddress(address: string): Buffer {
  const isAbstract = address.startsWith('@');
  const path = Buffer.from(isAbstract ? `\0${address.slice(1)}` : `${address}\0`);
  if (!isAbstract && !address.startsWith('/')) throw new Error('neither a path from the root nor an abstract name');
  if (address.length < 2) throw new Error('no name');
  if (address.includes('\0')) throw new Error('a NUL in it');
  if (path.length > PATH_SIZE) throw new Error(`longer than the ${PATH_SIZE} bytes of an address`);
  const encoded = Buffer.alloc(PATH_OFFSET + path.length);
  encoded.writeUInt16LE(AF_UNIX, 0);
  path.copy(encoded, PATH_OFFSET);
  return encoded;
}
