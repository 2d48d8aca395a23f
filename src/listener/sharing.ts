import { messageOf } from '../errors.ts';
import { inodeOf } from '../linux/descriptors.ts';
import type { HolderSearch, SearchScope } from '../linux/process/holders.ts';
import { joinSearch, type SearchTime, SharedSearch } from './holder-search.ts';
import type { Listener } from './listener.ts';
import { runThatOpened } from './listen-fds.ts';
import { findOrigin } from './origin.ts';
import { mayHavePassedDown, mayHavePassedUp, sightingOf } from './listening.ts';

/** Why a listener counts as shared with another process. */
export interface Sharing {
  readonly reason: string;
  /**
   * Who may serve its queue: the processes that were found to hold it, the cluster whose primary holds it, or `not looked for`,
   * where another process passed it. Holding alone serves nobody.
   */
  readonly holders: readonly number[] | 'the cluster' | 'not looked for';
}

/** By the option `gate`. Whether somebody else serves its queue is looked at all the same. */
export const DECLARED_SHARED: Sharing = { reason: "`gate: 'shared'` says so", holders: 'not looked for' };

type Found = Sharing | undefined;

/**
 * Why the listener counts as shared; undefined if it is this process's own. To shut the gate of a shared listener would take
 * another service down, and could not be undone. So every doubt counts as shared. A promise where the search for other
 * holders is too long for one turn of the loop: the program goes on accepting meanwhile.
 */
export function findSharing(listener: Listener, time: SearchTime): Found | Promise<Found> {
  const { server } = listener;
  const sighting = server && sightingOf(server);
  const origin = sighting?.origin ?? findOrigin(listener, sighting?.exclusive === true);
  const fd = listener.descriptor();
  const run = fd === undefined ? undefined : runThatOpened(fd);
  // `lastcall run` ends with the program, and has it only to pass it: others can have it from there.
  if (fd !== undefined && run !== undefined && !origin.heldByPrimary)
    return searchForHolders(fd, { onlyOurs: true, root: run, friends: [run] }, time);
  if (origin.sharedBecause !== undefined) {
    return { reason: origin.sharedBecause, holders: origin.heldByPrimary ? 'the cluster' : 'not looked for' };
  }
  if (fd === undefined) return undefined;
  // Bound here, it can have come to others by children of ours only, or by a message to our parent.
  const mayBeAnywhere = !origin.isBoundHere || (server !== undefined && mayHavePassedUp(server));
  return mayBeAnywhere || mayHavePassedDown() ? searchForHolders(fd, { onlyOurs: !mayBeAnywhere }, time) : undefined;
}

/** Which listeners of a cluster's primary count as shared. Its workers do not count: they go on accepting, and end with it. */
export async function findSharingBeside(
  listeners: readonly Listener[],
  workers: readonly number[],
  time: SearchTime,
): Promise<ReadonlyMap<Listener, Found>> {
  const open = listeners.flatMap((listener): [Listener, number][] => {
    const fd = listener.descriptor();
    return fd === undefined ? [] : [[listener, inodeOf(fd)]];
  });
  try {
    const search = new SharedSearch(
      open.map(([, inode]) => inode),
      { onlyOurs: true, friends: workers },
    );
    const judged = open.map(
      async ([listener, inode]) => [listener, judge(await search.resultFor(inode, time))] as const,
    );
    return new Map(await Promise.all(judged));
  } catch (error) {
    return new Map(open.map(([listener]) => [listener, failure(error)]));
  }
}

function searchForHolders(fd: number, scope: SearchScope, time: SearchTime): Found | Promise<Found> {
  try {
    const inode = inodeOf(fd);
    const search = joinSearch(inode, scope);
    const atOnce = search.resultAtOnce(inode);
    return atOnce === undefined ? search.resultFor(inode, time).then(judge).catch(failure) : judge(atOnce);
  } catch (error) {
    return failure(error);
  }
}

function judge({ holders, suspects, finished, hidden }: HolderSearch): Found {
  if (holders.length > 0) return { reason: `process ${holders.join(', ')} holds it too`, holders };
  if (!finished) return doubt('the search for other holders took longer than there was time for');
  if (hidden) return doubt('/proc hides the processes of other users (hidepid)');
  if (suspects.length === 0) return undefined;
  return doubt(`process ${suspects.join(', ')} may hold it and cannot be looked into`);
}

function failure(error: unknown): Sharing {
  return doubt(`the search for other holders failed (${messageOf(error)})`);
}

function doubt(reason: string): Sharing {
  return { reason, holders: [] };
}
