import { allProcesses, type ProcessStat, socketsOf } from '../../linux/process/processes.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import { commandOf } from './command-of.ts';
import { OWN } from './namespace.ts';
import { ancestorsOf, topmostOf } from './process-tree.ts';

/** A target that cannot be had: `refused` is one that must not be signalled, `hidden` one that this user cannot see. */
export class TargetError extends Error {
  override readonly name = 'TargetError';
  readonly fault: 'malformed' | 'not found' | 'refused' | 'hidden';

  constructor(fault: TargetError['fault'], message: string) {
    super(message);
    this.fault = fault;
  }
}

/**
 * The process that `12345`, `:8080`, `/run/app.sock` or `@abstract` stands for: of a listener the topmost process that holds it.
 * Throws a `TargetError`: it is never PID 1, this process or one above it, nor one of several that have nothing to do with each
 * other.
 */
export function findTarget(text: string): number {
  const processes = allProcesses();
  const isWanted = readTarget(text);
  return typeof isWanted === 'number' ? checkProcess(isWanted, processes) : holderOf(text, isWanted, processes);
}

/**
 * All processes that the same text stands for, topmost each, to look at: any that lives may be looked at. Throws a `TargetError`
 * where there is none, or none that can be seen.
 */
export function findHolders(text: string): readonly number[] {
  const processes = allProcesses();
  const isWanted = readTarget(text);
  if (typeof isWanted === 'number') return [checkAlive(isWanted, processes)];
  return topmostOf(holdersOf(text, isWanted, processes), processes);
}

/** A process's number, or what is asked of a listening socket. */
function readTarget(text: string): number | ((socket: ListeningSocket) => boolean) {
  if (/^\d{1,10}$/.test(text)) return Number(text);
  if (/^:\d{1,5}$/.test(text)) {
    const port = Number(text.slice(1));
    return ({ address }) => address.family !== 'Unix' && address.port === port;
  }
  const path = text.replace(/^unix:/, '').replace(/^@/, '\0');
  if (path.startsWith('/') || path.startsWith('\0')) {
    return ({ address }) => address.family === 'Unix' && address.path === path;
  }
  throw new TargetError(
    'malformed',
    `Expected a process (12345), a port (:8080) or a Unix path (/run/app.sock), got \`${text}\``,
  );
}

function checkAlive(pid: number, processes: ReadonlyMap<number, ProcessStat>): number {
  const stat = processes.get(pid);
  if (stat !== undefined && stat.state !== 'Z' && stat.state !== 'X') return pid;
  throw new TargetError('not found', `There is no process ${pid}`);
}

function checkProcess(pid: number, processes: ReadonlyMap<number, ProcessStat>): number {
  checkAlive(pid, processes);
  const why = whyNot(pid, processes);
  if (why !== undefined) throw new TargetError('refused', `Process ${pid} is ${why}: it is not stopped`);
  return pid;
}

function whyNot(pid: number, processes: ReadonlyMap<number, ProcessStat>): string | undefined {
  if (pid === 1) return 'PID 1';
  if (pid === process.pid) return 'this very command';
  if (ancestorsOf(process.pid, processes).includes(pid)) return 'an ancestor of this command';
  return undefined;
}

function holderOf(
  text: string,
  isWanted: (socket: ListeningSocket) => boolean,
  processes: ReadonlyMap<number, ProcessStat>,
): number {
  const holders = holdersOf(text, isWanted, processes);
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

function holdersOf(
  text: string,
  isWanted: (socket: ListeningSocket) => boolean,
  processes: ReadonlyMap<number, ProcessStat>,
): readonly number[] {
  const wanted = new Set(
    OWN.listeners()
      .filter(isWanted)
      .map(({ inode }) => inode),
  );
  if (wanted.size === 0) throw new TargetError('not found', `Nobody listens on ${text} in this network namespace`);
  const { holders, hidden } = findHoldersOf(wanted, processes);
  if (holders.length > 0) return holders;
  const why = hidden ? 'cannot be seen by this user' : 'are not in this PID namespace';
  throw new TargetError('hidden', `The processes that listen on ${text} ${why}`);
}

function findHoldersOf(
  inodes: ReadonlySet<number>,
  processes: ReadonlyMap<number, ProcessStat>,
): { readonly holders: readonly number[]; readonly hidden: boolean } {
  const holders: number[] = [];
  let hidden = false;
  for (const [pid, { state }] of processes) {
    if (state === 'Z' || state === 'X') continue;
    try {
      if ([...socketsOf(pid).keys()].some((inode) => inodes.has(inode))) holders.push(pid);
    } catch {
      hidden = true;
    }
  }
  return { holders, hidden };
}
