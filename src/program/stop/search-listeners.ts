import { messageOf } from '../../errors.ts';
import { hasDescriptors } from '../../linux/process/processes.ts';
import { findListeners, type HeldListener } from '../find/find-listeners.ts';

/** Whose listeners to search for. The fields are those of `GatesOptions`. */
interface Search {
  readonly pid: number;
  readonly own: ReadonlyMap<number, number>;
  readonly withSuccessors: boolean;
  readonly deadline: number;
}

/** Limit of one search for other holders, in ms, and as a share of the deadline. */
const SEARCH_LIMIT = 1_000;
const SEARCH_SHARE = 4;

/** What allows what this user must not do. */
export const WAYS_OUT = 'CAP_SYS_PTRACE allows it, and `lastcall run` with --listen or --inside does not need it';

/** Searches for the listeners of a program. `known`: inodes of those that were found before. */
export function searchListeners(
  { pid, own, withSuccessors, deadline }: Search,
  known: ReadonlySet<number>,
): { readonly listeners: readonly HeldListener[]; readonly hasLooked: boolean; readonly notes: readonly string[] } {
  try {
    const { listeners, unreadable } = findListeners(pid, {
      own: new Set(own.keys()),
      known,
      withSuccessors,
      searchLimit: Math.min(SEARCH_LIMIT, deadline / SEARCH_SHARE),
    });
    const hidden = `process ${unreadable.join(', ')} of the program cannot be inspected: ${WAYS_OUT}`;
    // What a program that ends had open before cannot be found.
    return { listeners, hasLooked: hasDescriptors(pid), notes: unreadable.length > 0 ? [hidden] : [] };
  } catch (error) {
    const note = `its listeners could not be found (${messageOf(error)}): it only gets the signal`;
    return { listeners: [], hasLooked: false, notes: [note] };
  }
}
