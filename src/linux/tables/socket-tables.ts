import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  INET_DIAG_INFO,
  INET_DIAG_SKMEMINFO,
  IPPROTO_TCP,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  SK_MEMINFO_DROPS,
  SOCK_DIAG_BY_FAMILY,
  SOCK_STREAM,
  TCP_LISTEN,
  UDIAG_SHOW_NAME,
  UDIAG_SHOW_RQLEN,
  UNIX_DIAG_NAME,
  UNIX_DIAG_RQLEN,
  UNIX_DIAG_SHUTDOWN,
} from '../constants.ts';
import { askSockDiag, encodeMessage, findAttribute, NetlinkError } from './netlink.ts';
import { ipv4Text, ipv6Text, type SocketAddress, unixPath } from '../sockets.ts';

/** A listening socket of this network namespace, whoever holds it. */
export interface ListeningSocket {
  readonly inode: number;
  readonly address: SocketAddress;
  /** Connections in its accept queue, and how many there may be. */
  readonly queued: number;
  readonly limit: number;
  /** The user who made it; undefined for a Unix socket, of which the kernel does not say. */
  readonly uid: number | undefined;
  /** Of TCP, where netlink was asked: the index of the interface that it is bound to, 0 if to none. */
  readonly device?: number;
  /** Of TCP, where netlink was asked: what it has turned away since it was made (SK_MEMINFO_DROPS). */
  readonly drops?: number;
  /** Of a Unix socket, where netlink was asked: whether it was shut for reading, so that nobody gets in. */
  readonly isShut?: boolean;
}

/** A connection of this network namespace. */
export interface Connection {
  readonly inode: number;
  /** As net/tcp_states.h numbers them. */
  readonly state: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bytes that nobody here has read, and that the peer has not acknowledged. */
  readonly unread: number;
  readonly unacknowledged: number;
  /** Milliseconds since data was sent, and received; undefined where the kernel was not asked, or did not say. */
  readonly lastSent: number | undefined;
  readonly lastReceived: number | undefined;
}

export type Family = 'IPv4' | 'IPv6';

// struct inet_diag_req_v2, linux/inet_diag.h: family u8, protocol u8, ext u8, pad u8, states u32, then inet_diag_sockid, whose
// source port is a filter where it is not 0 (inet_diag_dump_icsk, net/ipv4/inet_diag.c).
const INET_REQUEST = { size: 56, extensions: 2, states: 4, sourcePort: 8 } as const;

// struct inet_diag_msg: family, state, timer, retrans u8; inet_diag_sockid of 48 bytes: ports be16, addresses be32[4], …; then
// expires, rqueue, wqueue, uid, inode u32. Attributes follow.
const INET = {
  size: 72,
  state: 1,
  sourcePort: 4,
  source: 8,
  destination: 24,
  device: 40,
  rqueue: 56,
  wqueue: 60,
  uid: 64,
  inode: 68,
} as const;

// struct tcp_info, linux/tcp.h
const TCP_INFO_FIELDS = { size: 56, lastSent: 44, lastReceived: 52 } as const;

// struct unix_diag_req: family u8, protocol u8, pad u16, states u32, ino u32, show u32, cookie u32[2].
const UNIX_REQUEST = { size: 24, states: 4, show: 12, cookie: 16 } as const;

// struct unix_diag_msg: family u8, type u8, state u8, pad u8, ino u32, cookie u32[2]; attributes follow.
const UNIX = { size: 16, type: 1, state: 2, inode: 4 } as const;

let lastSequence = 0;

/** Which TCP sockets are asked for, and what is to be told of each. */
export interface TcpQuestion {
  /** Bits: 1 << the state's number. */
  readonly states: number;
  /** Those of this local port only; 0 is all. */
  readonly port?: number;
  /** What is told beside the fixed part: INET_DIAG_INFO and its like. */
  readonly extension?: number;
}

