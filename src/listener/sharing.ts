import { messageOf } from '../errors.ts';
import { inodeOf } from '../linux/descriptors.ts';
import type { HolderSearch } from '../linux/process/holders.ts';
import { joinSearch, type SearchTime, SharedSearch } from './holder-search.ts';
import type { Listener } from './listener.ts';
import { findOrigin } from './origin.ts';
import { mayHavePassedDown, mayHavePassedUp, sightingOf } from './listening.ts';

/** Why a listener counts as shared with another process. */
export interface Sharing {
  readonly reason: string;
  /** Whether a process was found that holds it, and will serve its queue. `not looked for`: another process passed it. */
  readonly holder: 'found' | 'not found' | 'not looked for';
}

/** By the option `gate`. Whether somebody else serves its queue is looked at all the same. */
export const DECLARED_SHARED: Sharing = { reason: "`gate: 'shared'` says so", holder: 'not looked for' };

/**
 * Why the listener counts as shared; undefined if it is this process's own. To shut the gate of a shared listener would take
 * another service down, and could not be undone. So every doubt counts as shared. A promise where the search for other
 * holders is too long for one turn of the loop: the program goes on accepting meanwhile.
 */
export function findSharing(listener: Listener, time: SearchTime): Sharing | undefined | Promise<Sharing | undefined> {
  const { server } = listener;
  const sighting = server && sightingOf(server);
  const origin = sighting?.origin ?? findOrigin(listener, sighting?.exclusive === true);
  if (origin.sharedBecause !== undefined) {
    return { reason: origin.sharedBecause, holder: origin.heldByPrimary ? 'found' : 'not looked for' };
  }
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  // Bound here, it can have come to others by children of ours only, or by a message to our parent.
  const mayBeAnywhere = !origin.isBoundHere || (server !== undefined && mayHavePassedUp(server));
  return mayBeAnywhere || mayHavePassedDown() ? searchForHolders(fd, !mayBeAnywhere, time) : undefined;
}

/**
 * Whether another process will serve the queue of a shared listener. The one that passed it to us may have closed it since.
 * So its holder is looked for only now: the gate stays open anyhow, and this process goes on accepting.
 */
export async function isServedByOthers(
  listener: Listener,
  holder: Sharing['holder'],
  time: SearchTime,
): Promise<boolean> {
  if (holder !== 'not looked for') return holder === 'found';
  const fd = listener.descriptor();
  if (fd === undefined) return true;
  try {
    const inode = inodeOf(fd);
    const { holders } = await joinSearch(inode, false).resultFor(inode, time);
    return holders.length > 0;
  } catch {
    return false;
  }
}

/** Which listeners of a cluster's primary count as shared. Its workers do not count: they go on accepting, and end with it. */
export async function findSharingBeside(
  listeners: readonly Listener[],
  workers: readonly number[],
  time: SearchTime,
): Promise<ReadonlyMap<Listener, Sharing | undefined>> {
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

function searchForHolders(
  fd: number,
  onlyOurs: boolean,
  time: SearchTime,
): Sharing | undefined | Promise<Sharing | undefined> {
  try {
    const inode = inodeOf(fd);
    const search = joinSearch(inode, onlyOurs);
    const atOnce = search.resultAtOnce(inode);
    return atOnce === undefined ? search.resultFor(inode, time).then(judge).catch(failure) : judge(atOnce);
  } catch (error) {
    return failure(error);
  }
}

function judge({ holders, suspects, finished, hidden }: HolderSearch): Sharing | undefined {
  if (holders.length > 0) return { reason: `process ${holders.join(', ')} holds it too`, holder: 'found' };
  if (!finished) return doubt('the search for other holders took longer than there was time for');
  if (hidden) return doubt('/proc hides the processes of other users (hidepid)');
  if (suspects.length === 0) return undefined;
  return doubt(`process ${suspects.join(', ')} may hold it and cannot be looked into`);
}

function failure(error: unknown): Sharing {
  return doubt(`the search for other holders failed (${messageOf(error)})`);
}

function doubt(reason: string): Sharing {
  return { reason, holder: 'not found' };
}
