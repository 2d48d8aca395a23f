import { type ProcessStat, userOf } from '../../linux/process/processes.ts';
import { Search } from '../../linux/process/holders.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';

type Processes = ReadonlyMap<number, ProcessStat>;

/** The program whose listeners others may hold. */
export interface SearchedProgram {
  readonly root: number;
  readonly tree: ReadonlySet<number>;
  readonly processes: Processes;
}

/** Finds out who else on this host holds the listeners of a program; searches at most `limit` ms. */
export class OtherHolders {
  readonly #search: Search | undefined;
  readonly #program: SearchedProgram;
  readonly #limit: number;

  constructor(inodes: readonly number[], program: SearchedProgram, limit: number) {
    this.#program = program;
    this.#limit = limit;
    if (inodes.length === 0) return;
    this.#search = new Search(inodes, { onlyOurs: false, friends: program.tree, of: program.root });
    this.#search.goOn(limit);
    this.#search.pause();
  }

  /** Why a listener of the program counts as shared; undefined if only the program holds it. Every doubt counts. */
  whyShared({ inode, uid }: ListeningSocket): string | undefined {
    if (this.#search?.covers(inode) !== true) return undefined;
    const { holders, suspects, finished, hidden } = this.#search.resultFor(inode);
    if (holders.length > 0) return `process ${holders.join(', ')} holds it too`;
    if (!finished) return `the search for other holders took longer than ${Math.round(this.#limit)} ms`;
    // Processes of other users get a socket of this user only by a message (unix(7), SCM_RIGHTS), but may have inherited one that
    // another user made.
    const isOthers = uid !== undefined && uid !== process.geteuid?.();
    if (isOthers && (suspects.length > 0 || hidden))
      return `user ${uid} made it, and that user's processes cannot be inspected`;
    const mayHoldIt = this.#mayHold(suspects, uid, hidden);
    if (mayHoldIt.length > 0) return `process ${mayHoldIt.join(', ')} may hold it and cannot be looked into`;
    return undefined;
  }

  /**
   * The suspects that may have the socket by inheritance: they are of the same user, and the program descends from them, or they run the
   * same program, as workers of one master do. The processes of a login are neither: its shell can be looked into.
   */
  #mayHold(suspects: readonly number[], uid: number | undefined, hidden: boolean): readonly number[] {
    const { root, tree, processes } = this.#program;
    const users = new Set([uid, userOf(root)].filter((user) => user !== undefined));
    const ofSameUser = suspects.filter((pid) => pid !== 1 && users.has(userOf(pid) ?? -1));
    const names = new Set([...tree].map((pid) => processes.get(pid)?.name));
    const { inside, end } = lineageOf(root, processes, new Set(ofSameUser));
    const found = ofSameUser.filter((pid) => {
      const line = [pid, ...lineageOf(pid, processes, new Set(ofSameUser)).inside];
      return line.some((one) => inside.includes(one)) || names.has(processes.get(pid)?.name);
    });
    const unseen = hidden && end > 1 && !processes.has(end) ? [end] : [];
    return [...found, ...unseen];
  }
}

/** The ancestors of a process among the suspects, up to the first that is none. */
function lineageOf(
  pid: number,
  processes: Processes,
  suspects: ReadonlySet<number>,
): { readonly inside: readonly number[]; readonly end: number } {
  const inside: number[] = [];
  let parent = processes.get(pid)?.parent ?? 0;
  // Ends even if processes end and are replaced while we read.
  while (suspects.has(parent) && !inside.includes(parent)) {
    inside.push(parent);
    parent = processes.get(parent)?.parent ?? 0;
  }
  return { inside, end: parent };
}
