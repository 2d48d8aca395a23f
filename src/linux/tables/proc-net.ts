import { closeSync, openSync, readSync } from 'node:fs';
import { TCP_LISTEN, TCP_SYN_RECV } from '../constants.ts';
import { ipv4Text, ipv6Text } from '../sockets.ts';
import type { Family, ListeningSocket } from './inet-diag.ts';

/** One row of /proc/net/tcp or tcp6 (proc_net_tcp documentation of the kernel). */
export interface TcpRow {
  /** In hexadecimal, as the table has it; `addressText` decodes it. */
  readonly local: string;
  readonly localPort: number;
  /** The same for the peer. */
  readonly remote: string;
  readonly remotePort: number;
  /** A number of net/tcp_states.h. */
  readonly state: number;
  /** For a listener: connections in the accept queue. Else bytes that the program has not read. */
  readonly receiveQueue: number;
  /** Bytes that the peer has not acknowledged. */
  readonly transmitQueue: number;
  readonly uid: number;
  readonly inode: number;
}

/** Reads a TCP table of the namespace of a process; takes 25 to 50 ms with 16,000 sockets. Throws as fs does. */
export function readTcpTable(family: Family, pid: number | 'self' = 'self'): readonly TcpRow[] {
  return parseTcpTable(readTable(pid, tableOf(family)));
}

/** Reads the rows in one state of a TCP table of a process's namespace, and parses no others. Throws as fs does. */
export function readTcpRows(family: Family, state: number, pid: number | 'self' = 'self'): readonly TcpRow[] {
  return findRows(pid, family, ` ${hex(state, 2)} `).filter((row) => row.state === state);
}

/** The same for the sockets at one local port. */
export function readTcpRowsAt(family: Family, port: number, pid: number | 'self' = 'self'): readonly TcpRow[] {
  return findRows(pid, family, `:${hex(port, 4)} `).filter((row) => row.localPort === port);
}

/** Reads the half-open connections of a process's namespace. Throws as fs does. */
export function readHalfOpen(pid: number): readonly LocalEnd[] {
  return [...readTcpRows('IPv4', TCP_SYN_RECV, pid), ...readTcpRows('IPv6', TCP_SYN_RECV, pid)].map(localEndOf);
}

function findRows(pid: number | 'self', family: Family, characters: string): readonly TcpRow[] {
  const found: TcpRow[] = [];
  readChunks(pid, tableOf(family), (lines) => found.push(...findTcpRows(lines, characters)));
  return found;
}

/** The rows in a part of /proc/net/tcp that have these characters: it may have ten thousand others. */
export function findTcpRows(lines: Buffer, characters: string): readonly TcpRow[] {
  const found: TcpRow[] = [];
  for (let at = lines.indexOf(characters); at !== -1; ) {
    const end = lines.indexOf('\n', at);
    const row = parseTcpRow(lines.toString('latin1', lines.lastIndexOf('\n', at) + 1, end === -1 ? undefined : end));
    if (row !== undefined) found.push(row);
    at = end === -1 ? -1 : lines.indexOf(characters, end);
  }
  return found;
}

function tableOf(family: Family): 'tcp' | 'tcp6' {
  return family === 'IPv4' ? 'tcp' : 'tcp6';
}

function hex(number: number, digits: number): string {
  return number.toString(16).toUpperCase().padStart(digits, '0');
}

/** Parses a table in the format of /proc/net/tcp, and skips rows that do not parse. */
export function parseTcpTable(text: string): readonly TcpRow[] {
  return rowsOf(text)
    .map(parseTcpRow)
    .filter((row) => row !== undefined);
}

const ADDRESS = /^([0-9A-F]{8}|[0-9A-F]{32})$/;

/** sl local rem st tx_queue:rx_queue tr:when retrnsmt uid timeout inode … */
export function parseTcpRow(line: string): TcpRow | undefined {
  const [, end = '', peer = '', state = '', queues = '', , , uid, , inode] = line.trim().split(/\s+/);
  const [local = '', port = ''] = end.split(':');
  const [remote = '', peerPort = ''] = peer.split(':');
  const [sent = '', received = ''] = queues.split(':');
  const numbers = {
    localPort: Number.parseInt(port, 16),
    remotePort: Number.parseInt(peerPort, 16),
    state: Number.parseInt(state, 16),
    receiveQueue: Number.parseInt(received, 16),
    transmitQueue: Number.parseInt(sent, 16),
    uid: Number(uid),
    inode: Number(inode),
  };
  const areAddresses = ADDRESS.test(local) && ADDRESS.test(remote) && remote.length === local.length;
  const isWhole = areAddresses && Object.values(numbers).every(Number.isSafeInteger);
  return isWhole ? { local, remote, ...numbers } : undefined;
}

