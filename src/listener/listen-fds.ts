/** Which listening sockets a supervisor has passed to this process: the protocol of sd_listen_fds(3). */
import { readStat } from '../linux/process/processes.ts';

/** The first descriptor that is passed (SD_LISTEN_FDS_START, systemd/sd-daemon.h). */
const FIRST = 3;

// No service has as many; each is looked at.
const MOST = 1_024;

/** What the environment says of passed descriptors. */
export interface Passed {
  /** The process that they are meant for, as it was written; undefined if nobody said. */
  readonly pid: string | undefined;
  /** The same process by its number on pidfs, which is never used again; undefined if nobody said. */
  readonly processId: string | undefined;
  readonly descriptors: readonly { readonly fd: number; readonly name: string }[];
}

/** `PID:FD,FD`: `lastcall run`, and those of the descriptors that it has opened itself. */
const OPENED = 'LISTEN_OPENED_BY';

/** Of the variables that are not in the environment any more. */
let taken = 0;
let takenPid: string | undefined;
let takenOpened: string | undefined;

/** Whether LISTEN_FDS counts the descriptor, or did before it was taken out of the environment. */
export function isPassedBySupervisor(fd: number): boolean {
  return fd >= FIRST && fd < FIRST + Math.max(taken, countPassed());
}

/**
 * The `lastcall run` that has opened the descriptor for this program, and does nothing with it: it only ends with the program.
 * Undefined if the descriptor came from somebody else.
 */
export function runThatOpened(fd: number): number | undefined {
  const { run, descriptors } = readOpened();
  return isPassedBySupervisor(fd) && descriptors.includes(fd) ? run : undefined;
}

/**
 * The process that has passed the descriptors, and starts the program again when a client comes: the parent of the one for which
 * they were meant, or what is above the `lastcall run` that handed them on.
 */
export function activator(): number | undefined {
  const pid = Number(takenPid ?? process.env.LISTEN_PID);
  const parent = Number.isSafeInteger(pid) ? readStat(pid)?.parent : undefined;
  const { run } = readOpened();
  return parent !== undefined && parent === run ? readStat(run)?.parent : parent;
}

function readOpened(): { readonly run: number | undefined; readonly descriptors: readonly number[] } {
  const [, run, list = ''] = /^(\d{1,10}):([\d,]*)$/.exec(takenOpened ?? process.env[OPENED] ?? '') ?? [];
  const descriptors = list.split(',').filter((fd) => fd !== '');
  return { run: run === undefined ? undefined : Number(run), descriptors: descriptors.map(Number) };
}

/** Reads the variables, and takes them out of the environment: they are not meant for children of ours. */
export function takePassed(): Passed {
  const count = countPassed();
  const names = (process.env.LISTEN_FDNAMES ?? '').split(':');
  const pid = process.env.LISTEN_PID;
  const processId = process.env.LISTEN_PIDFDID;
  taken = Math.max(taken, count);
  takenPid ??= pid;
  takenOpened ??= process.env[OPENED];
  delete process.env[OPENED];
  delete process.env.LISTEN_FDS;
  delete process.env.LISTEN_FDNAMES;
  delete process.env.LISTEN_PID;
  delete process.env.LISTEN_PIDFDID;
  const descriptors = Array.from({ length: count }, (_, at) => ({ fd: FIRST + at, name: names[at] || 'unknown' }));
  return { pid, processId, descriptors };
}

function countPassed(): number {
  const text = process.env.LISTEN_FDS ?? '';
  const count = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return count <= MOST ? count : 0;
}
