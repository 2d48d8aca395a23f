import { readdirSync, readlinkSync } from 'node:fs';
import { descendsFrom, hidesProcesses, ownNumber, readStat } from './processes.ts';

/** What a search through /proc for the holders of a socket came to. */
export interface HolderSearch {
  /** Processes other than this one that hold a descriptor of the socket. */
  readonly holders: readonly number[];
  /** Processes that may hold one, and may not be looked into: of another user, or not dumpable. */
  readonly suspects: readonly number[];
  /** False when the time was over before every process was looked at. */
  readonly finished: boolean;
  /** Whether there may be processes that /proc does not show to this one. */
  readonly hidden: boolean;
}

/** Where to look for holders. */
export interface SearchScope {
  /**
   * Nobody can have the socket but from this process: what was started earlier cannot have inherited it, and of those that
   * may not be looked into only descendants are suspects.
   */
  readonly onlyOurs: boolean;
  /** Processes that do not count, and are not looked into. Default: none. */
  readonly friends?: readonly number[];
}

/**
 * Looks through /proc/PID/fd of other processes for the socket with this inode, for so many milliseconds at most. Throws where
 * there is no /proc.
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

/** The same, piece by piece. */
export class Search implements HolderSearch {
  readonly holders: number[] = [];
  readonly suspects: number[] = [];
  readonly hidden: boolean = hidesProcesses();
  readonly #self = ownNumber();
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

  /** Goes on for so many milliseconds at most, or to the end. */
  goOn(limit: number): void {
    this.#end = performance.now() + limit;
    for (let pid = this.#left.at(-1); pid !== undefined && this.#lookInto(pid); pid = this.#left.at(-1))
      this.#left.pop();
  }

  /** False when the time is over. */
  #lookInto(pid: number): boolean {
    if (performance.now() > this.#end) return false;
    const held = this.#holds(pid);
    if (held === 'yes') this.holders.push(pid);
    if (held === 'unreadable' && this.#isSuspect(pid)) this.suspects.push(pid);
    return held !== 'out of time';
  }

  #holds(pid: number): 'yes' | 'no' | 'unreadable' | 'out of time' {
    // First, for most are: to read a line is a fraction of what a look through their descriptors costs.
    if (this.#onlyOurs && this.#isOlder(readStat(pid)?.startTime)) return 'no';
    let descriptors: readonly string[];
    try {
      descriptors = readdirSync(`/proc/${pid}/fd`);
    } catch (error) {
      return isGone(error) ? 'no' : 'unreadable';
    }
    for (const fd of descriptors) {
      if (performance.now() > this.#end) return 'out of time';
      try {
        if (readlinkSync(`/proc/${pid}/fd/${fd}`) === this.#wanted) return 'yes';
      } catch (error) {
        if (!isGone(error)) return 'unreadable';
      }
    }
    return 'no';
  }

  #isSuspect(pid: number): boolean {
    const stat = readStat(pid);
    // The dead hold nothing, though nobody may look into them.
    if (stat?.state === 'Z' || stat?.state === 'X') return false;
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

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
