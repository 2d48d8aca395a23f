import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  IPPROTO_TCP,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  SOCK_DIAG_BY_FAMILY,
} from '../constants.ts';
import { TCP_SYN_RECV, UDIAG_SHOW_RQLEN, UNIX_DIAG_RQLEN } from '../constants.ts';
import { askSockDiag, encodeMessage, findAttribute, NetlinkError } from './netlink.ts';
import { ipv4Text, ipv6Text } from '../sockets.ts';

/** One half-open connection of a dump. */
export interface HalfOpen {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

// struct inet_diag_req_v2, linux/inet_diag.h: family u8, protocol u8, ext u8, pad u8, states u32, then inet_diag_sockid.
const INET_REQUEST = { size: 56, states: 4 } as const;

// struct inet_diag_msg: family u8, state u8, timer u8, retrans u8, then inet_diag_sockid: ports be16, addresses be32[4].
const INET_ANSWER = { size: 72, state: 1, sourcePort: 4, destinationPort: 6, source: 8, destination: 24 } as const;

// struct unix_diag_req, linux/unix_diag.h: family u8, protocol u8, pad u16, states u32, ino u32, show u32, cookie u32[2].
const UNIX_REQUEST = { size: 24, states: 4, inode: 8, show: 12, cookie: 16 } as const;

// struct unix_diag_msg: family u8, type u8, state u8, pad u8, ino u32, cookie u32[2]; attributes follow.
const UNIX_ANSWER = { size: 16, inode: 4 } as const;

let lastSequence = 0;

/** The request for all half-open connections (SYN_RECV) of one family, whatever their ports. */
export function encodeHalfOpenRequest(family: 'IPv4' | 'IPv6', sequence: number): Buffer {
  const payload = Buffer.alloc(INET_REQUEST.size);
  payload.writeUInt8(family === 'IPv4' ? AF_INET : AF_INET6, 0);
  payload.writeUInt8(IPPROTO_TCP, 1);
  payload.writeUInt32LE(1 << TCP_SYN_RECV, INET_REQUEST.states);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload);
}

/** Decodes one inet_diag_msg. Throws a `NetlinkError` if it is too short or of another family. */
export function decodeHalfOpen(payload: Buffer): HalfOpen {
  if (payload.length < INET_ANSWER.size)
    throw new NetlinkError('truncated', `inet_diag_msg of ${payload.length} bytes`);
  const family = payload.readUInt8(0);
  if (family !== AF_INET && family !== AF_INET6) throw new NetlinkError('error', `address family ${family}`);
  const text = family === AF_INET ? ipv4Text : ipv6Text;
  return {
    localAddress: text(payload.subarray(INET_ANSWER.source, INET_ANSWER.source + 16)),
    localPort: payload.readUInt16BE(INET_ANSWER.sourcePort),
    remoteAddress: text(payload.subarray(INET_ANSWER.destination, INET_ANSWER.destination + 16)),
    remotePort: payload.readUInt16BE(INET_ANSWER.destinationPort),
  };
}

/** All half-open connections of a family, as the kernel has them now; unprivileged. Throws if the kernel has no tcp_diag. */
export function dumpHalfOpen(family: 'IPv4' | 'IPv6'): readonly HalfOpen[] {
  const sequence = nextSequence();
  const found: HalfOpen[] = [];
  askSockDiag(encodeHalfOpenRequest(family, sequence), SOCK_DIAG_BY_FAMILY, sequence, (payload) => {
    found.push(decodeHalfOpen(payload));
  });
  return found;
}

/** The request for one Unix socket's queue lengths. */
export function encodeUnixQueueRequest(inode: number, sequence: number): Buffer {
  const payload = Buffer.alloc(UNIX_REQUEST.size);
  payload.writeUInt8(AF_UNIX, 0);
  payload.writeUInt32LE(0xffffffff, UNIX_REQUEST.states);
  payload.writeUInt32LE(inode, UNIX_REQUEST.inode);
  payload.writeUInt32LE(UDIAG_SHOW_RQLEN, UNIX_REQUEST.show);
  // INET_DIAG_NOCOOKIE: any socket with this inode.
  payload.fill(0xff, UNIX_REQUEST.cookie);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, sequence, payload);
}

/** Decodes a unix_diag_msg into the accept queue's length; undefined if it is another socket's or says nothing of it. */
export function decodeUnixQueue(payload: Buffer, inode: number): number | undefined {
  if (payload.length < UNIX_ANSWER.size)
    throw new NetlinkError('truncated', `unix_diag_msg of ${payload.length} bytes`);
  if (payload.readUInt32LE(UNIX_ANSWER.inode) !== inode) return undefined;
  // struct unix_diag_rqlen: udiag_rqueue u32 (connections waiting, for a listener), udiag_wqueue u32 (its backlog).
  const lengths = findAttribute(payload.subarray(UNIX_ANSWER.size), UNIX_DIAG_RQLEN);
  return lengths === undefined || lengths.length < 8 ? undefined : lengths.readUInt32LE(0);
}

/** How many connections wait in a Unix listener's accept queue. Throws if the kernel has no unix_diag. */
export function readUnixQueue(inode: number): number {
  const sequence = nextSequence();
  let queued: number | undefined;
  askSockDiag(encodeUnixQueueRequest(inode, sequence), SOCK_DIAG_BY_FAMILY, sequence, (payload) => {
    queued = decodeUnixQueue(payload, inode);
  });
  if (queued === undefined) throw new NetlinkError('error', `no Unix socket with inode ${inode}`);
  return queued;
}

function nextSequence(): number {
  lastSequence = (lastSequence + 1) >>> 0;
  return lastSequence;
}
