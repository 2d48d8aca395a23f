import { constants, openSync } from 'node:fs';
import { endianness } from 'node:os';
import { bindFunction, check, requireLibc, SystemCallError } from '../../../src/linux/libc.ts';
import { interfaceRequest } from './interface.ts';

// linux/if_tun.h
const TUNSETIFF = 0x400454ca;
const IFF_TUN = 0x0001;
const IFF_NO_PI = 0x1000;

// asm-generic/errno.h
const EAGAIN = 11;

/**
 * Makes a TUN device in the network namespace that this thread is in and returns its descriptor. Each read takes one IP
 * packet that the host sent, each write hands it one; the device goes when the descriptor is closed.
 * Reads do not wait: Node's event loop cannot watch a TUN, so who reads it asks poll(2) first.
 */
export function openTun(name: string): number {
  const tun = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
  const flags = Buffer.alloc(2);
  if (endianness() === 'LE') flags.writeUInt16LE(IFF_TUN | IFF_NO_PI);
  else flags.writeUInt16BE(IFF_TUN | IFF_NO_PI);
  check('ioctl(TUNSETIFF)', requireLibc().ioctl(tun, TUNSETIFF, interfaceRequest(name, flags)));
  return tun;
}

/** read(2) and write(2) for packets, without the exception that node:fs makes of each EAGAIN. */
export class PacketIo {
  readonly #read = bindFunction('long read(int fd, void *bytes, size_t length)');
  readonly #write = bindFunction('long write(int fd, void *bytes, size_t length)');

  /** Takes the next packet into `bytes`; returns its length, 0 when there is none. */
  receive(tun: number, bytes: Buffer): number {
    const length = this.#read(tun, bytes, bytes.length);
    if (length >= 0) return length;
    const errno = requireLibc().errno();
    if (errno === EAGAIN) return 0;
    throw new SystemCallError('read', errno);
  }

  /** Hands the host a packet; the kernel has processed it when this returns. */
  send(tun: number, bytes: Buffer, length: number): void {
    check('write', this.#write(tun, bytes, length));
  }
}
