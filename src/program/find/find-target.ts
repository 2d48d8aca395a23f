import { allProcesses, hasEnded, type ProcessStat, socketsOf } from '../../linux/process/processes.ts';
import { commandOf } from './command-line.ts';
import { OWN } from './namespace.ts';
import { ancestorsOf, topmostOf } from './process-tree.ts';
import { isAtTarget, parseTarget, type Target, TargetError } from './target.ts';

type Processes = ReadonlyMap<number, ProcessStat>;

/**
 * Finds the process to stop: the named one, or the topmost process that holds the named listener. Throws a `TargetError` for
 * PID 1, for this process and its ancestors, and if several unrelated processes hold the listener.
 */
export function findTarget(text: string): number {
  const processes = allProcesses();
  const target = parseTarget(text);
  return target.kind === 'process'
    ? checkMayStop(target.pid, processes)
    : findOnlyHolder(holdersOf(text, target, processes), text, processes);
}

/** Finds the processes to examine: the named one, or every topmost holder of the named listeners. Throws a `TargetError`. */
export function findHolders(text: string): readonly number[] {
  const processes = allProcesses();
  const target = parseTarget(text);
  if (target.kind === 'process') return [checkRunning(target.pid, processes)];
  return topmostOf(holdersOf(text, target, processes), processes);
}

function checkRunning(pid: number, processes: Processes): number {
  const stat = processes.get(pid);
  if (stat !== undefined && !hasEnded(stat)) return pid;
  throw new TargetError('not found', `There is no process ${pid}`);
}

function checkMayStop(pid: number, processes: Processes): number {
  checkRunning(pid, processes);
  const why = whyNot(pid, processes);
  if (why !== undefined) throw new TargetError('refused', `Process ${pid} is ${why}: it is not stopped`);
  return pid;
}

/** Why a process must not be stopped. */
function whyNot(pid: number, processes: Processes): string | undefined {
  if (pid === 1) return 'PID 1';
  if (pid === process.pid) return 'this very command';
  if (ancestorsOf(process.pid, processes).includes(pid)) return 'an ancestor of this command';
  return undefined;
}

function findOnlyHolder(holders: readonly number[], text: string, processes: Processes): number {
  const candidates = topmostOf(
    holders.filter((pid) => whyNot(pid, processes) === undefined),
    processes,
  );
  const [only, ...others] = candidates;
  if (only === undefined) {
    const list = holders.map((pid) => `${pid} (${whyNot(pid, processes)})`).join(', ');
    throw new TargetError('refused', `${text} is held by process ${list} only: it is not stopped`);
  }
  if (others.length > 0) {
    const list = candidates.map((pid) => `${pid} (${commandOf(pid)})`).join(', ');
    throw new TargetError('refused', `${text} is held by several processes, name one of them: ${list}`);
  }
  return only;
}

function holdersOf(text: string, target: Target, processes: Processes): readonly number[] {
  const sockets = OWN.listeners().filter(({ address }) => isAtTarget(address, target));
  const inodes = new Set(sockets.map(({ inode }) => inode));
  if (inodes.size === 0) throw new TargetError('not found', `Nobody listens on ${text} in this network namespace`);
  const { holders, areHidden } = searchHolders(inodes, processes);
  if (holders.length > 0) return holders;
  throw new TargetError(
    'hidden',
    areHidden
      ? `This user cannot see the processes that listen on ${text}`
      : `The processes that listen on ${text} are not in this PID namespace`,
  );
}

function searchHolders(
  inodes: ReadonlySet<number>,
  processes: Processes,
): { readonly holders: readonly number[]; readonly areHidden: boolean } {
  const holders: number[] = [];
  let areHidden = false;
  for (const [pid, stat] of processes) {
    if (hasEnded(stat)) continue;
    try {
      if ([...socketsOf(pid).keys()].some((inode) => inodes.has(inode))) holders.push(pid);
    } catch {
      areHidden = true;
    }
  }
  return { holders, areHidden };
}
