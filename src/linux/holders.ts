import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { ECHILD, P_ALL, WEXITED, WNOHANG, WNOWAIT } from './constants.ts';
import { loadLibc } from './libc.ts';

// Fields of /proc/PID/stat as proc_pid_stat(5) numbers them; the start time is in clock ticks since boot.
const STAT = { parent: 4, startTime: 22 } as const;

// linux/capability.h
const CAP_SYS_PTRACE = 19n;

// siginfo_t, asm-generic/siginfo.h
const SIGINFO_SIZE = 128;

/** What a search through /proc for the holders of a socket came to. */
export interface HolderSearch {
  /** Processes other than this one that hold a descriptor of the socket. */
  readonly holders: readonly number[];
  /** Processes whose descriptors may not be read: of another user, or not dumpable. */
  readonly unreadable: readonly number[];
  /** False when the time was over before every process was looked at. */
  readonly finished: boolean;
  /** Whether there may be processes that /proc does not show to this one. */
  readonly hidden: boolean;
}

/** Where to look for holders. */
export interface SearchScope {
  /** Milliseconds, at most. */
  readonly limit: number;
  /** Pass over what was started before this process: it cannot have inherited anything from it. */
  readonly onlyYounger: boolean;
}

/** Looks through /proc/PID/fd of other processes for the socket with this inode. Throws where there is no /proc. */
export function findHolders(inode: number, { limit, onlyYounger }: SearchScope): HolderSearch {
  const end = performance.now() + limit;
  const wanted = `socket:[${inode}]`;
  const holders: number[] = [];
  const unreadable: number[] = [];
  const search = { holders, unreadable, hidden: hidesProcesses() };
  for (const pid of otherProcesses()) {
    if (performance.now() > end) return { ...search, finished: false };
    if (onlyYounger && isOlderThanWe(pid)) continue;
    const held = holds(pid, wanted, end);
    if (held === 'yes') holders.push(pid);
    if (held === 'unreadable') unreadable.push(pid);
    if (held === 'out of time') return { ...search, finished: false };
  }
  return { ...search, finished: true };
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

/** Whether `pid` descends from `ancestor`, by the parents that /proc/PID/stat names to everyone. */
export function descendsFrom(pid: number, ancestor: number): boolean {
  let current: number | undefined = pid;
  // The chain is short; the bound holds against processes that end and are replaced while we read.
  for (let steps = 0; steps < 64 && current !== undefined && current > 0; steps++) {
    if (current === ancestor) return true;
    current = parentOf(current);
  }
  return false;
}

function holds(pid: number, wanted: string, end: number): 'yes' | 'no' | 'unreadable' | 'out of time' {
  let descriptors: readonly string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch (error) {
    return isGone(error) ? 'no' : 'unreadable';
  }
  for (const fd of descriptors) {
    if (performance.now() > end) return 'out of time';
    try {
      if (readlinkSync(`/proc/${pid}/fd/${fd}`) === wanted) return 'yes';
    } catch (error) {
      if (!isGone(error)) return 'unreadable';
    }
  }
  return 'no';
}

function otherProcesses(): readonly number[] {
  // Where nothing is mounted there is no such link.
  const self = readlinkSync('/proc/self');
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== self)
    .map(Number);
}

/** Whether /proc shows to this process only those of its own user: hidepid of proc(5), without the right to trace others. */
function hidesProcesses(): boolean {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  // The fifth field is the mount point; whatever was mounted there last is what is seen.
  const options = mounts.findLast((line) => line.split(' ')[4] === '/proc') ?? '';
  return /[ ,]hidepid=(?!0|off)/.test(options) && !mayTraceOthers();
}

function mayTraceOthers(): boolean {
  const [, effective = '0'] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? [];
  return ((BigInt(`0x${effective}`) >> CAP_SYS_PTRACE) & 1n) === 1n;
}

function isOlderThanWe(pid: number): boolean {
  const started = readStat(pid, STAT.startTime);
  const ours = readStat(process.pid, STAT.startTime);
  return started !== undefined && ours !== undefined && started < ours;
}

function parentOf(pid: number): number | undefined {
  return readStat(pid, STAT.parent);
}

/** A number of /proc/PID/stat, which everyone may read; undefined once the process has gone. */
function readStat(pid: number, field: number): number | undefined {
  try {
    // The second field, the program's name, is in parentheses and may hold anything, parentheses too.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const value = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[field - 3]);
    return Number.isSafeInteger(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH');
}
