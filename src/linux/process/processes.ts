import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync, statSync } from 'node:fs';
import { ECHILD, P_ALL, SIGINFO_SIZE, WEXITED, WNOHANG, WNOWAIT } from '../constants.ts';
import { loadLibc } from '../libc.ts';
import { has, readStatus } from './status.ts';

/** What every user can read about a process in /proc/PID/stat. */
export interface ProcessStat {
  /** Its command's name, at most 15 bytes unless it is a kernel thread. */
  readonly name: string;
  /** Of its main thread. `Z` and `X`: that has ended, and the process, too, if no other thread is left. */
  readonly state: string;
  /** With the main thread, even if that has ended. */
  readonly threads: number;
  readonly parent: number;
  /** Its process group, and its session. It leads one whose number is its own. */
  readonly group: number;
  readonly session: number;
  /** A kernel thread holds no descriptors. */
  readonly isKernelThread: boolean;
  /** In clock ticks since boot. */
  readonly startTime: number;
}

// Fields of /proc/PID/stat as proc_pid_stat(5) numbers them.
const STATE = 3;
const PARENT = 4;
const GROUP = 5;
const SESSION = 6;
const FLAGS = 9;
const THREADS = 20;
const START_TIME = 22;
// The fields up to the start time are numbers of at most 20 digits, and a name of 16 to 64 bytes.
const stat = Buffer.alloc(1_024);

// include/linux/sched.h of the kernel
const PF_KTHREAD = 0x00200000;

/** The PID of this process in the PID namespace of the mounted /proc, perhaps another than ours. Throws without /proc. */
export function ownPid(): number {
  return Number(readlinkSync('/proc/self'));
}

/** Undefined once the process, or the thread, is gone, or if it cannot be read. */
export function readStat(pid: number, thread?: number): ProcessStat | undefined {
  try {
    const file = openSync(thread === undefined ? `/proc/${pid}/stat` : `/proc/${pid}/task/${thread}/stat`, 'r');
    try {
      return parseStat(stat.toString('latin1', 0, readSync(file, stat, 0, stat.length, 0)));
    } finally {
      closeSync(file);
    }
  } catch {
    return undefined;
  }
}

function parseStat(text: string): ProcessStat | undefined {
  // The second field, the program's name, is in parentheses and may contain anything, even parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): string => fields[number - STATE] ?? '';
  const [parent, startTime] = [Number(field(PARENT)), Number(field(START_TIME))];
  if (!Number.isSafeInteger(parent) || !Number.isSafeInteger(startTime)) return undefined;
  return {
    name: text.slice(text.indexOf('(') + 1, text.lastIndexOf(')')),
    state: field(STATE),
    threads: Number(field(THREADS)),
    parent,
    group: Number(field(GROUP)),
    session: Number(field(SESSION)),
    isKernelThread: (Number(field(FLAGS)) & PF_KTHREAD) !== 0,
    startTime,
  };
}

/** The effective user of a process: the owner of its folder (proc(5)), also where it cannot be inspected. Undefined once it is gone. */
export function userOf(pid: number): number | undefined {
  try {
    return statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid;
  } catch {
    return undefined;
  }
}

/** The file that a process runs. Undefined for one that is gone or cannot be inspected. */
export function programOf(pid: number): string | undefined {
  try {
    // An upgrade has put another file in its place.
    return readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '');
  } catch {
    return undefined;
  }
}

/**
 * Whether a process has ended, even if its parent has not waited for it. A program may end its main thread alone
 * (pthread_exit(3)), and go on serving.
 */
export function hasEnded({ state, threads }: ProcessStat): boolean {
  return (state === 'Z' || state === 'X') && !(threads > 1);
}

/** Whether there is such a process, and it has not ended. */
export function isAlive(pid: number): boolean {
  const stat = readStat(pid);
  return stat !== undefined && !hasEnded(stat);
}

/**
 * A thread that has what the process has: its descriptors, its environment. It is the main thread, whose number is the PID, unless
 * that has ended.
 */
export function livingThreadOf(pid: number): number {
  const isLiving = (stat: ProcessStat | undefined): boolean => stat !== undefined && !'ZX'.includes(stat.state);
  if (readStat(pid)?.state !== 'Z') return pid;
  try {
    const threads = readdirSync(`/proc/${pid}/task`).map(Number);
    return threads.find((thread) => isLiving(readStat(pid, thread))) ?? pid;
  } catch {
    return pid;
  }
}

