import { readdirSync, readlinkSync } from 'node:fs';
import { descendsFrom, descriptorsOf, hasEnded, hidesProcesses, isGone, ownPid, readStat } from './processes.ts';

/** The result of a search through /proc for the holders of a socket. */
export interface HolderSearch {
  /** Processes other than this one that hold a descriptor of the socket. */
  readonly holders: readonly number[];
  /** Processes that may hold one, but cannot be inspected: of another user, or not dumpable. */
  readonly suspects: readonly number[];
  /** False if the time ran out before every process was inspected. */
  readonly finished: boolean;
  /** Whether /proc may hide processes from this one. */
  readonly hidden: boolean;
}

/** Where to look for holders. */
export interface SearchScope {
  /**
   * Other processes can only have the socket from this one. So a process that started earlier cannot have inherited it, and
   * of the processes that cannot be inspected only descendants are suspects.
   */
  readonly onlyOurs: boolean;
  /** Processes that do not count, and are not inspected. Default: none. */
  readonly friends?: readonly number[];
}

/**
 * Searches /proc/PID/fd of other processes for the socket with this inode, for at most `limit` ms. Throws if there is no
 * /proc.
 */
export function findHolders(
  inode: number,
  { limit, ...scope }: SearchScope & { readonly limit: number },
): HolderSearch {
  const search = new Search(inode, scope);
  search.goOn(limit);
  const { holders, suspects, finished, hidden } = search;
  return { holders, suspects, finished, hidden };
}

/** The same search in pieces. */
export class Search implements HolderSearch {
  readonly holders: number[] = [];
  readonly suspects: number[] = [];
  readonly hidden: boolean = hidesProcesses();
  readonly #self = ownPid();
  readonly #began = readStat(this.#self)?.startTime ?? 0;
  readonly #parents = new Map<number, number>();
  readonly #wanted: string;
  readonly #onlyOurs: boolean;
  readonly #left: number[];
  #end = 0;

  constructor(inode: number, { onlyOurs, friends = [] }: SearchScope) {
    this.#wanted = `socket:[${inode}]`;
    this.#onlyOurs = onlyOurs;
    this.#left = otherProcesses(this.#self).filter((pid) => !friends.includes(pid));
  }

  get finished(): boolean {
    return this.#left.length === 0;
  }

  /** Continues for at most `limit` ms, or to the end. */
  goOn(limit: number): void {
    this.#end = performance.now() + limit;
    for (let pid = this.#left.at(-1); pid !== undefined && this.#inspect(pid); pid = this.#left.at(-1))
      this.#left.pop();
  }

  /** Returns false if the time ran out. */
  #inspect(pid: number): boolean {
    if (performance.now() > this.#end) return false;
    const held = this.#holds(pid);
    if (held === 'yes') this.holders.push(pid);
    if (held === 'unreadable' && this.#isSuspect(pid)) this.suspects.push(pid);
    return held !== 'out of time';
  }

  #holds(pid: number): 'yes' | 'no' | 'unreadable' | 'out of time' {
    // First, because most processes are older: to read a line costs a fraction of a look through their descriptors.
    if (this.#onlyOurs && this.#isOlder(readStat(pid)?.startTime)) return 'no';
    let found: ReturnType<typeof descriptorsOf>;
    try {
      found = descriptorsOf(pid);
    } catch (error) {
      return isGone(error) ? 'no' : 'unreadable';
    }
    for (const fd of found.descriptors) {
      if (performance.now() > this.#end) return 'out of time';
      try {
        if (readlinkSync(`${found.folder}/${fd}`) === this.#wanted) return 'yes';
      } catch (error) {
        if (!isGone(error)) return 'unreadable';
      }
    }
    return 'no';
  }

  #isSuspect(pid: number): boolean {
    const stat = readStat(pid);
    // A process that has ended holds nothing, though it cannot be inspected.
    if (stat !== undefined && hasEnded(stat)) return false;
    return !this.#onlyOurs || descendsFrom(pid, this.#self, this.#parents);
  }

  #isOlder(startTime: number | undefined): boolean {
    return startTime !== undefined && startTime < this.#began;
  }
}

function otherProcesses(self: number): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== self);
}