/** The request for the TCP sockets of one family. */
export function encodeTcpRequest(family: Family, question: TcpQuestion, sequence: number): Buffer {
  const { states, port = 0, extension = 0 } = question;
  const payload = Buffer.alloc(INET_REQUEST.size);
  payload.writeUInt8(family === 'IPv4' ? AF_INET : AF_INET6, 0);
  payload.writeUInt8(IPPROTO_TCP, 1);
  payload.writeUInt8(extension === 0 ? 0 : 1 << (extension - 1), INET_REQUEST.extensions);
  payload.writeUInt32LE(states >>> 0, INET_REQUEST.states);
  payload.writeUInt16BE(port, INET_REQUEST.sourcePort);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload);
}

/** Decodes one inet_diag_msg of a listener. Throws a `NetlinkError` if it is too short or of another family. */
export function decodeTcpListener(payload: Buffer): ListeningSocket {
  const { family, text } = checkTcp(payload);
  const address = text(payload.subarray(INET.source, INET.source + 16));
  const memory = findAttribute(payload.subarray(INET.size), INET_DIAG_SKMEMINFO);
  const isKnown = memory !== undefined && memory.length >= (SK_MEMINFO_DROPS + 1) * 4;
  return {
    inode: payload.readUInt32LE(INET.inode),
    address: { family, address, port: payload.readUInt16BE(INET.sourcePort) },
    // Of a listener: sk_ack_backlog and sk_max_ack_backlog (tcp_diag_get_info, net/ipv4/tcp_diag.c).
    queued: payload.readUInt32LE(INET.rqueue),
    limit: payload.readUInt32LE(INET.wqueue),
    uid: payload.readUInt32LE(INET.uid),
    device: payload.readUInt32LE(INET.device),
    ...(isKnown ? { drops: memory.readUInt32LE(SK_MEMINFO_DROPS * 4) } : {}),
  };
}

/** Decodes one inet_diag_msg of a connection. Throws a `NetlinkError` if it is too short or of another family. */
export function decodeConnection(payload: Buffer): Connection {
  const { text } = checkTcp(payload);
  const info = findAttribute(payload.subarray(INET.size), INET_DIAG_INFO);
  const isKnown = info !== undefined && info.length >= TCP_INFO_FIELDS.size;
  return {
    inode: payload.readUInt32LE(INET.inode),
    state: payload.readUInt8(INET.state),
    localAddress: text(payload.subarray(INET.source, INET.source + 16)),
    localPort: payload.readUInt16BE(INET.sourcePort),
    remoteAddress: text(payload.subarray(INET.destination, INET.destination + 16)),
    remotePort: payload.readUInt16BE(6),
    unread: payload.readUInt32LE(INET.rqueue),
    unacknowledged: payload.readUInt32LE(INET.wqueue),
    lastSent: isKnown ? info.readUInt32LE(TCP_INFO_FIELDS.lastSent) : undefined,
    lastReceived: isKnown ? info.readUInt32LE(TCP_INFO_FIELDS.lastReceived) : undefined,
  };
}

/** All TCP listeners of this namespace; unprivileged. Throws where the kernel has no tcp_diag. */
export function dumpTcpListeners(): readonly ListeningSocket[] {
  const question = { states: 1 << TCP_LISTEN, extension: INET_DIAG_SKMEMINFO };
  return FAMILIES.flatMap((family) => dumpTcp(family, question, decodeTcpListener));
}

/** All TCP connections of this namespace in these states (bits), with how long they are silent if wanted; unprivileged. */
export function dumpConnections(states: number, options: { readonly withInfo: boolean }): readonly Connection[] {
  const question = { states, extension: options.withInfo ? INET_DIAG_INFO : 0 };
  return FAMILIES.flatMap((family) => dumpTcp(family, question, decodeConnection));
}

/** What is needed to count connections: ten thousand of them are not made objects of. */
export type VisitConnection = (state: number, localPort: number, localAddress: () => string) => void;

