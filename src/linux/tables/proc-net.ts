import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** SYN cookies of this network namespace since it was made: how many were sent, how many came back valid. */
export interface CookieCounters {
  readonly sent: number;
  readonly received: number;
}

/** One row of /proc/net/tcp or tcp6, as far as a close needs it (proc_net_tcp documentation of the kernel). */
export interface TcpRow {
  readonly localPort: number;
  /** The state as the kernel numbers it: 3 is SYN_RECV, 10 is LISTEN (net/tcp_states.h). */
  readonly state: number;
  /** For a listener: connections waiting in the accept queue. */
  readonly receiveQueue: number;
  readonly inode: number;
}

// The group of the cookie counters comes first, and is 3 KiB long with 130 counters.
const netstat = Buffer.alloc(16_384);
let netstatFile: number | undefined;

/**
 * SyncookiesSent and SyncookiesRecv from /proc/net/netstat; undefined where the file or the counters are missing. The
 * file stays open until `releaseCookieCounters`, for a gate waits for this: to open it takes as long as all the rest.
 */
export function readCookieCounters(): CookieCounters | undefined {
  try {
    netstatFile ??= openSync('/proc/net/netstat', 'r');
    return parseCookieCounters(netstat.toString('latin1', 0, readSync(netstatFile, netstat, 0, netstat.length, 0)));
  } catch {
    return undefined;
  }
}

/** Closes the file of the counters; the next read opens it again. */
export function releaseCookieCounters(): void {
  if (netstatFile !== undefined) closeSync(netstatFile);
  netstatFile = undefined;
}

const GROUP = 'TcpExt:';

/** Parses /proc/net/netstat: pairs of lines, names and then numbers, each after the group's name. */
export function parseCookieCounters(text: string): CookieCounters | undefined {
  // By hand: a regular expression is compiled when it is first used, which takes longer than all the rest of a gate.
  const start = text.startsWith(GROUP) ? 0 : text.indexOf(`\n${GROUP}`) + 1;
  const middle = text.indexOf('\n', start);
  if (middle === -1 || !text.startsWith(GROUP, start) || !text.startsWith(GROUP, middle + 1)) return undefined;
  const end = text.indexOf('\n', middle + 1);
  const names = text.slice(start + GROUP.length, middle);
  const numbers = text.slice(middle + 1 + GROUP.length, end === -1 ? undefined : end);
  const counters = {
    sent: readColumn(names, numbers, 'SyncookiesSent'),
    received: readColumn(names, numbers, 'SyncookiesRecv'),
  };
  return Object.values(counters).every(Number.isSafeInteger) ? counters : undefined;
}

/** The number under a name. The cookies' are the first of 130: what comes after them is not taken apart. */
function readColumn(names: string, numbers: string, name: string): number {
  const start = `${names} `.indexOf(` ${name} `);
  if (start === -1) return Number.NaN;
  const column = names.slice(0, start).split(' ').length;
  return Number(numbers.split(' ', column + 1)[column]);
}

/** net.ipv4.tcp_syncookies: 0 never, 1 when the SYN queue is full, 2 always. Undefined where it cannot be read. */
export function readSyncookiesSetting(): number | undefined {
  try {
    const setting = Number(readFileSync('/proc/sys/net/ipv4/tcp_syncookies', 'latin1'));
    return Number.isInteger(setting) ? setting : undefined;
  } catch {
    return undefined;
  }
}

/** The rows of /proc/net/tcp or /proc/net/tcp6; 22 to 43 ms with 16,000 sockets, so only where netlink fails. */
export function readTcpTable(family: 'IPv4' | 'IPv6'): readonly TcpRow[] {
  return parseTcpTable(readFileSync(family === 'IPv4' ? '/proc/net/tcp' : '/proc/net/tcp6', 'latin1'));
}

/** Parses a table of the form of /proc/net/tcp; rows that do not read as such are passed over. */
export function parseTcpTable(text: string): readonly TcpRow[] {
  return text
    .split('\n')
    .slice(1)
    .map(parseTcpRow)
    .filter((row) => row !== undefined);
}

function parseTcpRow(line: string): TcpRow | undefined {
  // sl local rem st tx_queue:rx_queue tr:when retrnsmt uid timeout inode …
  const fields = line.trim().split(/\s+/);
  const port = fields[1]?.split(':')[1];
  const receiveQueue = fields[4]?.split(':')[1];
  if (port === undefined || receiveQueue === undefined) return undefined;
  const row = {
    localPort: Number.parseInt(port, 16),
    state: Number.parseInt(fields[3] ?? '', 16),
    receiveQueue: Number.parseInt(receiveQueue, 16),
    inode: Number(fields[9]),
  };
  return Object.values(row).every(Number.isSafeInteger) ? row : undefined;
}
