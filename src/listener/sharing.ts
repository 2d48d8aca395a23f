import { setImmediate as turn } from 'node:timers/promises';
import { inodeOf } from '../linux/descriptors.ts';
import { messageOf } from '../linux/libc.ts';
import { findHolders, type HolderSearch, Search } from '../linux/process/holders.ts';
import type { Listener } from './listener.ts';
import { findOrigin } from './origin.ts';
import { mayHavePassedDown, mayHavePassedUp, sightingOf } from './listening.ts';

/** Why a listener counts as shared with another process. */
export interface Sharing {
  readonly reason: string;
  /** Whether a process was found that holds it, and will serve its queue. `not looked for`: another process passed it. */
  readonly holder: 'found' | 'not found' | 'not looked for';
}

/** How long the processes of the host may be searched for other holders, in milliseconds. */
const SEARCH_LIMIT = 50;
/** How long where others go on serving meanwhile, and how long without a turn of the loop, in ms. */
const PATIENT_LIMIT = 2_000;
const PIECE = 10;

/**
 * Why the listener counts as shared; undefined if it is this process's own. To shut the gate of a shared listener would take
 * another service down, and could not be undone. So every doubt counts as shared.
 */
export function findSharing(listener: Listener): Sharing | undefined {
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
  return mayBeAnywhere || mayHavePassedDown() ? searchForHolders(fd, !mayBeAnywhere) : undefined;
}

/**
 * Whether another process will serve the queue of a shared listener. The one that passed it to us may have closed it since.
 * So its holder is looked for only now: the gate stays open anyhow, and this process goes on accepting.
 */
export async function isServedByOthers(listener: Listener, holder: Sharing['holder']): Promise<boolean> {
  if (holder !== 'not looked for') return holder === 'found';
  const fd = listener.descriptor();
  if (fd === undefined) return true;
  try {
    const { holders } = await searchPatiently(new Search(inodeOf(fd), { onlyOurs: false }));
    return holders.length > 0;
  } catch {
    return false;
  }
}

/** Whether a listener of a cluster's primary counts as shared. Its workers do not count: they go on accepting, and end with it. */
export async function findSharingBeside(listener: Listener, workers: readonly number[]): Promise<Sharing | undefined> {
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  try {
    return judge(await searchPatiently(new Search(inodeOf(fd), { onlyOurs: true, friends: workers })), PATIENT_LIMIT);
  } catch (error) {
    return failure(error);
  }
}

/** Searches over many turns of the loop, in which the queue is served: on a busy host a short search does not get far. */
async function searchPatiently(search: Search): Promise<HolderSearch> {
  const end = performance.now() + PATIENT_LIMIT;
  do {
    search.goOn(PIECE);
    if (search.finished || search.holders.length > 0) return search;
    await turn();
  } while (performance.now() < end);
  return search;
}

function searchForHolders(fd: number, onlyOurs: boolean): Sharing | undefined {
  try {
    return judge(search(fd, onlyOurs), SEARCH_LIMIT);
  } catch (error) {
    return failure(error);
  }
}

function search(fd: number, onlyOurs: boolean): HolderSearch {
  return findHolders(inodeOf(fd), { limit: SEARCH_LIMIT, onlyOurs });
}

function judge({ holders, suspects, finished, hidden }: HolderSearch, limit: number): Sharing | undefined {
  if (holders.length > 0) return { reason: `process ${holders.join(', ')} holds it too`, holder: 'found' };
  if (!finished) return doubt(`the search for other holders took longer than ${limit} ms`);
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
