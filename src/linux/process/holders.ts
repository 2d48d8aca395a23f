import { type Dir, opendirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import {
  descendsFrom,
  hasEnded,
  hidesProcesses,
  isGone,
  livingThreadOf,
  ownPid,
  programOf,
  readStat,
  userOf,
} from './processes.ts';

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
   * Other processes can only have the sockets from this one. So a process that started earlier cannot have inherited them, and
   * of the processes that cannot be inspected only descendants are suspects.
   */
  readonly onlyOurs: boolean;
  /** With `onlyOurs`: the process from which others can have the socket, if it is not this one. */
  readonly root?: number;
  /** Processes that do not count, and are not inspected. Default: none. */
  readonly friends?: Iterable<number>;
  /** The process whose sockets they are: its relatives and its like are the likeliest holders. Default: this one. */
  readonly of?: number;
}

/**
 * Searches /proc/PID/fd of other processes for the socket with this inode, for at most `limit` ms. Throws if there is no
 * /proc.
 */
export function findHolders(
  inode: number,
  { limit, ...scope }: SearchScope & { readonly limit: number },
): HolderSearch {
  const search = new Search([inode], scope);
  search.goOn(limit);
  search.pause();
  return search.resultFor(inode);
}

/** The descriptors of a process, as far as they are inspected. */
interface OpenFolder {
  readonly pid: number;
  readonly folder: string;
  readonly names: Dir;
}

/** How many names of descriptors are read at once: about 0.1 ms. */
const NAMES_AT_ONCE = 64;

/**
 * One search for the holders of any number of sockets, in pieces. A piece may end anywhere, even among the descriptors of one
 * process, and the next piece goes on there. The likeliest processes come first.
 */
export class Search {
  readonly #hidden = hidesProcesses();
  readonly #self = ownPid();
  readonly #root: number;
  readonly #began: number;
  readonly #parents = new Map<number, number>();
  /** By the text of a link to the socket. */
  readonly #holders: ReadonlyMap<string, number[]>;
  readonly #suspects: number[] = [];
  readonly #onlyOurs: boolean;
  readonly #isLikelier: (pid: number) => number;
  /** Not yet sorted, the youngest last. */
  readonly #unsorted: number[];
  /** To be inspected, by how likely they are holders; the likeliest come first. */
  readonly #sorted: readonly number[][];
  #open: OpenFolder | undefined;
  #end = 0;

