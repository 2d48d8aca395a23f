import { inodeOf } from '../linux/descriptors.ts';
import { descendsFrom, findHolders } from '../linux/holders.ts';
import type { Listener } from './listener.ts';
import { findOrigin } from './origin.ts';
import { mayHavePassedDown, mayHavePassedUp, sightingOf } from './watch.ts';

/** Why a listener counts as shared with another process. */
export interface Sharing {
  readonly reason: string;
  /** Nobody was found who holds it, but somebody may: nobody can be relied on to serve its queue. */
  readonly isDoubt: boolean;
}

/** How long the processes of the host may be searched for other holders, in milliseconds. */
const SEARCH_LIMIT = 50;

/**
 * Whether the listener counts as shared; undefined if it is this process's own. Shutting the gate of a shared one would take
 * somebody else's service down and could not be undone, so every doubt counts as shared.
 */
export function findSharing(listener: Listener): Sharing | undefined {
  const { server } = listener;
  const sighting = sightingOf(server);
  const { sharedBecause, isBoundHere } = sighting?.origin ?? findOrigin(listener, sighting?.exclusive === true);
  if (sharedBecause !== undefined) return { reason: sharedBecause, isDoubt: false };
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  // Bound here, it can have come to others by children of ours only, or by a message to our parent.
  const mayBeAnywhere = !isBoundHere || mayHavePassedUp(server);
  return mayBeAnywhere || mayHavePassedDown() ? searchForHolders(fd, mayBeAnywhere) : undefined;
}

function searchForHolders(fd: number, mayBeAnywhere: boolean): Sharing | undefined {
  try {
    const search = findHolders(inodeOf(fd), { limit: SEARCH_LIMIT, onlyYounger: !mayBeAnywhere });
    const { holders, unreadable } = search;
    if (holders.length > 0) return { reason: `process ${holders.join(', ')} holds it too`, isDoubt: false };
    if (!search.finished) return doubt(`the search for other holders took longer than ${SEARCH_LIMIT} ms`);
    if (search.hidden) return doubt('/proc hides the processes of other users (hidepid)');
    const suspects = unreadable.filter((pid) => mayBeAnywhere || descendsFrom(pid, process.pid));
    if (suspects.length === 0) return undefined;
    return doubt(`process ${suspects.join(', ')} may hold it and cannot be looked into`);
  } catch (error) {
    return doubt(`the search for other holders failed (${error instanceof Error ? error.message : String(error)})`);
  }
}

function doubt(reason: string): Sharing {
  return { reason, isDoubt: true };
}
