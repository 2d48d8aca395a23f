import {
  AF_UNIX,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  SOCK_DIAG_BY_FAMILY,
  SOCK_STREAM,
  TCP_ESTABLISHED,
  TCP_LISTEN,
  UDIAG_SHOW_NAME,
  UDIAG_SHOW_RQLEN,
  UNIX_DIAG_NAME,
  UNIX_DIAG_RQLEN,
  UNIX_DIAG_SHUTDOWN,
} from '../constants.ts';
import { unixPath } from '../sockets.ts';
import type { ListeningSocket } from './inet-diag.ts';
import { askSockDiag, encodeMessage, findAttribute, NetlinkError, nextSequence } from './netlink.ts';

// struct unix_diag_req, linux/unix_diag.h: family u8, protocol u8, pad u16, states u32, ino u32, show u32, cookie u32[2].
const REQUEST = { size: 24, states: 4, inode: 8, show: 12, cookie: 16 } as const;

// struct unix_diag_msg: family u8, type u8, state u8, pad u8, ino u32, cookie u32[2]; attributes follow.
const ANSWER = { size: 16, type: 1, state: 2, inode: 4 } as const;

/** The program's end of a connection that it has accepted on a Unix listener. */
export interface UnixConnection {
  readonly inode: number;
  /** The listener's: an accepted socket takes over its address (unix_stream_connect, net/unix/af_unix.c). */
  readonly path: string;
}

/** Both directions are shut, RCV_SHUTDOWN and SEND_SHUTDOWN of include/net/sock.h: the peer has closed its end. */
const SHUTDOWN_MASK = 3;

/** Encodes the request for the queue of one Unix socket. */
export function encodeUnixQueueRequest(inode: number, sequence: number): Buffer {
  return encodeRequest(NLM_F_REQUEST, { states: 0xffffffff, inode, show: UDIAG_SHOW_RQLEN }, sequence);
}

/** Encodes the request for all Unix sockets that listen. */
export function encodeUnixListenersRequest(sequence: number): Buffer {
  const query = { states: 1 << TCP_LISTEN, inode: 0, show: UDIAG_SHOW_NAME | UDIAG_SHOW_RQLEN };
  return encodeRequest(NLM_F_REQUEST | NLM_F_DUMP, query, sequence);
}

/** Encodes the request for all Unix sockets that are connected. */
function encodeUnixConnectionsRequest(sequence: number): Buffer {
  const query = { states: 1 << TCP_ESTABLISHED, inode: 0, show: UDIAG_SHOW_NAME };
  return encodeRequest(NLM_F_REQUEST | NLM_F_DUMP, query, sequence);
}

interface UnixQuery {
  readonly states: number;
  readonly inode: number;
  readonly show: number;
}

function encodeRequest(flags: number, { states, inode, show }: UnixQuery, sequence: number): Buffer {
  const payload = Buffer.alloc(REQUEST.size);
  payload.writeUInt8(AF_UNIX, 0);
  payload.writeUInt32LE(states, REQUEST.states);
  payload.writeUInt32LE(inode, REQUEST.inode);
  payload.writeUInt32LE(show, REQUEST.show);
  // INET_DIAG_NOCOOKIE: any socket with this inode.
  payload.fill(0xff, REQUEST.cookie);
  return encodeMessage(SOCK_DIAG_BY_FAMILY, flags, sequence, payload);
}

/** Decodes the length of an accept queue from a unix_diag_msg. Undefined if it is of another socket or has no lengths. */
export function decodeUnixQueue(payload: Buffer, inode: number): number | undefined {
  checkLength(payload);
  if (payload.readUInt32LE(ANSWER.inode) !== inode) return undefined;
  return findLengths(payload)?.queued;
}