/** Whether a process is a sibling of this one, and runs the same program with the same arguments. */
export function isSameProgram(pid: number): boolean {
  try {
    const of = (one: string): string =>
      `${readlinkSync(`/proc/${one}/exe`)} ${readFileSync(`/proc/${one}/cmdline`, 'latin1')}`;
    return readStat(pid)?.parent === readStat(ownPid())?.parent && of(String(pid)) === of('self');
  } catch {
    return false;
  }
}

/** Whether threads of a process still run, which hold its files. The main thread may have ended before them. */
export function hasOtherThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

/** Whether an error of fs means that the process is gone. */
export function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}

/** Whether `pid` descends from `ancestor`. `parents` caches the parents that are known. */
export function descendsFrom(pid: number, ancestor: number, parents: Map<number, number> = new Map()): boolean {
  let current = pid;
  // The chain is short. The limit is for processes that end and are replaced while we read.
  for (let steps = 0; steps < 64 && current > 0; steps++) {
    if (current === ancestor) return true;
    const parent = parents.get(current) ?? readStat(current)?.parent ?? 0;
    parents.set(current, parent);
    current = parent;
  }
  return false;
}

/**
 * Whether this process has children, running or not yet waited for: waitid(2) with WNOWAIT leaves them to Node, and fails
 * with ECHILD if there are none. True if it is unknown.
 */
export function hasChildren(): boolean {
  const loaded = loadLibc();
  if (!loaded.available) return true;
  const info = Buffer.alloc(SIGINFO_SIZE);
  const result = loaded.libc.waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT);
  return result === 0 || loaded.libc.errno() !== ECHILD;
}

/** Whether /proc hides processes of other users from this one: hidepid of proc(5), without the right to trace them. */
export function hidesProcesses(): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  // The fifth field is the mount point. The last mount is the visible one.
  const options = mounts.findLast((line) => line.split(' ')[4] === '/proc') ?? '';
  if (!/[ ,]hidepid=(?!0|off)/.test(options)) return false;
  const status = readStatus('self');
  return status === undefined || !has(status, 'CAP_SYS_PTRACE');
}

/** Reads the stat of every process that /proc shows. Processes that end meanwhile are left out. */
export function allProcesses(): ReadonlyMap<number, ProcessStat> {
  const found = new Map<number, ProcessStat>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined;
    if (stat !== undefined) found.set(Number(name), stat);
  }
  return found;
}

/** Reads the inodes of the sockets that a process holds, each with one of its descriptors. Throws ENOENT, EACCES as fs does. */
export function socketsOf(pid: number): ReadonlyMap<number, number> {
  const sockets = new Map<number, number>();
  const { folder, descriptors } = descriptorsOf(pid);
  for (const fd of descriptors) {
    const inode = inodeOfLink(`${folder}/${fd}`);
    if (inode !== undefined) sockets.set(inode, Number(fd));
  }
  return sockets;
}

/**
 * Whether a process still has its descriptors: one that ends has none before it counts as ended (do_exit, kernel/exit.c). True for
 * one whose descriptors cannot be seen.
 */
export function hasDescriptors(pid: number): boolean {
  try {
    return descriptorsOf(pid).descriptors.length > 0;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES';
  }
}

/** Whether a process holds the socket with this inode. No process that has ended does. */
export function holdsSocket(pid: number, inode: number): boolean {
  try {
    return socketsOf(pid).has(inode);
  } catch {
    return false;
  }
}

/** The descriptors of a process, and where /proc has them. /proc/PID/fd is empty if the main thread has ended. */
function descriptorsOf(pid: number): { readonly folder: string; readonly descriptors: readonly string[] } {
  const folder = `/proc/${pid}/fd`;
  const descriptors = readdirSync(folder);
  const thread = descriptors.length === 0 ? livingThreadOf(pid) : pid;
  if (thread === pid) return { folder, descriptors };
  const other = `/proc/${pid}/task/${thread}/fd`;
  return { folder: other, descriptors: readdirSync(other) };
}

function inodeOfLink(path: string): number | undefined {
  try {
    const link = readlinkSync(path);
    return link.startsWith('socket:[') ? Number(link.slice('socket:['.length, -1)) : undefined;
  } catch (error) {
    // Closed between the two calls.
    if (isGone(error)) return undefined;
    throw error;
  }
}