  constructor(inodes: Iterable<number>, { onlyOurs, root, friends = [], of = ownPid() }: SearchScope) {
    this.#root = root ?? this.#self;
    this.#began = readStat(this.#root)?.startTime ?? 0;
    this.#holders = new Map([...inodes].map((inode) => [linkTo(inode), []]));
    this.#onlyOurs = onlyOurs;
    const left = new Set(allPids());
    for (const pid of [this.#self, ...friends]) left.delete(pid);
    const relatives = relativesOf(of).filter((pid) => left.delete(pid));
    this.#sorted = [relatives, [], [], []];
    this.#unsorted = [...left];
    this.#isLikelier = likelihood(of);
  }

  get finished(): boolean {
    return this.#unsorted.length === 0 && this.#open === undefined && this.#sorted.every(({ length }) => length === 0);
  }

  /** Processes that may hold any of the sockets, and cannot be inspected. */
  get suspects(): readonly number[] {
    return this.#suspects;
  }

  /** What is known until now of a socket that is searched for. */
  resultFor(inode: number): HolderSearch {
    const holders = this.#holders.get(linkTo(inode));
    if (holders === undefined) throw new Error(`no search for socket ${inode}`);
    return { holders, suspects: this.#suspects, finished: this.finished, hidden: this.#hidden };
  }

  /** Whether the search is for this socket, too. */
  covers(inode: number): boolean {
    return this.#holders.has(linkTo(inode));
  }

  /** Continues for at most `limit` ms, or to the end. */
  goOn(limit: number): void {
    this.#end = performance.now() + limit;
    while (!this.finished && !this.#isOver()) this.#step();
  }

  /** Closes what it has open, where nobody waits for its end. It may go on later all the same. */
  pause(): void {
    if (this.#open !== undefined) this.#sorted[0]?.unshift(this.#open.pid);
    this.#closeNames();
  }

  #closeNames(): void {
    try {
      this.#open?.names.closeSync();
    } catch {
      // It was closed after an error.
    }
    this.#open = undefined;
  }

  #isOver(): boolean {
    return performance.now() >= this.#end;
  }

  #step(): void {
    const [relatives] = this.#sorted;
    if (this.#open !== undefined) return this.#inspect(this.#open);
    if (relatives?.length === 0 && this.#unsorted.length > 0) return this.#sort();
    const pid = this.#sorted.find(({ length }) => length > 0)?.shift();
    if (pid !== undefined) this.#begin(pid);
  }

  #sort(): void {
    const pid = this.#unsorted.pop();
    if (pid !== undefined) this.#sorted[this.#isLikelier(pid)]?.push(pid);
  }

  #begin(pid: number): void {
    // First, because most processes are older: to read a line costs a fraction of a look through their descriptors.
    if (this.#onlyOurs && this.#isOlder(readStat(pid)?.startTime)) return;
    this.#openFolder(pid, `/proc/${pid}/fd`);
  }

  #openFolder(pid: number, folder: string): void {
    try {
      this.#open = { pid, folder, names: opendirSync(folder, { bufferSize: NAMES_AT_ONCE }) };
    } catch (error) {
      this.#noteFailure(pid, error);
    }
  }

  #inspect({ pid, folder, names }: OpenFolder): void {
    let isEmpty = true;
    try {
      for (let entry = names.readSync(); entry !== null; entry = names.readSync()) {
        isEmpty = false;
        const link = readLink(`${folder}/${entry.name}`);
        const holders = link === undefined ? undefined : this.#holders.get(link);
        if (holders !== undefined && holders.at(-1) !== pid) holders.push(pid);
        if (this.#isOver()) return;
      }
    } catch (error) {
      this.#noteFailure(pid, error);
    }
    this.#closeNames();
    // A main thread that has ended has none; the others go on.
    const thread = isEmpty && folder === `/proc/${pid}/fd` ? livingThreadOf(pid) : pid;
    if (thread !== pid) this.#openFolder(pid, `/proc/${pid}/task/${thread}/fd`);
  }

  #noteFailure(pid: number, error: unknown): void {
    if (!isGone(error) && this.#isSuspect(pid)) this.#suspects.push(pid);
  }

  #isSuspect(pid: number): boolean {
    const stat = readStat(pid);
    // A process that has ended, or is one of the kernel's, holds nothing, though it cannot be inspected.
    if (stat !== undefined && (hasEnded(stat) || stat.isKernelThread)) return false;
    return !this.#onlyOurs || descendsFrom(pid, this.#root, this.#parents);
  }

  #isOlder(startTime: number | undefined): boolean {
    return startTime !== undefined && startTime < this.#began;
  }
}

function linkTo(inode: number): string {
  return `socket:[${inode}]`;
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    // Closed between the two calls.
    if (isGone(error)) return undefined;
    throw error;
  }
}

function allPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .toSorted((left, right) => left - right);
}

/** The children of a process, then its parent: they are found without a look at all processes, and are the likeliest holders. */
function relativesOf(self: number): readonly number[] {
  const parent = readStat(self)?.parent ?? 0;
  return [...childrenOf(self), parent];
}

/** Empty where the kernel has no such file (CONFIG_PROC_CHILDREN). */
function childrenOf(self: number): readonly number[] {
  try {
    return readdirSync(`/proc/${self}/task`).flatMap((task) =>
      readFileSync(`/proc/${self}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

/** Sorts other processes: 1 for those of the same user that run the same program, 2 for the same user's others, 3 for the rest. */
function likelihood(self: number): (pid: number) => 1 | 2 | 3 {
  const user = userOf(self);
  const program = programOf(self);
  return (pid) => {
    if (userOf(pid) !== user) return 3;
    return program !== undefined && programOf(pid) === program ? 1 : 2;
  };
}