/** Decodes the address of a row: words of 32 bits, each printed as a number of this machine, which is little-endian. */
export function addressText(local: string): string {
  const bytes = Buffer.from(local, 'hex');
  bytes.swap32();
  return bytes.length === 4 ? ipv4Text(bytes) : ipv6Text(bytes);
}

/** The tables of the network namespace of a process. Netlink answers only about our own namespace. */
export interface NamespaceTables {
  readonly listeners: readonly ListeningSocket[];
  /** All TCP sockets that are not listeners. */
  readonly connections: readonly LocalEnd[];
}

/** The local end of a connection, and its state: a number of net/tcp_states.h. */
export interface LocalEnd {
  readonly localAddress: string;
  readonly localPort: number;
  readonly state: number;
}

/** Reads the tables of a process's namespace. Throws as fs does: ENOENT if the process is gone, EACCES without the right. */
export function readNamespaceTables(pid: number): NamespaceTables {
  const rows = [...readTcpTable('IPv4', pid), ...readTcpTable('IPv6', pid)];
  const tcp = new Set(rows.map(({ inode }) => inode));
  const unix = rowsOf(readTable(pid, 'unix'))
    .map(parseUnixRow)
    // A name with a newline can forge a row, but not in the tables of TCP.
    .filter((listener) => listener !== undefined && !tcp.has(listener.inode));
  const connections = rows.filter(({ state }) => state !== TCP_LISTEN).map(localEndOf);
  return {
    listeners: [
      ...rows.filter(({ state }) => state === TCP_LISTEN).map(listenerOf),
      ...unix.filter((listener) => listener !== undefined),
    ],
    connections,
  };
}

function localEndOf({ local, localPort, state }: TcpRow): LocalEnd {
  return { localAddress: addressText(local), localPort, state };
}

function listenerOf({ local, localPort, receiveQueue, uid, inode }: TcpRow): ListeningSocket {
  return {
    inode,
    address: { family: local.length === 8 ? 'IPv4' : 'IPv6', address: addressText(local), port: localPort },
    queued: receiveQueue,
    // The table does not have it.
    limit: 0,
    uid,
  };
}

// unix_seq_show, net/unix/af_unix.c: flags (__SO_ACCEPTCON) and type (SOCK_STREAM).
const ACCEPTS = '00010000';
const STREAM = '0001';

/**
 * Num RefCount Protocol Flags Type St Inode Path. Undefined unless it is a stream listener with a name. The kernel prints a path as it
 * is: what looks like a row may be a part of one.
 */
export function parseUnixRow(line: string): ListeningSocket | undefined {
  const [, , , flags, type, , inode = '', ...path] = line
    .trim()
    .split(' ')
    .filter((part) => part !== '');
  if (flags !== ACCEPTS || type !== STREAM || path.length === 0 || !/^\d{1,15}$/.test(inode)) return undefined;
  const name = path.join(' ').replace(/^@/, '\0');
  return {
    inode: Number(inode),
    address: { family: 'Unix', path: name },
    queued: 0,
    limit: 0,
    uid: undefined,
    isClaimed: true,
  };
}

function rowsOf(table: string): readonly string[] {
  return table.split('\n').slice(1);
}

function readTable(pid: number | 'self', name: TableName): string {
  let text = '';
  readChunks(pid, name, (lines) => {
    text += lines.toString('latin1');
  });
  return text;
}

type TableName = 'tcp' | 'tcp6' | 'unix';

const chunk = Buffer.alloc(65_536);

/**
 * Passes a table to `visit` in parts of whole lines, in a buffer that the next part overwrites. (`readFileSync` takes five times as
 * long with 16,000 sockets: it copies all that it has again and again.)
 */
function readChunks(pid: number | 'self', name: TableName, visit: (lines: Buffer) => void): void {
  const file = openTable(pid, name);
  if (file === undefined) return;
  try {
    let kept = 0;
    for (;;) {
      const length = kept + readSync(file, chunk, kept, chunk.length - kept, null);
      if (length === kept) break;
      const end = chunk.lastIndexOf('\n', length - 1) + 1;
      visit(chunk.subarray(0, end));
      chunk.copyWithin(0, end, length);
      kept = length - end;
    }
    if (kept > 0) visit(chunk.subarray(0, kept));
  } finally {
    closeSync(file);
  }
}

function openTable(pid: number | 'self', name: TableName): number | undefined {
  try {
    return openSync(`/proc/${pid}/net/${name}`, 'r');
  } catch (error) {
    // A kernel without IPv6 has no tcp6, and one without Unix sockets no unix.
    if (name !== 'tcp' && error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
