import { allProcesses, type ProcessStat } from '../../linux/process/processes.ts';

/** A process and all its descendants, as they are now. */
export function findTree(
  root: number,
  processes: ReadonlyMap<number, ProcessStat> = allProcesses(),
): ReadonlySet<number> {
  const children = new Map<number, number[]>();
  for (const [pid, { parent }] of processes) {
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  const tree = new Set([root]);
  // The loop also visits what it adds.
  for (const pid of tree) for (const child of children.get(pid) ?? []) tree.add(child);
  return tree;
}

/** The ancestors of a process, nearest first; PID 1 is the last, unless /proc hides it. */
export function ancestorsOf(
  pid: number,
  processes: ReadonlyMap<number, ProcessStat> = allProcesses(),
): readonly number[] {
  const ancestors: number[] = [];
  let parent = processes.get(pid)?.parent ?? 0;
  // Ends even if processes end and are replaced while we read.
  while (parent > 0 && !ancestors.includes(parent)) {
    ancestors.push(parent);
    parent = processes.get(parent)?.parent ?? 0;
  }
  return ancestors;
}

/** The processes among these that descend from none of the others. */
export function topmostOf(
  pids: readonly number[],
  processes: ReadonlyMap<number, ProcessStat> = allProcesses(),
): readonly number[] {
  return pids.filter((pid) => !ancestorsOf(pid, processes).some((ancestor) => pids.includes(ancestor)));
}
