import {
  AF_INET,
  AF_INET6,
  INET_DIAG_INFO,
  INET_DIAG_SKMEMINFO,
  IPPROTO_TCP,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  SK_MEMINFO_DROPS,
  SOCK_DIAG_BY_FAMILY,
  TCP_LISTEN,
  TCP_SYN_RECV,
} from '../constants.ts';
import { ipv4Text, ipv6Text, type SocketAddress } from '../sockets.ts';
import { type DataMoved, decodeDataMoved } from '../tcp-info.ts';
import { askSockDiag, encodeMessage, findAttribute, NetlinkError, nextSequence } from './netlink.ts';

/** A listening socket of a network namespace, TCP or Unix, with any holder. */
export interface ListeningSocket {
  readonly inode: number;
  readonly address: SocketAddress;
  /** Connections in the accept queue. */
  readonly queued: number;
  /** The limit of the accept queue; 0 if unknown. */
  readonly limit: number;
  /** The user who made the socket. Undefined for a Unix socket: the kernel does not publish it. */
  readonly uid: number | undefined;
  /** TCP, by netlink: the index of the interface that the socket is bound to, 0 if to none. */
  readonly device?: number;
  /** TCP, by netlink: connections turned away since the socket was made (SK_MEMINFO_DROPS). */
  readonly drops?: number;
  /** The address is from /proc/PID/net/unix, where a name may contain a line that looks like another socket's. */
  readonly isClaimed?: true;
  /** Unix, by netlink: whether the socket is shut down for reading, so that no client can connect. */
  readonly isShut?: boolean;
}

/** The two ends of a TCP connection. */
export interface ConnectionEnds {
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
}

/** A TCP connection of this network namespace. */
export interface Connection extends ConnectionEnds {
  readonly inode: number;
  /** A number of net/tcp_states.h. */
  readonly state: number;
  /** Bytes in the receive buffer that the program has not read. */
  readonly unread: number;
  /** Bytes sent that the peer has not acknowledged. */
  readonly unacknowledged: number;
  /** The data that moved. Undefined if the dump has no INET_DIAG_INFO, as in TIME_WAIT. */
  readonly moved: DataMoved | undefined;
}

export type Family = 'IPv4' | 'IPv6';

const FAMILIES: readonly Family[] = ['IPv4', 'IPv6'];

// struct inet_diag_req_v2, linux/inet_diag.h: family u8, protocol u8, ext u8, pad u8, states u32, then inet_diag_sockid. Its
// source port is a filter unless it is 0 (inet_diag_dump_icsk, net/ipv4/inet_diag.c).
const REQUEST = { size: 56, extensions: 2, states: 4, sourcePort: 8 } as const;

// struct inet_diag_msg: family, state, timer, retrans u8; inet_diag_sockid of 48 bytes: ports be16, addresses be32[4], …; then
// expires, rqueue, wqueue, uid, inode u32. Attributes follow.
const ANSWER = {
  size: 72,
  state: 1,
  sourcePort: 4,
  destinationPort: 6,
  source: 8,
  destination: 24,
  device: 40,
  rqueue: 56,
  wqueue: 60,
  uid: 64,
  inode: 68,
} as const;

/** Which TCP sockets to dump. */
export interface TcpQuery {
  /** A bit for each state: 1 << the state's number. */
  readonly states: number;
  /** Only sockets with this local port; 0 for all. */
  readonly port?: number;
  /** One attribute to add to each answer, such as INET_DIAG_INFO; 0 for none. */
  readonly extension?: number;
}

/** Encodes the request for the TCP sockets of one family. */
export function encodeTcpRequest(family: Family, query: TcpQuery, sequence: number): Buffer {
  const { states, port = 0, extension = 0 } = query;
  const payload = Buffer.alloc(REQUEST.size);
  payload.writeUInt8(family === 'IPv4' ? AF_INET : AF_INET6, 0);
  payload.writeUInt8(IPPROTO_TCP, 1);
  payload.writeUInt8(extension === 0 ? 0 : 1 << (extension - 1), REQUEST.extensions);
  payload.writeUInt32LE(states >>> 0, REQUEST.states);
  payload.writeUInt16BE(port, REQUEST.sourcePort);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, sequence, payload);
}

