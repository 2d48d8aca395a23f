import cluster from 'node:cluster';
import { inodeOf } from '../linux/descriptors.ts';
import { descendsFrom, findHolders, hasChildren } from '../linux/holders.ts';
import { originOf } from '../node-fields.ts';
import type { Listener } from './listener.ts';
import { sightingOf } from './watch.ts';

/** How long the processes of the host may be searched for other holders, in milliseconds. */
const SEARCH_LIMIT = 50;

/**
 * Why the listener counts as shared with another process; undefined if it is this process's own. Shutting the gate of
 * a shared one would take somebody else's service down and could not be undone, so every doubt counts as shared.
 */
export function findSharing(listener: Listener): string | undefined {
  const { server } = listener;
  const origin = originOf(server);
  if (cluster.isWorker && sightingOf(server)?.exclusive !== true) return "a cluster worker's listener";
  if (origin === 'descriptor') return 'it came to listen as a descriptor or handle';
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  if (isPassedBySupervisor(fd)) return 'LISTEN_FDS names it';
  // Bound here, and nobody was ever there to pass it to.
  if (origin !== 'unknown' && process.channel === undefined && !hasChildren()) return undefined;
  return searchForHolders(fd, origin === 'unknown');
}

/** LISTEN_FDS of sd_listen_fds(3): descriptors from 3 on. */
function isPassedBySupervisor(fd: number): boolean {
  const text = process.env.LISTEN_FDS ?? '';
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return fd >= 3 && fd < 3 + count;
}

function searchForHolders(fd: number, anyoneMayHoldIt: boolean): string | undefined {
  try {
    const search = findHolders(inodeOf(fd), SEARCH_LIMIT);
    if (search.holders.length > 0) return `process ${search.holders.join(', ')} holds it too`;
    if (!search.finished) return `the search for other holders took longer than ${SEARCH_LIMIT} ms`;
    // A socket that was bound here can have come to descendants of ours only, where we cannot look. (A parent with a
    // message channel would have been sent it by the program itself; a process manager's is of another user as a rule.)
    const suspects = search.unreadable.filter((pid) => anyoneMayHoldIt || descendsFrom(pid, process.pid));
    return suspects.length === 0 ? undefined : `process ${suspects.join(', ')} may hold it and cannot be looked into`;
  } catch (error) {
    return `the search for other holders failed (${error instanceof Error ? error.message : String(error)})`;
  }
}