/** Visits the TCP sockets of this namespace, and of one family, that are in these states. Unprivileged. */
export function visitConnections(family: Family, question: TcpQuestion, visit: VisitConnection): void {
  let current: Buffer = Buffer.alloc(0);
  const localAddress = (): string => checkTcp(current).text(current.subarray(INET.source, INET.source + 16));
  askTcp(family, question, (payload) => {
    if (payload.length < INET.size) throw new NetlinkError('truncated', `inet_diag_msg of ${payload.length} bytes`);
    current = payload;
    visit(payload.readUInt8(INET.state), payload.readUInt16BE(INET.sourcePort), localAddress);
  });
}

const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];

function dumpTcp<T>(family: Family, question: TcpQuestion, decode: (payload: Buffer) => T): readonly T[] {
  const found: T[] = [];
  askTcp(family, question, (payload) => found.push(decode(payload)));
  return found;
}

function askTcp(family: Family, question: TcpQuestion, visit: (payload: Buffer) => void): void {
  const sequence = nextSequence();
  askSockDiag(encodeTcpRequest(family, question, sequence), SOCK_DIAG_BY_FAMILY, sequence, visit);
}

/** The request for all Unix sockets that listen. */
export function encodeUnixListenersRequest(sequence: number): Buffer {
  const payload = Buffer.alloc(UNIX_REQUEST.size);
  payload.writeUInt8(AF_UNIX, 0);
  payload.writeUInt32LE(1 << TCP_LISTEN, UNIX_REQUEST.states);
  payload.writeUInt32LE(UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN, UNIX_REQUEST.show);
  payload.fill(0xff, UNIX_REQUEST.cookie);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload);
}

/** Decodes a unix_diag_msg; undefined for what is no stream listener with a name. Throws a `NetlinkError` if too short. */
export function decodeUnixListener(payload: Buffer): ListeningSocket | undefined {
  if (payload.length < UNIX.size) throw new NetlinkError('truncated', `unix_diag_msg of ${payload.length} bytes`);
  if (payload.readUInt8(UNIX.type) !== SOCK_STREAM || payload.readUInt8(UNIX.state) !== TCP_LISTEN) return undefined;
  const attributes = payload.subarray(UNIX.size);
  const name = findAttribute(attributes, UNIX_DIAG_NAME);
  const lengths = findAttribute(attributes, UNIX_DIAG_RQLEN);
  const shutdown = findAttribute(attributes, UNIX_DIAG_SHUTDOWN);
  if (name === undefined || name.length === 0) return undefined;
  const isKnown = lengths !== undefined && lengths.length >= 8;
  return {
    inode: payload.readUInt32LE(UNIX.inode),
    address: { family: 'Unix', path: unixPath(name) },
    queued: isKnown ? lengths.readUInt32LE(0) : 0,
    limit: isKnown ? lengths.readUInt32LE(4) : 0,
    uid: undefined,
    // RCV_SHUTDOWN, include/net/sock.h of the kernel
    ...(shutdown === undefined || shutdown.length === 0 ? {} : { isShut: (shutdown.readUInt8(0) & 1) !== 0 }),
  };
}

/** All stream listeners with a Unix address of this namespace; unprivileged. Throws where the kernel has no unix_diag. */
export function dumpUnixListeners(): readonly ListeningSocket[] {
  const sequence = nextSequence();
  const found: ListeningSocket[] = [];
  askSockDiag(encodeUnixListenersRequest(sequence), SOCK_DIAG_BY_FAMILY, sequence, (payload) => {
    const listener = decodeUnixListener(payload);
    if (listener !== undefined) found.push(listener);
  });
  return found;
}

function checkTcp(payload: Buffer): { readonly family: Family; readonly text: (bytes: Buffer) => string } {
  if (payload.length < INET.size) throw new NetlinkError('truncated', `inet_diag_msg of ${payload.length} bytes`);
  const family = payload.readUInt8(0);
  if (family === AF_INET) return { family: 'IPv4', text: ipv4Text };
  if (family === AF_INET6) return { family: 'IPv6', text: ipv6Text };
  throw new NetlinkError('error', `address family ${family}`);
}

function nextSequence(): number {
  lastSequence = (lastSequence + 1) >>> 0;
  return lastSequence;
}
