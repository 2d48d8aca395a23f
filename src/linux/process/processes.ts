import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs';
import { ECHILD, P_ALL, WEXITED, WNOHANG, WNOWAIT } from '../constants.ts';
import { loadLibc } from '../libc.ts';

/** What /proc/PID/stat tells of a process, to everyone. */
export interface ProcessStat {
  /** `Z` and `X` are dead. */
  readonly state: string;
  readonly parent: number;
  /** A thread of the kernel's own, which holds no descriptors. */
  readonly isKernels: boolean;
  /** In clock ticks since boot. */
  readonly startTime: number;
}

// Fields of /proc/PID/stat as proc_pid_stat(5) numbers them.
const STATE = 3;
const PARENT = 4;
const FLAGS = 9;
const START_TIME = 22;
// The fields up to the start time are numbers of 20 digits at the most, and a name of 16 to 64 bytes.
const stat = Buffer.alloc(1_024);

// include/linux/sched.h of the kernel
const PF_KTHREAD = 0x00200000;

// linux/capability.h
const CAP_SYS_PTRACE = 19n;

// siginfo_t, asm-generic/siginfo.h
const SIGINFO_SIZE = 128;

/** This process's number where /proc was mounted, perhaps in another namespace of processes. Throws where nothing is mounted. */
export function ownNumber(): number {
  return Number(readlinkSync('/proc/self'));
}

/** Undefined once the process has gone, and where it may not be read. */
export function readStat(pid: number): ProcessStat | undefined {
  try {
    const file = openSync(`/proc/${pid}/stat`, 'r');
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
  // The second field, the program's name, is in parentheses and may hold anything, parentheses too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): string => fields[number - STATE] ?? '';
  const [parent, startTime] = [Number(field(PARENT)), Number(field(START_TIME))];
  if (!Number.isSafeInteger(parent) || !Number.isSafeInteger(startTime)) return undefined;
  return { state: field(STATE), parent, isKernels: (Number(field(FLAGS)) & PF_KTHREAD) !== 0, startTime };
}

/** Whether `pid` descends from `ancestor`; `parents` are those that are known already. */
export function descendsFrom(pid: number, ancestor: number, parents: Map<number, number> = new Map()): boolean {
  let current = pid;
  // The chain is short; the bound holds against processes that end and are replaced while we read.
  for (let steps = 0; steps < 64 && current > 0; steps++) {
    if (current === ancestor) return true;
    const parent = parents.get(current) ?? readStat(current)?.parent ?? 0;
    parents.set(current, parent);
    current = parent;
  }
  return false;
}

/**
 * Whether this process has children, living or not yet waited for: waitid(2) with WNOWAIT takes nothing away from Node,
 * and fails with ECHILD if there are none. True where nobody can tell.
 */
export function hasChildren(): boolean {
  const loaded = loadLibc();
  if (!loaded.available) return true;
  const info = Buffer.alloc(SIGINFO_SIZE);
  const result = loaded.libc.waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT);
  return result === 0 || loaded.libc.errno() !== ECHILD;
}

/** Whether /proc shows to this process only those of its own user: hidepid of proc(5), without the right to trace others. */
export function hidesProcesses(): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  // The fifth field is the mount point; whatever was mounted there last is what is seen.
  const options = mounts.findLast((line) => line.split(' ')[4] === '/proc') ?? '';
  return /[ ,]hidepid=(?!0|off)/.test(options) && !mayTraceOthers();
}

function mayTraceOthers(): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  return ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n;
}

/** Every process that /proc shows, with what its stat tells; those that went meanwhile are left out. */
export function allProcesses(): ReadonlyMap<number, ProcessStat> {
  const found = new Map<number, ProcessStat>();
  for (const name of readdirSync('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined;
    if (stat !== undefined) found.set(Number(name), stat);
  }
  return found;
}

/** The inodes of the sockets that a process holds, each with one of its descriptors. Throws ENOENT, EACCES as fs does. */
export function socketsOf(pid: number): ReadonlyMap<number, number> {
  const sockets = new Map<number, number>();
  for (const fd of readdirSync(`/proc/${pid}/fd`)) {
    const inode = inodeOfLink(`/proc/${pid}/fd/${fd}`);
    if (inode !== undefined) sockets.set(inode, Number(fd));
  }
  return sockets;
}

function inodeOfLink(path: string): number | undefined {
  try {
    const link = readlinkSync(path);
    return link.startsWith('socket:[') ? Number(link.slice('socket:['.length, -1)) : undefined;
  } catch (error) {
    // Closed between the two calls.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH'))
      return undefined;
    throw error;
  }
}
