import { messageOf } from '../errors.ts';
import { setImmediate as turn } from 'node:timers/promises';
import { inodeOf } from '../linux/descriptors.ts';
import { findHolders, type HolderSearch, Search, type SearchScope } from '../linux/process/holders.ts';
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
  const fd = listener.descriptor();
  const run = fd === undefined ? undefined : runThatOpened(fd);
  if (fd !== undefined && run !== undefined && !origin.heldByPrimary) return searchBelowRun(fd, run);
  if (origin.sharedBecause !== undefined) {
    return { reason: origin.sharedBecause, holders: origin.heldByPrimary ? 'the cluster' : 'not looked for' };
  }
  if (fd === undefined) return undefined;
  // Bound here, it can have come to others by children of ours only, or by a message to our parent.
  const mayBeAnywhere = !origin.isBoundHere || (server !== undefined && mayHavePassedUp(server));
  return mayBeAnywhere || mayHavePassedDown() ? searchForHolders(fd, { onlyOurs: !mayBeAnywhere }) : undefined;
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

/** `lastcall run` ends with the program, and has it only to pass it: others can have it from there. */
function searchBelowRun(fd: number, run: number): Sharing | undefined {
  return searchForHolders(fd, { onlyOurs: true, root: run, friends: [run] });
}

function searchForHolders(fd: number, scope: SearchScope): Sharing | undefined {
  try {
    return judge(findHolders(inodeOf(fd), { limit: SEARCH_LIMIT, ...scope }), SEARCH_LIMIT);
  } catch (error) {
    return failure(error);
  }
}

function judge({ holders, suspects, finished, hidden }: HolderSearch, limit: number): Sharing | undefined {
  if (holders.length > 0) return { reason: `process ${holders.join(', ')} holds it too`, holders };
  if (!finished) return doubt(`the search for other holders took longer than ${limit} ms`);
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
