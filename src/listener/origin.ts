import { originOf } from '../node/fields.ts';
import type { Listener } from './listener.ts';
import { isPassedBySupervisor } from './listen-fds.ts';

/** Where a listening socket came from, as far as that decides who may share it. It never changes. */
export interface Origin {
  /** Why another process that may listen on it, too, passed it; undefined if none did. */
  readonly sharedBecause: string | undefined;
  /** It is the cluster primary's, which holds it as long as it lives. */
  readonly heldByPrimary: boolean;
  /** This process bound it, so that others can have it from here only. False where that cannot be known. */
  readonly isBoundHere: boolean;
}

// A cluster worker has a channel to its primary as long as it serves.
const mayBeWorker = process.channel !== undefined;

/** node:cluster brings much along, and is not loaded for a program that is no worker. */
export function isClusterWorker(): boolean {
  return mayBeWorker && Reflect.get(process.getBuiltinModule('node:cluster'), 'isWorker') === true;
}

/** Finds out where a listener came from; `exclusive`: it asked for a socket of its own, also in a cluster worker. */
export function findOrigin(listener: Listener, exclusive: boolean): Origin {
  const how = listener.server === undefined ? 'unknown' : originOf(listener.server);
  const isBoundHere = how === 'port' || how === 'path';
  const heldByPrimary = isClusterWorker() && !exclusive;
  const sharedBecause = heldByPrimary ? "a cluster worker's listener" : whyNotOurs(listener, how, isBoundHere);
  return { sharedBecause, heldByPrimary, isBoundHere };
}

function whyNotOurs(listener: Listener, how: ReturnType<typeof originOf>, isBoundHere: boolean): string | undefined {
  if (how === 'descriptor') return 'it came to listen as a descriptor or handle';
  const fd = listener.descriptor();
  return !isBoundHere && fd !== undefined && isPassedBySupervisor(fd) ? 'LISTEN_FDS names it' : undefined;
}
