import { readFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { AF_INET, AF_INET6, SOCK_CLOEXEC } from '../../../src/linux/constants.ts';
import { check, requireLibc } from '../../../src/linux/libc.ts';

// bits/socket_type.h
const SOCK_DGRAM = 2;

// linux/sockios.h
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const SIOCSIFADDR = 0x8916;
const SIOCSIFNETMASK = 0x891c;
const SIOCGIFINDEX = 0x8933;
const SIOCSIFTXQLEN = 0x8943;

// net/if.h: struct ifreq is a name of IFNAMSIZ bytes and a union of 24.
const IFNAMSIZ = 16;
const IFREQ_SIZE = 40;
const IFF_UP = 0x1;

// linux/if_addr.h
const IFA_F_TENTATIVE = 0x40;

const littleEndian = endianness() === 'LE';

/** An interface's name and what is said about it, as `struct ifreq` wants them. */
export function interfaceRequest(name: string, value: Buffer = Buffer.alloc(0)): Buffer {
  if (Buffer.byteLength(name) >= IFNAMSIZ)
    throw new RangeError(`Expected an interface name below 16 bytes, got \`${name}\``);
  const request = Buffer.alloc(IFREQ_SIZE);
  request.write(name);
  value.copy(request, IFNAMSIZ);
  return request;
}

export function bringUp(name: string): void {
  const request = ask(AF_INET, 'SIOCGIFFLAGS', SIOCGIFFLAGS, interfaceRequest(name));
  request.writeUInt8(request.readUInt8(flagsByte) | IFF_UP, flagsByte);
  ask(AF_INET, 'SIOCSIFFLAGS', SIOCSIFFLAGS, request);
}

/** How many packets the interface keeps for who reads them late; what comes on top is lost. */
export function setQueueLength(name: string, packets: number): void {
  ask(AF_INET, 'SIOCSIFTXQLEN', SIOCSIFTXQLEN, interfaceRequest(name, int32(packets)));
}

export function setIpv4Address(name: string, address: string, prefix: number): void {
  const mask = [24, 16, 8, 0].map((shift) => ((2 ** 32 - 2 ** (32 - prefix)) / 2 ** shift) & 0xff);
  ask(AF_INET, 'SIOCSIFADDR', SIOCSIFADDR, interfaceRequest(name, sockaddrIn(address.split('.').map(Number))));
  ask(AF_INET, 'SIOCSIFNETMASK', SIOCSIFNETMASK, interfaceRequest(name, sockaddrIn(mask)));
}

/** Gives the interface an IPv6 address, which the kernel makes usable a moment later: see `ipv6AddressesAreReady`. */
export function setIpv6Address(name: string, address: string, prefix: number): void {
  const found = ask(AF_INET6, 'SIOCGIFINDEX', SIOCGIFINDEX, interfaceRequest(name));
  // linux/ipv6.h, struct in6_ifreq: the address, 16 bytes; its prefix length and the interface's index, 4 each.
  const request = Buffer.concat([ipv6Bytes(address), int32(prefix), found.subarray(IFNAMSIZ, IFNAMSIZ + 4)]);
  ask(AF_INET6, 'SIOCSIFADDR', SIOCSIFADDR, request);
}

/** Whether every IPv6 address of this namespace can be used: none waits for duplicate address detection. */
export function ipv6AddressesAreReady(): boolean {
  const rows = readFileSync('/proc/net/if_inet6', 'latin1').trim().split('\n');
  return rows.every((row) => (Number.parseInt(row.split(/\s+/)[4] ?? '', 16) & IFA_F_TENTATIVE) === 0);
}

// The flags' low byte, which holds IFF_UP.
const flagsByte = IFNAMSIZ + (littleEndian ? 0 : 1);

function ask(family: number, name: string, request: number, argument: Buffer): Buffer {
  const libc = requireLibc();
  const socket = check('socket', libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  try {
    check(`ioctl(${name})`, libc.ioctl(socket, request, argument));
    return argument;
  } finally {
    libc.close(socket);
  }
}

function sockaddrIn(address: readonly number[]): Buffer {
  // netinet/in.h, struct sockaddr_in: family, port, address.
  const family = littleEndian ? [AF_INET, 0] : [0, AF_INET];
  return Buffer.from([...family, 0, 0, ...address, 0, 0, 0, 0, 0, 0, 0, 0]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = [], tail = []] = address.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0');
  const groups = [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16));
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  if (littleEndian) bytes.writeInt32LE(value);
  else bytes.writeInt32BE(value);
  return bytes;
}
