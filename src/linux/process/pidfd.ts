import { fstatSync, statfsSync } from 'node:fs';
import { constants } from 'node:os';
import {
  ESRCH,
  PID_FS_MAGIC,
  PIDFD_THREAD,
  SYS_pidfd_getfd,
  SYS_pidfd_open,
  SYS_pidfd_send_signal,
} from '../constants.ts';
import { bindFunction, check, loadLibc, requireLibc, SystemCallError } from '../libc.ts';
import { hasEnded, livingThreadOf, readStat } from './processes.ts';

/**
 * A process, held by a descriptor of it (pidfd_open(2), Linux 5.3). Unlike a PID, the descriptor never names another process.
 * Close it after use.
 */
export interface HeldProcess {
  readonly pid: number;
  /** False once it has ended, even if its parent has not waited for it. */
  isRunning(): boolean;
  /** pidfd_send_signal(2); 0 sends nothing. Returns false if it has ended. Throws a `SystemCallError`: EPERM without the right. */
  signal(name: NodeJS.Signals | 0): boolean;
  /**
   * Duplicates one of its descriptors, close-on-exec (pidfd_getfd(2), Linux 5.6). Needs the right to trace the process
   * (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS). Throws a `SystemCallError`: EPERM without that right, EBADF if it has no such
   * descriptor.
   */
  copyDescriptor(fd: number): number;
  close(): void;
}

let call: ((...args: readonly number[]) => number) | undefined;

/** Holds the process with this PID. Throws a `SystemCallError`: ESRCH if there is none, ENOSYS before Linux 5.3. */
export function holdProcess(pid: number): HeldProcess {
  const { close } = requireLibc();
  let pidfd = check('pidfd_open', systemCall(SYS_pidfd_open, pid, 0));
  const startTime = readStat(pid)?.startTime;
  return {
    pid,
    isRunning: () => {
      const stat = readStat(pid);
      return stat !== undefined && stat.startTime === startTime && !hasEnded(stat);
    },
    signal: (name) => {
      const number = name === 0 ? 0 : constants.signals[name];
      if (systemCall(SYS_pidfd_send_signal, pidfd, number, 0, 0) !== -1) return true;
      const errno = requireLibc().errno();
      if (errno === ESRCH) return false;
      throw new SystemCallError('pidfd_send_signal', errno);
    },
    copyDescriptor: (fd) => {
      const thread = livingThreadOf(pid);
      return thread === pid ? getDescriptor(pidfd, fd) : getFromThread(thread, fd);
    },
    close: () => {
      if (pidfd !== -1) close(pidfd);
      // From now on the number may be another file's.
      pidfd = -1;
    },
  };
}

/** Duplicates a descriptor of a process, as `HeldProcess.copyDescriptor` does. */
export function copyDescriptorOf(pid: number, fd: number): number {
  const process = holdProcess(pid);
  try {
    return process.copyDescriptor(fd);
  } finally {
    process.close();
  }
}

function getDescriptor(pidfd: number, fd: number): number {
  return check('pidfd_getfd', systemCall(SYS_pidfd_getfd, pidfd, fd, 0));
}

/** The main thread has ended, and has no descriptors any more. A thread can be held alone since Linux 6.9. */
function getFromThread(thread: number, fd: number): number {
  const pidfd = check('pidfd_open', systemCall(SYS_pidfd_open, thread, PIDFD_THREAD));
  try {
    return getDescriptor(pidfd, fd);
  } finally {
    requireLibc().close(pidfd);
  }
}

/**
 * The number of this process that no other process gets, also after its end: the inode of its pidfd on pidfs (Linux 6.9, as
 * LISTEN_PIDFDID of systemd 258 has it). Undefined before.
 */
export function ownProcessId(): bigint | undefined {
  if (!loadLibc().available) return undefined;
  const pidfd = systemCall(SYS_pidfd_open, process.pid, 0);
  if (pidfd === -1) return undefined;
  try {
    if (statfsSync(`/proc/self/fd/${pidfd}`).type !== PID_FS_MAGIC) return undefined;
    return fstatSync(pidfd, { bigint: true }).ino;
  } catch {
    return undefined;
  } finally {
    requireLibc().close(pidfd);
  }
}

/** syscall(2), because only later versions of the C library have names for these calls. */
function systemCall(number: number, first: number, second: number, third = 0, fourth = 0): number {
  // Declared without the ellipsis: all arguments are passed in registers on every Linux ABI.
  call ??= bindFunction('intptr_t syscall(intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d)');
  return call(number, first, second, third, fourth);
}