/** Decodes a unix_diag_msg. Undefined unless it is a stream listener with a name. Throws a `NetlinkError` if too short. */
export function decodeUnixListener(payload: Buffer): ListeningSocket | undefined {
  checkLength(payload);
  if (payload.readUInt8(ANSWER.type) !== SOCK_STREAM || payload.readUInt8(ANSWER.state) !== TCP_LISTEN)
    return undefined;
  const attributes = payload.subarray(ANSWER.size);
  const name = findAttribute(attributes, UNIX_DIAG_NAME);
  const shutdown = findAttribute(attributes, UNIX_DIAG_SHUTDOWN);
  if (name === undefined || name.length === 0) return undefined;
  return {
    inode: payload.readUInt32LE(ANSWER.inode),
    address: { family: 'Unix', path: unixPath(name) },
    ...(findLengths(payload) ?? { queued: 0, limit: 0 }),
    uid: undefined,
    // RCV_SHUTDOWN, include/net/sock.h of the kernel
    ...(shutdown === undefined || shutdown.length === 0 ? {} : { isShut: (shutdown.readUInt8(0) & 1) !== 0 }),
  };
}

/**
 * Decodes a unix_diag_msg. Undefined unless it is the accepted end of a stream: it has a name, and an inode, which those in the
 * accept queue have not. Undefined if its client has gone, too. Throws a `NetlinkError` if too short.
 */
function decodeUnixConnection(payload: Buffer): UnixConnection | undefined {
  checkLength(payload);
  const inode = payload.readUInt32LE(ANSWER.inode);
  const attributes = payload.subarray(ANSWER.size);
  const name = findAttribute(attributes, UNIX_DIAG_NAME);
  if (payload.readUInt8(ANSWER.type) !== SOCK_STREAM || inode === 0 || name === undefined || name.length === 0)
    return undefined;
  if (findAttribute(attributes, UNIX_DIAG_SHUTDOWN)?.[0] === SHUTDOWN_MASK) return undefined;
  return { inode, path: unixPath(name) };
}

/** Reads how many connections wait in the accept queue of a Unix listener. Throws if the kernel has no unix_diag. */
export function readUnixQueue(inode: number): number {
  const sequence = nextSequence();
  let queued: number | undefined;
  askSockDiag(encodeUnixQueueRequest(inode, sequence), SOCK_DIAG_BY_FAMILY, sequence, (payload) => {
    queued = decodeUnixQueue(payload, inode);
  });
  if (queued === undefined) throw new NetlinkError('error', `no Unix socket with inode ${inode}`);
  return queued;
}

/** Dumps all stream listeners with a Unix address of this namespace; unprivileged. Throws if the kernel has no unix_diag. */
export function dumpUnixListeners(): readonly ListeningSocket[] {
  const sequence = nextSequence();
  const found: ListeningSocket[] = [];
  askSockDiag(encodeUnixListenersRequest(sequence), SOCK_DIAG_BY_FAMILY, sequence, (payload) => {
    const listener = decodeUnixListener(payload);
    if (listener !== undefined) found.push(listener);
  });
  return found;
}

/** Dumps the accepted connections of all Unix listeners of this namespace; unprivileged. Throws if the kernel has no unix_diag. */
export function dumpUnixConnections(): readonly UnixConnection[] {
  const sequence = nextSequence();
  const found: UnixConnection[] = [];
  askSockDiag(encodeUnixConnectionsRequest(sequence), SOCK_DIAG_BY_FAMILY, sequence, (payload) => {
    const connection = decodeUnixConnection(payload);
    if (connection !== undefined) found.push(connection);
  });
  return found;
}

/** struct unix_diag_rqlen of a listener: udiag_rqueue u32 (connections that wait), udiag_wqueue u32 (the backlog). */
function findLengths(payload: Buffer): { readonly queued: number; readonly limit: number } | undefined {
  const lengths = findAttribute(payload.subarray(ANSWER.size), UNIX_DIAG_RQLEN);
  if (lengths === undefined || lengths.length < 8) return undefined;
  return { queued: lengths.readUInt32LE(0), limit: lengths.readUInt32LE(4) };
}

function checkLength(payload: Buffer): void {
  if (payload.length < ANSWER.size) throw new NetlinkError('truncated', `unix_diag_msg of ${payload.length} bytes`);
}
