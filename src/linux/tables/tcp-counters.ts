import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/** What TCP has counted in a network namespace since it was made, over all listeners (snmp_counter documentation of the kernel). */
export interface TcpCounters {
  /** Incoming connections whose handshake completed: TcpPassiveOpens. */
  readonly newConnections: number;
  /** Final ACKs and SYNs that met a full accept queue: TcpExtListenOverflows. */
  readonly overflows: number;
  /** The overflows, and everything else that a listener has turned away: TcpExtListenDrops. */
  readonly drops: number;
  /** RSTs sent: TcpOutRsts. A refused client gets one, too. */
  readonly resets: number;
  /** TcpExtSyncookiesSent. */
  readonly cookies: number;
}

/** Reads the counters of a process's namespace. Throws as fs does, and if the kernel does not have one of them. */
export function readTcpCounters(pid: number | 'self' = 'self'): TcpCounters {
  const snmp = readFileSync(`/proc/${pid}/net/snmp`, 'latin1');
  const netstat = readFileSync(`/proc/${pid}/net/netstat`, 'latin1');
  return {
    newConnections: readCounter(snmp, 'Tcp', 'PassiveOpens'),
    overflows: readCounter(netstat, 'TcpExt', 'ListenOverflows'),
    drops: readCounter(netstat, 'TcpExt', 'ListenDrops'),
    resets: readCounter(snmp, 'Tcp', 'OutRsts'),
    cookies: readCounter(netstat, 'TcpExt', 'SyncookiesSent'),
  };
}

/** What TCP has had to send again in this network namespace, beside what it has sent. */
export interface LossCounters {
  /** Segments with data that were sent for the first time: TcpExtTCPOrigDataSent. */
  readonly segments: number;
  /** Segments that were sent again, without SYNs and SYN-ACKs: TcpRetransSegs less TcpExtTCPSynRetrans. */
  readonly repeated: number;
  /** Handshakes, of either side: TcpActiveOpens and TcpPassiveOpens. */
  readonly handshakes: number;
  /** SYNs and SYN-ACKs that were sent again although no accept queue was full: TcpExtTCPSynRetrans less TcpExtListenOverflows. */
  readonly repeatedHandshakes: number;
}

/** Reads the counters of lost segments; undefined if the kernel does not have one of them. */
export function readLossCounters(): LossCounters | undefined {
  try {
    return parseLossCounters(readFileSync('/proc/net/snmp', 'latin1'), readFileSync('/proc/net/netstat', 'latin1'));
  } catch {
    return undefined;
  }
}

/** The same from the text of /proc/net/snmp and /proc/net/netstat. Throws if a counter is missing. */
export function parseLossCounters(snmp: string, netstat: string): LossCounters {
  const repeatedHandshakes = readCounter(netstat, 'TcpExt', 'TCPSynRetrans');
  return {
    segments: readCounter(netstat, 'TcpExt', 'TCPOrigDataSent'),
    repeated: readCounter(snmp, 'Tcp', 'RetransSegs') - repeatedHandshakes,
    handshakes: readCounter(snmp, 'Tcp', 'ActiveOpens') + readCounter(snmp, 'Tcp', 'PassiveOpens'),
    repeatedHandshakes: repeatedHandshakes - readCounter(netstat, 'TcpExt', 'ListenOverflows'),
  };
}

/** SYN cookies of this network namespace since it was made. */
export interface CookieCounters {
  readonly sent: number;
  /** Cookies that came back valid. */
  readonly received: number;
}

// The group of the cookie counters comes first, and is 3 KiB long with 130 counters.
const netstatBuffer = Buffer.alloc(16_384);
let netstatFile: number | undefined;

/**
 * Reads the counters of SYN cookies; undefined if the kernel has none. A gate waits for this, and to open the file takes as
 * long as all the rest: it stays open until `releaseCookieCounters`.
 */
export function readCookieCounters(): CookieCounters | undefined {
  try {
    netstatFile ??= openSync('/proc/net/netstat', 'r');
    const length = readSync(netstatFile, netstatBuffer, 0, netstatBuffer.length, 0);
    return parseCookieCounters(netstatBuffer.toString('latin1', 0, length));
  } catch {
    return undefined;
  }
}

/** Closes the file of the counters; the next read opens it again. */
export function releaseCookieCounters(): void {
  if (netstatFile !== undefined) closeSync(netstatFile);
  netstatFile = undefined;
}

/** The counters of SYN cookies in the text of /proc/net/netstat; undefined if one is missing. */
export function parseCookieCounters(text: string): CookieCounters | undefined {
  const sent = findCounter(text, 'TcpExt', 'SyncookiesSent');
  const received = findCounter(text, 'TcpExt', 'SyncookiesRecv');
  return sent === undefined || received === undefined ? undefined : { sent, received };
}

/** Like `findCounter`, but throws if the counter is missing. */
export function readCounter(text: string, group: string, name: string): number {
  const counter = findCounter(text, group, name);
  if (counter === undefined) throw new Error(`The kernel does not count ${group}${name}`);
  return counter;
}

/**
 * Finds a counter in the text of /proc/net/snmp or netstat: pairs of lines, names and then numbers, each after the group's name.
 * Uses no regular expression: to compile one takes longer than all the rest of a gate.
 */
function findCounter(text: string, group: string, name: string): number | undefined {
  const prefix = `${group}:`;
  const start = text.startsWith(prefix) ? 0 : text.indexOf(`\n${prefix}`) + 1;
  const middle = text.indexOf('\n', start);
  if (middle === -1 || !text.startsWith(prefix, start) || !text.startsWith(prefix, middle + 1)) return undefined;
  const end = text.indexOf('\n', middle + 1);
  const names = text.slice(start + prefix.length, middle);
  const numbers = text.slice(middle + 1 + prefix.length, end === -1 ? undefined : end);
  const at = `${names} `.indexOf(` ${name} `);
  if (at === -1) return undefined;
  const column = names.slice(0, at).split(' ').length;
  // Columns after the wanted one are not split.
  const number = Number(numbers.split(' ', column + 1)[column]);
  return Number.isSafeInteger(number) ? number : undefined;
}
