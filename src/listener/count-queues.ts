import { inodeOf } from '../linux/descriptors.ts';
import { TCP_LISTEN } from '../linux/constants.ts';
import { readTcpTable } from '../linux/tables/proc-net.ts';
import { readUnixQueue } from '../linux/tables/unix-diag.ts';
import { readAcceptQueue } from '../linux/tcp-info.ts';
import { descriptorOf } from '../node/fields.ts';
import type { Listener } from './listener.ts';

/** How many connections wait to be accepted; undefined where that cannot be known. */
export function countQueued(listener: Listener): number | undefined {
  const fd = listener.descriptor();
  try {
    if (fd === undefined) return queuedByProc(listener);
    return listener.address?.family === 'Unix' ? readUnixQueue(inodeOf(fd)) : readAcceptQueue(fd).queued;
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
  const inode = inodeOf(fd);
  return readTcpTable(address.family).find((row) => row.state === TCP_LISTEN && row.inode === inode)?.receiveQueue;
}
