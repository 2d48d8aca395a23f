import { inodeOf } from '../linux/descriptors.ts';
import { findHolders, type HolderSearch } from '../linux/holders.ts';
import { descendants } from '../linux/processes.ts';
import type { Listener } from './listener.ts';
import { findOrigin } from './origin.ts';
import { mayHavePassedDown, mayHavePassedUp, sightingOf } from './watch.ts';

/** Why a listener counts as shared with another process. */
export interface Sharing {
  readonly reason: string;
  /** Whether a process was found that holds it, and will serve its queue. `not looked for`: it came from somebody else. */
  readonly holder: 'found' | 'not found' | 'not looked for';
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
  const origin = sighting?.origin ?? findOrigin(listener, sighting?.exclusive === true);
  if (origin.sharedBecause !== undefined) {
    return { reason: origin.sharedBecause, holder: origin.heldByPrimary ? 'found' : 'not looked for' };
  }
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  // Bound here, it can have come to others by children of ours only, or by a message to our parent.
  const mayBeAnywhere = !origin.isBoundHere || mayHavePassedUp(server);
  return mayBeAnywhere || mayHavePassedDown() ? searchForHolders(fd, { onlyOurs: !mayBeAnywhere }) : undefined;
}

/**
 * Whether somebody else will serve the queue of a shared listener. Whoever passed it to us may have closed it since, so one
 * that came from somebody else is looked for only now: its gate stays open anyhow.
 */
export function isServedByOthers(listener: Listener, holder: Sharing['holder']): boolean {
  if (holder !== 'not looked for') return holder === 'found';
  const fd = listener.descriptor();
  if (fd === undefined) return true;
  try {
    return search(fd, { onlyOurs: false }).holders.length > 0;
  } catch {
    return false;
  }
}

/** The same for a listener of a cluster's primary: its workers, that end with it, do not count, and nobody else but descendants can have it. */
export function findSharingBeside(listener: Listener, workers: readonly number[]): Sharing | undefined {
  const fd = listener.descriptor();
  if (fd === undefined) return undefined;
  const others = descendants(workers);
  return others?.length === 0 ? undefined : searchForHolders(fd, { onlyOurs: true, among: others, spared: workers });
}

/** Where to search; `spared` are no matter. */
interface Scope {
  readonly onlyOurs: boolean;
  readonly among?: readonly number[] | undefined;
  readonly spared?: readonly number[];
}

function searchForHolders(fd: number, scope: Scope): Sharing | undefined {
  try {
    const { finished, hidden, ...found } = search(fd, scope);
    const isCounted = (pid: number): boolean => scope.spared?.includes(pid) !== true;
    const holders = found.holders.filter(isCounted);
    const suspects = found.suspects.filter(isCounted);
    if (holders.length > 0) return { reason: `process ${holders.join(', ')} holds it too`, holder: 'found' };
    if (!finished) return doubt(`the search for other holders took longer than ${SEARCH_LIMIT} ms`);
    if (hidden) return doubt('/proc hides the processes of other users (hidepid)');
    if (suspects.length === 0) return undefined;
    return doubt(`process ${suspects.join(', ')} may hold it and cannot be looked into`);
  } catch (error) {
    return doubt(`the search for other holders failed (${error instanceof Error ? error.message : String(error)})`);
  }
}

function search(fd: number, { onlyOurs, among }: Scope): HolderSearch {
  return findHolders(inodeOf(fd), { limit: SEARCH_LIMIT, onlyOurs, ...(among && { among }) });
}

function doubt(reason: string): Sharing {
  return { reason, holder: 'not found' };
}
