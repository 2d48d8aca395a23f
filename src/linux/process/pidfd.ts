import { constants } from 'node:os';
import { ESRCH, SYS_pidfd_getfd, SYS_pidfd_open, SYS_pidfd_send_signal } from '../constants.ts';
import { bindFunction, check, requireLibc, SystemCallError } from '../libc.ts';
import { readStat } from './processes.ts';

/**
 * A process, held by a descriptor of it (pidfd_open(2), Linux 5.3): unlike its number it is never another's. Close it when it
 * is not needed any more.
 */
export interface HeldProcess {
  readonly pid: number;
  /** False once it has ended, even if nobody has waited for it yet. */
  isRunning(): boolean;
  /** pidfd_send_signal(2); 0 sends nothing. False if it has ended. Throws a `SystemCallError`: EPERM without the right. */
  signal(name: NodeJS.Signals | 0): boolean;
  /**
   * A duplicate of one of its descriptors, close-on-exec (pidfd_getfd(2), Linux 5.6). Needs the right to trace it
   * (ptrace(2), PTRACE_MODE_ATTACH_REALCREDS). Throws a `SystemCallError`: EPERM without that right, EBADF where it has no
   * such descriptor.
   */
  copyDescriptor(fd: number): number;
  close(): void;
}

let call: ((...args: readonly number[]) => number) | undefined;

/** Takes hold of the process with this number. Throws a `SystemCallError`: ESRCH if there is none, ENOSYS before Linux 5.3. */
export function holdProcess(pid: number): HeldProcess {
  const { close } = requireLibc();
  let pidfd = check('pidfd_open', systemCall(SYS_pidfd_open, pid, 0));
  const startTime = readStat(pid)?.startTime;
  return {
    pid,
    isRunning: () => {
      const stat = readStat(pid);
      return stat !== undefined && stat.startTime === startTime && stat.state !== 'Z' && stat.state !== 'X';
    },
    signal: (name) => {
      const number = name === 0 ? 0 : constants.signals[name];
      if (systemCall(SYS_pidfd_send_signal, pidfd, number, 0, 0) !== -1) return true;
      const errno = requireLibc().errno();
      if (errno === ESRCH) return false;
      throw new SystemCallError('pidfd_send_signal', errno);
    },
    copyDescriptor: (fd) => check('pidfd_getfd', systemCall(SYS_pidfd_getfd, pidfd, fd, 0)),
    close: () => {
      if (pidfd !== -1) close(pidfd);
      // The number may be another's from now on.
      pidfd = -1;
    },
  };
}

/** syscall(2): the C library has names for these calls only in its later versions. */
function systemCall(number: number, first: number, second: number, third = 0, fourth = 0): number {
  // Declared without the ellipsis: all arguments travel in registers on every Linux ABI.
  call ??= bindFunction('intptr_t syscall(intptr_t number, intptr_t a, intptr_t b, intptr_t c, intptr_t d)');
  return call(number, first, second, third, fourth);
}
