import { basename } from 'node:path';
import { type ProcessStat, programOf } from '../../linux/process/processes.ts';
import { findTree } from './process-tree.ts';

/** The processes that hold each listener, by its inode. */
export type HoldersOf = ReadonlyMap<number, ReadonlySet<number>>;

/**
 * Descendants of `root` that are in doubt: they share a listener with the program, but may be its successor, as after the
 * SIGUSR2 of nginx and gunicorn. A stop of the program must not take them down. They are masters of their own: they lead a session or a process
 * group, or run the program of their parent and have workers. All that descends from them belongs to them.
 */
export function findSuccessors(
  root: number,
  tree: ReadonlySet<number>,
  processes: ReadonlyMap<number, ProcessStat>,
  holders: HoldersOf,
): ReadonlySet<number> {
  const found = new Set<number>();
  // Parents come before their children.
  for (const pid of tree) {
    if (pid === root || found.has(pid) || !isMaster(pid, processes, holders)) continue;
    const its = findTree(pid, processes);
    const isShared = [...holders.values()].some((all) => areOnBothSides([...all], its, found));
    if (isShared) for (const one of its) found.add(one);
  }
  return found;
}

function areOnBothSides(pids: readonly number[], its: ReadonlySet<number>, others: ReadonlySet<number>): boolean {
  return pids.some((pid) => its.has(pid)) && pids.some((pid) => !its.has(pid) && !others.has(pid));
}

function isMaster(pid: number, processes: ReadonlyMap<number, ProcessStat>, holders: HoldersOf): boolean {
  const stat = processes.get(pid);
  if (stat === undefined) return false;
  if (stat.session === pid || stat.group === pid) return true;
  return runsSameProgram(pid, stat.parent) && childrenOf(pid, processes).some((child) => isWorker(child, pid, holders));
}

/** A helper, such as a command that it runs for a request, is no worker. */
function isWorker(child: number, master: number, holders: HoldersOf): boolean {
  return runsSameProgram(child, master) || [...holders.values()].some((pids) => pids.has(child));
}

function childrenOf(pid: number, processes: ReadonlyMap<number, ProcessStat>): readonly number[] {
  return [...processes].filter(([, { parent }]) => parent === pid).map(([child]) => child);
}

/** By its file's name: a new version may be in another folder. */
function runsSameProgram(left: number, right: number): boolean {
  const [one, other] = [programOf(left), programOf(right)];
  return one !== undefined && other !== undefined && basename(one) === basename(other);
}
