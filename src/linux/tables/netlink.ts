import {
  AF_NETLINK,
  MSG_DONTWAIT,
  NETLINK_SOCK_DIAG,
  NLM_F_DUMP_INTR,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  SOCK_CLOEXEC,
  SOCK_RAW,
} from '../constants.ts';
import { check, requireLibc, SystemCallError } from '../libc.ts';

// struct nlmsghdr, linux/netlink.h: len u32, type u16, flags u16, seq u32, pid u32.
const HEADER = 16;

// Larger than any part of a dump: the kernel sends parts of at most 32 KiB (NLMSG_GOODSIZE, net/netlink/af_netlink.c).
const RECEIVE_SIZE = 65_536;

// A limit against a dump without an end: this many parts hold more sockets than a machine can.
const MOST_PARTS = 100_000;

/** What is wrong with an answer of the kernel. */
export type NetlinkFault = 'truncated' | 'wrong sequence' | 'error' | 'overrun' | 'interrupted' | 'no end';

/** A netlink exchange without a complete answer. Callers fall back to /proc. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  readonly fault: NetlinkFault;
  /** The kernel's errno for fault `error`, else 0. */
  readonly errno: number;

  constructor(fault: NetlinkFault, detail: string, errno = 0) {
    super(`netlink answer ${fault}: ${detail}`);
    this.fault = fault;
    this.errno = errno;
  }
}

let lastSequence = 0;

/** Returns a new sequence number for a request. */
export function nextSequence(): number {
  lastSequence = (lastSequence + 1) >>> 0;
  return lastSequence;
}

/** Puts the header of a netlink message before its payload. */
export function encodeMessage(type: number, flags: number, sequence: number, payload: Buffer): Buffer {
  const message = Buffer.alloc(HEADER + payload.length);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags, 6);
  message.writeUInt32LE(sequence, 8);
  payload.copy(message, HEADER);
  return message;
}

/**
 * Decodes one datagram of an answer: passes each payload of `type` to `visit`, and returns whether the answer is
 * complete. Every length is checked before it is used. Throws a `NetlinkError`.
 */
export function decodeDatagram(
  bytes: Buffer,
  type: number,
  sequence: number,
  visit: (payload: Buffer) => void,
): boolean {
  if (bytes.length < HEADER) throw new NetlinkError('truncated', `${bytes.length} bytes are no header`);
  let offset = 0;
  while (offset + HEADER <= bytes.length) {
    const length = bytes.readUInt32LE(offset);
    if (length < HEADER || length > bytes.length - offset) {
      throw new NetlinkError('truncated', `a message of ${length} bytes in ${bytes.length - offset}`);
    }
    if (readMessage({ bytes, offset, length }, type, sequence, visit)) return true;
    offset += align(length);
  }
  if (offset < bytes.length) throw new NetlinkError('truncated', `${bytes.length - offset} bytes are left over`);
  return false;
}

/** Sends one request to NETLINK_SOCK_DIAG and reads the answer to its end. Throws `SystemCallError` or `NetlinkError`. */
export function askSockDiag(request: Buffer, type: number, sequence: number, visit: (payload: Buffer) => void): void {
  const libc = requireLibc();
  const fd = check('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  try {
    check('send', libc.send(fd, request, request.length, 0));
    const part = Buffer.allocUnsafe(RECEIVE_SIZE);
    for (let parts = 0; parts < MOST_PARTS; parts++) {
      // The kernel fills the queue within send(2) and recv(2): an empty queue means that the answer is lost.
      const length = check('recv', libc.recv(fd, part, part.length, MSG_DONTWAIT));
      if (decodeDatagram(part.subarray(0, length), type, sequence, visit)) return;
    }
    throw new NetlinkError('no end', `more than ${MOST_PARTS} parts`);
  } finally {
    libc.close(fd);
  }
}

/** Finds one of the attributes that follow the fixed part of a payload (struct nlattr: len u16, type u16). */
export function findAttribute(bytes: Buffer, wanted: number): Buffer | undefined {
  let offset = 0;
  while (offset + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || length > bytes.length - offset)
      throw new NetlinkError('truncated', `an attribute of ${length} bytes`);
    if (bytes.readUInt16LE(offset + 2) === wanted) return bytes.subarray(offset + 4, offset + length);
    offset += align(length);
  }
  return undefined;
}

/** A message in a datagram. Only its payload becomes a buffer: a dump may have ten thousand messages. */
interface Message {
  readonly bytes: Buffer;
  readonly offset: number;
  readonly length: number;
}

function readMessage(message: Message, type: number, sequence: number, visit: (payload: Buffer) => void): boolean {
  const { bytes, offset, length } = message;
  const kind = bytes.readUInt16LE(offset + 4);
  const flags = bytes.readUInt16LE(offset + 6);
  const number = bytes.readUInt32LE(offset + 8);
  if (number !== sequence) throw new NetlinkError('wrong sequence', `${number}, expected ${sequence}`);
  if (kind === NLMSG_OVERRUN) throw new NetlinkError('overrun', 'the kernel dropped part of it');
  if (flags & NLM_F_DUMP_INTR) throw new NetlinkError('interrupted', 'the table changed while it was read');
  if (kind === NLMSG_ERROR || kind === NLMSG_DONE) throwOnErrno(message, kind);
  if (kind === NLMSG_DONE || kind === NLMSG_ERROR) return true;
  if (kind === type) visit(bytes.subarray(offset + HEADER, offset + length));
  else if (kind !== NLMSG_NOOP) throw new NetlinkError('error', `unexpected message type ${kind}`);
  return (flags & NLM_F_MULTI) === 0;
}

function throwOnErrno({ bytes, offset, length }: Message, kind: number): void {
  // Both begin with an int, which DONE may leave out. Zero is an acknowledgement.
  if (length < HEADER + 4) {
    if (kind === NLMSG_ERROR) throw new NetlinkError('truncated', 'an error without its number');
    return;
  }
  const errno = -bytes.readInt32LE(offset + HEADER);
  if (errno !== 0) throw new NetlinkError('error', new SystemCallError('sock_diag', errno).code, errno);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
