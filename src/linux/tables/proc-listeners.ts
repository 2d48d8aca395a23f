import { readFileSync } from 'node:fs';
import { TCP_LISTEN, TCP_SYN_RECV } from '../constants.ts';
import type { ListeningSocket } from './socket-tables.ts';
import { ipv4Text, ipv6Text } from '../sockets.ts';

/** What /proc/PID/net tells of the network namespace that a process is in, which netlink cannot be asked about from another. */
export interface NamespaceTables {
  readonly listeners: readonly ListeningSocket[];
  /** The local addresses and ports of its half-open connections. */
  readonly halfOpen: readonly LocalEnd[];
  /** And of all that are no listeners. */
  readonly connections: readonly LocalEnd[];
}

/** The end of a connection that is here, and its state as net/tcp_states.h numbers it. */
export interface LocalEnd {
  readonly localAddress: string;
  readonly localPort: number;
  readonly state: number;
}

// unix_seq_show, net/unix/af_unix.c: flags (__SO_ACCEPTCON), type (SOCK_STREAM) and state.
const ACCEPTS = '00010000';
const STREAM = '0001';

/** Reads the tables of a process's namespace. Throws as fs does: ENOENT when it has gone, EACCES without the right. */
export function readNamespaceTables(pid: number): NamespaceTables {
  const rows = [...readTable(pid, 'tcp'), ...readTable(pid, 'tcp6')].map(parseTcp).filter((row) => row !== undefined);
  const unix = readTable(pid, 'unix').map(parseUnix);
  return {
    listeners: [
      ...rows.filter(({ local }) => local.state === TCP_LISTEN).map(({ listener }) => listener),
      ...unix.filter((listener) => listener !== undefined),
    ],
    halfOpen: rows.filter(({ local }) => local.state === TCP_SYN_RECV).map(({ local }) => local),
    connections: rows.filter(({ local }) => local.state !== TCP_LISTEN).map(({ local }) => local),
  };
}

function readTable(pid: number, name: 'tcp' | 'tcp6' | 'unix'): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/net/${name}`, 'latin1').split('\n').slice(1);
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if (name !== 'tcp' && error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** sl local rem st tx_queue:rx_queue tr:when retrnsmt uid timeout inode … (proc_net_tcp documentation of the kernel). */
export function parseTcp(line: string): { readonly local: LocalEnd; readonly listener: ListeningSocket } | undefined {
  const [, local = '', , state = '', queues = '', , , uid = '', , inode = ''] = line.trim().split(/\s+/);
  const [hex = '', port = ''] = local.split(':');
  const numbers = [
    Number.parseInt(port, 16),
    Number.parseInt(state, 16),
    Number.parseInt(queues.split(':')[1] ?? '', 16),
  ];
  const [localPort = Number.NaN, stateNumber = Number.NaN, queued = Number.NaN] = numbers;
  const isWhole = [...numbers, Number(uid), Number(inode)].every(Number.isSafeInteger);
  if (!isWhole || !/^([0-9A-F]{8}|[0-9A-F]{32})$/.test(hex)) return undefined;
  const address = textOf(hex);
  return {
    local: { localAddress: address, localPort, state: stateNumber },
    listener: {
      inode: Number(inode),
      address: { family: hex.length === 8 ? 'IPv4' : 'IPv6', address, port: localPort },
      queued,
      // The table does not have it.
      limit: 0,
      uid: Number(uid),
    },
  };
}

/** Words of 32 bits, each printed as this machine's, little-endian, number. */
function textOf(hex: string): string {
  const bytes = Buffer.from(hex, 'hex');
  bytes.swap32();
  return bytes.length === 4 ? ipv4Text(bytes) : ipv6Text(bytes);
}

/** Num RefCount Protocol Flags Type St Inode Path: what listens, and has a name. */
export function parseUnix(line: string): ListeningSocket | undefined {
  const [, , , flags, type, , inode = '', ...path] = line
    .trim()
    .split(' ')
    .filter((part) => part !== '');
  if (flags !== ACCEPTS || type !== STREAM || path.length === 0 || !/^\d{1,15}$/.test(inode)) return undefined;
  const name = path.join(' ').replace(/^@/, '\0');
  return { inode: Number(inode), address: { family: 'Unix', path: name }, queued: 0, limit: 0, uid: undefined };
}
