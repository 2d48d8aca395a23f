import { inodeOf } from '../linux/descriptors.ts';
import { TCP_LISTEN } from '../linux/constants.ts';
import { readTcpRows, type TcpRow } from '../linux/tables/proc-net.ts';
import { readUnixQueue } from '../linux/tables/unix-diag.ts';
import { readAcceptQueue } from '../linux/tcp-info.ts';
import { descriptorOf } from '../node/fields.ts';
import { Pace } from '../pace.ts';
import type { Listener } from './listener.ts';

/** For what walks all sockets of the host: a dump, or a table of /proc. All listeners share it. */
export const tablePace: Pace = new Pace();

/** For what reads the queue of one listener. With hundreds of listeners that takes long, too. */
export const queuePace: Pace = new Pace();

/** The listeners in /proc, read in this turn of the loop. */
const tables = new Map<'IPv4' | 'IPv6', readonly TcpRow[]>();

/** How many connections wait to be accepted; undefined where that cannot be known, or may not be asked for yet. */
export function countQueued(listener: Listener): number | undefined {
  const fd = listener.descriptor();
  try {
    if (fd === undefined) return queuedByProc(listener);
    return queuePace.measure(() =>
      listener.address?.family === 'Unix' ? readUnixQueue(inodeOf(fd)) : readAcceptQueue(fd).queued,
    );
  } catch {
    return undefined;
  }
}

/** Without system calls: the LISTEN row of /proc/net/tcp, found by the socket's inode. */
function queuedByProc(listener: Listener): number | undefined {
  const { address, server } = listener;
  const fd = server && descriptorOf(server);
  if (fd === undefined || address === undefined || address.family === 'Unix' || process.platform !== 'linux')
    return undefined;
  const rows = listenersInProc(address.family);
  if (rows === undefined) return undefined;
  const inode = inodeOf(fd);
  return rows.find((row) => row.inode === inode)?.receiveQueue;
}

/** Listeners that are looked at in the same turn of the loop share a table. */
function listenersInProc(family: 'IPv4' | 'IPv6'): readonly TcpRow[] | undefined {
  const known = tables.get(family);
  if (known !== undefined) return known;
  if (tables.size === 0 && tablePace.wait > 0) return undefined;
  const rows = tablePace.measure(() => readTcpRows(family, TCP_LISTEN));
  if (tables.size === 0) setImmediate(() => tables.clear());
  tables.set(family, rows);
  return rows;
}
