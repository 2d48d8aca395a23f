import { readFileSync } from 'node:fs';

/** What TCP has counted in a network namespace since it was made, over all its listeners (snmp_counter documentation of the kernel). */
export interface TcpCounters {
  /** Connections that came in and were accepted by the kernel: TcpPassiveOpens. */
  readonly newConnections: number;
  /** Final ACKs and SYNs that met a full accept queue: TcpExtListenOverflows. */
  readonly overflows: number;
  /** The same, and all else that a listener has turned away: TcpExtListenDrops. */
  readonly drops: number;
  /** RSTs sent: TcpOutRsts. A refused client gets one, too. */
  readonly resets: number;
  /** TcpExtSyncookiesSent. */
  readonly cookies: number;
}

const COLUMNS = {
  newConnections: ['snmp', 'Tcp', 'PassiveOpens'],
  overflows: ['netstat', 'TcpExt', 'ListenOverflows'],
  drops: ['netstat', 'TcpExt', 'ListenDrops'],
  resets: ['snmp', 'Tcp', 'OutRsts'],
  cookies: ['netstat', 'TcpExt', 'SyncookiesSent'],
} as const;

/** The counters of the namespace that a process is in. Throws as fs does, and where the kernel does not count one of them. */
export function readTcpCounters(pid: number | 'self' = 'self'): TcpCounters {
  const texts = {
    snmp: readFileSync(`/proc/${pid}/net/snmp`, 'latin1'),
    netstat: readFileSync(`/proc/${pid}/net/netstat`, 'latin1'),
  };
  const read = (name: keyof TcpCounters): number => {
    const [file, group, column] = COLUMNS[name];
    return readCounter(texts[file], group, column);
  };
  return {
    newConnections: read('newConnections'),
    overflows: read('overflows'),
    drops: read('drops'),
    resets: read('resets'),
    cookies: read('cookies'),
  };
}

/** One counter of a file of pairs of lines, names and then numbers, each after its group's name. Throws if it is not there. */
export function readCounter(text: string, group: string, name: string): number {
  const [names = '', numbers = ''] = text.split('\n').filter((line) => line.startsWith(`${group}: `));
  const column = names.split(' ').indexOf(name);
  const number = column === -1 ? Number.NaN : Number(numbers.split(' ')[column]);
  if (!Number.isSafeInteger(number)) throw new Error(`The kernel does not count ${group}${name}`);
  return number;
}
