import { inodeOf } from '../linux/descriptors.ts';
import { descendsFrom, findHolders, hasChildren } from '../linux/holders.ts';
import type { Listener } from './listener.ts';
import { findOrigin } from './origin.ts';
import { mayHavePassedUp, sightingOf } from './watch.ts';

/** How long the processes of the host may be searched for other holders, in milliseconds. */
const SEARCH_LIMIT = 50;

/**
 * Why the listener counts as shared with another process; undefined if it is this process's own. Shutting the gate of
 * a shared one would take somebody else's service down and could not be undone, so every doubt counts as shared.
 */
export function findSharing(listener: Listener): string | undefined {
  const sighting = sightingOf(listener.server);
  const { sharedBecause, isBoundHere } = sighting?.origin ?? findOrigin(listener, sighting?.exclusive === true);
  if (sharedBecause !== undefined) return sharedBecause;
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  // Bound here, it can have come to others by children of ours only, or by a message to our parent.
  const isOursAlone = isBoundHere && !hasChildren() && !mayHavePassedUp();
  return isOursAlone ? undefined : searchForHolders(fd, isBoundHere);
}

function searchForHolders(fd: number, isBoundHere: boolean): string | undefined {
  try {
    const search = findHolders(inodeOf(fd), SEARCH_LIMIT);
    if (search.holders.length > 0) return `process ${search.holders.join(', ')} holds it too`;
    if (!search.finished) return `the search for other holders took longer than ${SEARCH_LIMIT} ms`;
    // A socket that was bound here can have come to descendants of ours only, or to whoever our parent passed it to.
    const suspects = search.unreadable.filter(
      (pid) => !isBoundHere || mayHavePassedUp() || descendsFrom(pid, process.pid),
    );
    return suspects.length === 0 ? undefined : `process ${suspects.join(', ')} may hold it and cannot be looked into`;
  } catch (error) {
    return `the search for other holders failed (${error instanceof Error ? error.message : String(error)})`;
  }
}
