import { setImmediate as turn } from 'node:timers/promises';
import { inodeOf } from '../linux/descriptors.ts';
import { type HolderSearch, Search, type SearchScope } from '../linux/process/holders.ts';
import { listenersOf, listeningServers } from './listening.ts';

/** The time of the close that waits for a search, as its clock has it. */
export interface SearchTime {
  /** When the deadline is, on the clock of `performance.now()`. */
  readonly endsAt: number;
  /** Aborted when the time is up. */
  readonly deadline: AbortSignal;
}

/** How long a search may take in the turn of the loop in which the gates are to shut, in ms. */
const AT_ONCE = 50;
/** How long after that, over many turns, in which the program goes on accepting; at most this share of the time that is left. */
const PATIENT_LIMIT = 2_000;
const PATIENT_SHARE = 3;
/** The bounds of one piece, in ms. */
const SHORTEST_PIECE = 1;
const LONGEST_PIECE = 10;

/** A search for the holders of many listeners, for which many closes may wait. However many wait, each turn has one piece of it. */
export class SharedSearch {
  readonly #scope: SearchScope;
  readonly #search: Search;
  #hasSearchedAtOnce = false;
  #piece: Promise<void> | undefined;
  #waiting = 0;

  constructor(inodes: Iterable<number>, scope: SearchScope) {
    this.#scope = scope;
    this.#search = new Search(inodes, scope);
  }

  /** Whether it is a search for this socket, and as wide. */
  covers(inode: number, { onlyOurs, root }: SearchScope): boolean {
    return onlyOurs === this.#scope.onlyOurs && root === this.#scope.root && this.#search.covers(inode);
  }

  /** The result where this turn of the loop is enough for it; all that ask in one turn share the time. */
  resultAtOnce(inode: number): HolderSearch | undefined {
    if (!this.#hasSearchedAtOnce) this.#search.goOn(AT_ONCE);
    this.#hasSearchedAtOnce = true;
    return this.#isKnown(inode) ? this.#search.resultFor(inode) : undefined;
  }

  /** The result after as many turns of the loop as the time allows. */
  async resultFor(inode: number, time: SearchTime): Promise<HolderSearch> {
    await this.#goOnUntil(() => this.#isKnown(inode), time);
    return this.#search.resultFor(inode);
  }

  /** Whether a holder is one that `fits`, as far as the time allows to look. */
  async hasHolder(inode: number, fits: (pid: number) => boolean, time: SearchTime): Promise<boolean> {
    let [seen, isFound] = [0, false];
    const isDone = (): boolean => {
      const { holders } = this.#search.resultFor(inode);
      isFound ||= holders.slice(seen).some(fits);
      seen = holders.length;
      return isFound || this.#search.finished;
    };
    await this.#goOnUntil(isDone, time);
    return isFound;
  }

  async #goOnUntil(isDone: () => boolean, { endsAt, deadline }: SearchTime): Promise<void> {
    const now = performance.now();
    const end = now + Math.min(PATIENT_LIMIT, (endsAt - now) / PATIENT_SHARE);
    this.#waiting += 1;
    while (!isDone() && !deadline.aborted && performance.now() < end) await this.#nextPiece();
    this.#waiting -= 1;
    this.pauseUnlessAwaited();
  }

  pauseUnlessAwaited(): void {
    if (this.#waiting === 0) this.#search.pause();
  }

  #isKnown(inode: number): boolean {
    return this.#search.finished || this.#search.resultFor(inode).holders.length > 0;
  }

  async #nextPiece(): Promise<void> {
    this.#piece ??= this.#goOnNextTurn();
    await this.#piece;
  }

  /** Takes as long as the turn before has taken, so that half of a busy loop stays the program's. */
  async #goOnNextTurn(): Promise<void> {
    const began = performance.now();
    await turn();
    this.#piece = undefined;
    this.#search.goOn(Math.min(LONGEST_PIECE, Math.max(SHORTEST_PIECE, performance.now() - began)));
  }
}

/** Those that were begun in this turn of the loop: later a process that was inspected may have got a listener. */
let begun: readonly SharedSearch[] = [];

/** The search of this turn of the loop: one for all listeners of this process, whether one call closes them or many. */
export function joinSearch(inode: number, scope: SearchScope): SharedSearch {
  const found = begun.find((search) => search.covers(inode, scope));
  if (found !== undefined) return found;
  const search = new SharedSearch([inode, ...listeningInodes()], scope);
  if (begun.length === 0) setImmediate(forgetBegun);
  begun = [...begun, search];
  return search;
}

function forgetBegun(): void {
  for (const search of begun) search.pauseUnlessAwaited();
  begun = [];
}

function listeningInodes(): readonly number[] {
  return listenersOf(listeningServers()).flatMap((listener) => {
    const fd = listener.descriptor();
    return fd === undefined ? [] : [inodeOf(fd)];
  });
}
