import { isSeenToAccept } from '../../linux/process/accepting.ts';
import { allProcesses, hasEnded, type ProcessStat, socketsOf, userOf } from '../../linux/process/processes.ts';
import { nameOf } from '../../linux/sockets.ts';
import type { ListeningSocket } from '../../linux/tables/inet-diag.ts';
import { commandOf } from './command-line.ts';
import { type Holder, listeningAddressOf } from './listening-address.ts';
import { OWN } from './namespace.ts';
import { ancestorsOf, topmostOf } from './process-tree.ts';
import { isAtTarget, parseTarget, type Target, TargetError } from './target.ts';

type Processes = ReadonlyMap<number, ProcessStat>;

/**
 * Finds the process to stop: the named one, or the topmost process that holds the named listener. Throws a `TargetError` for
 * PID 1, for this process and its ancestors, and if several unrelated processes hold the listener. `onPassedOver` gets a
 * sentence about those of other users that were passed over for the program of this user, or of root.
 */
export function findTarget(text: string, onPassedOver: (sentence: string) => void = () => {}): number {
  const processes = allProcesses();
  const target = parseTarget(text);
  return target.kind === 'process'
    ? checkMayStop(target.pid, processes)
    : findOnlyHolder(holdersOf(text, target, processes), text, processes, onPassedOver);
}

/** Finds the processes to examine: the named one, or every topmost holder of the named listeners. Throws a `TargetError`. */
export function findHolders(text: string): readonly number[] {
  const processes = allProcesses();
  const target = parseTarget(text);
  if (target.kind === 'process') return [checkRunning(target.pid, processes)];
  const pids = holdersOf(text, target, processes).map(({ pid }) => pid);
  return topmostOf(pids, processes);
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

function findOnlyHolder(
  found: readonly TargetHolder[],
  text: string,
  processes: Processes,
  onPassedOver: (sentence: string) => void,
): number {
  const holders = found.map(({ pid }) => pid);
  const candidates = topmostOf(
    holders.filter((pid) => whyNot(pid, processes) === undefined),
    processes,
  );
  const trusted = candidates.filter((pid) => found.some((holder) => holder.pid === pid && isTrusted(holder)));
  const [only, ...others] = servingAmong(trusted.length > 0 ? trusted : candidates, found);
  if (only === undefined) {
    const list = holders.map((pid) => `${pid} (${whyNot(pid, processes)})`).join(', ');
    throw new TargetError('refused', `${text} is held by process ${list} only: it is not stopped`);
  }
  const named = (pids: readonly number[]): string => pids.map((pid) => `${pid} (${commandOf(pid)})`).join(', ');
  if (others.length > 0) {
    const one = 'name one of them, or its address';
    throw new TargetError('refused', `${text} is held by several processes, ${one}: ${named(candidates)}`);
  }
  const passedOver = candidates.filter((pid) => trusted.length > 0 && !trusted.includes(pid));
  if (passedOver.length > 0) onPassedOver(`${named(passedOver)} of another user holds ${text}, too: it is not stopped`);
  return only;
}

/** Of several, those that serve. Another stop that is under way holds a copy of the listener, too. */
function servingAmong(pids: readonly number[], found: readonly TargetHolder[]): readonly number[] {
  if (pids.length < 2) return pids;
  const serving = pids.filter((top) =>
    found.some(({ pid, sockets }) => pid === top && sockets.some((socket) => isSeenToAccept(pid, socket))),
  );
  return serving.length === 1 ? serving : pids;
}

/** A process that holds listeners at the target. */
interface TargetHolder {
  readonly pid: number;
  readonly sockets: readonly ListeningSocket[];
}

/**
 * Whether a listener is of the user who asks, or of root. Any user may listen on another address at the same port, and must not keep a
 * program from being stopped so. What counts is who made the socket: a program that runs as root may have got it from anybody.
 */
function isTrusted({ pid, sockets }: TargetHolder): boolean {
  const asking = [0, process.getuid?.(), Number(process.env.SUDO_UID ?? 0)];
  return sockets.some(({ uid = userOf(pid) }) => asking.includes(uid));
}

function holdersOf(text: string, target: Target, processes: Processes): readonly TargetHolder[] {
  const sockets = OWN.listeners().filter(({ address }) => isAtTarget(address, target));
  if (sockets.length === 0) throw new TargetError('not found', notFound(text, target));
  const { holders, areHidden } = searchHolders(
    new Map(sockets.map((socket) => [socket.inode, socket])),
    processes,
    target,
  );
  if (holders.length > 0) return holders;
  throw new TargetError(
    'hidden',
    areHidden
      ? `This user cannot see the processes that listen on ${text}`
      : `The processes that listen on ${text} are not in this PID namespace`,
  );
}

/** A listener at all addresses serves this one, too, but is another target. */
function notFound(text: string, target: Target): string {
  const sentence = `Nobody listens on ${text} in this network namespace`;
  if (target.kind !== 'address') return sentence;
  const { port } = target;
  const others = OWN.listeners().filter(({ address }) => isAtTarget(address, { kind: 'port', port }));
  if (others.length === 0) return sentence;
  return `${sentence}, but on ${[...new Set(others.map(({ address }) => nameOf(address)))].join(', ')}`;
}

function searchHolders(
  wanted: ReadonlyMap<number, ListeningSocket>,
  processes: Processes,
  target: Target,
): { readonly holders: readonly TargetHolder[]; readonly areHidden: boolean } {
  const holders: TargetHolder[] = [];
  let areHidden = false;
  for (const [pid, stat] of processes) {
    if (hasEnded(stat)) continue;
    try {
      const sockets = [...socketsOf(pid)].flatMap(([inode, fd]) => {
        const socket = wanted.get(inode);
        return socket !== undefined && isReally(socket, { pid, fd }, target) ? [socket] : [];
      });
      if (sockets.length > 0) holders.push({ pid, sockets });
    } catch {
      areHidden = true;
    }
  }
  return { holders, areHidden };
}

/** Whether a listener is at the target, where the table only claims so. Throws if that cannot be known. */
function isReally(socket: ListeningSocket, holder: Holder, target: Target): boolean {
  if (socket.isClaimed !== true) return true;
  const address = listeningAddressOf(holder, socket.inode);
  return address !== undefined && isAtTarget(address, target);
}