/** Decodes one inet_diag_msg of a listener. Throws a `NetlinkError` if it is too short or of another family. */
export function decodeTcpListener(payload: Buffer): ListeningSocket {
  const { localAddress, localPort } = decodeConnectionEnds(payload);
  const memory = findAttribute(payload.subarray(ANSWER.size), INET_DIAG_SKMEMINFO);
  const isKnown = memory !== undefined && memory.length >= (SK_MEMINFO_DROPS + 1) * 4;
  return {
    inode: payload.readUInt32LE(ANSWER.inode),
    address: { family: checkFamily(payload), address: localAddress, port: localPort },
    // Of a listener: sk_ack_backlog and sk_max_ack_backlog (tcp_diag_get_info, net/ipv4/tcp_diag.c).
    queued: payload.readUInt32LE(ANSWER.rqueue),
    limit: payload.readUInt32LE(ANSWER.wqueue),
    uid: payload.readUInt32LE(ANSWER.uid),
    device: payload.readUInt32LE(ANSWER.device),
    ...(isKnown ? { drops: memory.readUInt32LE(SK_MEMINFO_DROPS * 4) } : {}),
  };
}

/** Decodes one inet_diag_msg of a connection. Throws a `NetlinkError` if it is too short or of another family. */
export function decodeConnection(payload: Buffer): Connection {
  const ends = decodeConnectionEnds(payload);
  const info = findAttribute(payload.subarray(ANSWER.size), INET_DIAG_INFO);
  return {
    ...ends,
    inode: payload.readUInt32LE(ANSWER.inode),
    state: payload.readUInt8(ANSWER.state),
    unread: payload.readUInt32LE(ANSWER.rqueue),
    unacknowledged: payload.readUInt32LE(ANSWER.wqueue),
    moved: info && decodeDataMoved(info),
  };
}

/** Decodes the addresses and ports of one inet_diag_msg. Throws a `NetlinkError` if it is too short or of another family. */
export function decodeConnectionEnds(payload: Buffer): ConnectionEnds {
  return {
    localAddress: addressAt(payload, ANSWER.source),
    localPort: payload.readUInt16BE(ANSWER.sourcePort),
    remoteAddress: addressAt(payload, ANSWER.destination),
    remotePort: payload.readUInt16BE(ANSWER.destinationPort),
  };
}

/** Dumps all TCP listeners of this namespace; unprivileged. Throws if the kernel has no tcp_diag. */
export function dumpTcpListeners(): readonly ListeningSocket[] {
  const query = { states: 1 << TCP_LISTEN, extension: INET_DIAG_SKMEMINFO };
  return FAMILIES.flatMap((family) => dumpTcp(family, query, decodeTcpListener));
}

/** Dumps all half-open connections of a family in this namespace; unprivileged. Throws if the kernel has no tcp_diag. */
export function dumpHalfOpen(family: Family): readonly ConnectionEnds[] {
  return dumpTcp(family, { states: 1 << TCP_SYN_RECV }, decodeConnectionEnds);
}

/** Dumps the TCP connections of this namespace in `states` (bits), of one local port or all, with INET_DIAG_INFO; unprivileged. */
export function dumpConnections(states: number, port = 0): readonly Connection[] {
  return FAMILIES.flatMap((family) => dumpTcp(family, { states, port, extension: INET_DIAG_INFO }, decodeConnection));
}

/** Counts one connection. `localAddress` is a function, because decoding an address costs more than all the rest. */
export type VisitConnection = (state: number, localPort: number, localAddress: () => string) => void;

/** Visits the TCP sockets of one family in this namespace without making an object of each; unprivileged. */
export function visitConnections(family: Family, query: TcpQuery, visit: VisitConnection): void {
  let current: Buffer = Buffer.alloc(0);
  const localAddress = (): string => addressAt(current, ANSWER.source);
  askTcp(family, query, (payload) => {
    checkLength(payload);
    current = payload;
    visit(payload.readUInt8(ANSWER.state), payload.readUInt16BE(ANSWER.sourcePort), localAddress);
  });
}

function dumpTcp<T>(family: Family, query: TcpQuery, decode: (payload: Buffer) => T): readonly T[] {
  const found: T[] = [];
  askTcp(family, query, (payload) => found.push(decode(payload)));
  return found;
}

function askTcp(family: Family, query: TcpQuery, visit: (payload: Buffer) => void): void {
  const sequence = nextSequence();
  askSockDiag(encodeTcpRequest(family, query, sequence), SOCK_DIAG_BY_FAMILY, sequence, visit);
}

function addressAt(payload: Buffer, offset: number): string {
  const text = checkFamily(payload) === 'IPv4' ? ipv4Text : ipv6Text;
  return text(payload.subarray(offset, offset + 16));
}

function checkFamily(payload: Buffer): Family {
  checkLength(payload);
  const family = payload.readUInt8(0);
  if (family === AF_INET) return 'IPv4';
  if (family === AF_INET6) return 'IPv6';
  throw new NetlinkError('error', `address family ${family}`);
}

function checkLength(payload: Buffer): void {
  if (payload.length < ANSWER.size) throw new NetlinkError('truncated', `inet_diag_msg of ${payload.length} bytes`);
}
