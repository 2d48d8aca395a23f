import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { loadLibc, messageOf, requireLibc, SystemCallError } from '../../linux/libc.ts';
import { holdProcess } from '../../linux/process/pidfd.ts';
import { has, type ProcessStatus, readStatus } from '../../linux/process/status.ts';
import { readSysctl } from '../../linux/sysctl.ts';
import { type Finding, good, note, problem, warning } from './finding.ts';

/** Examines whether the listeners of other processes can be copied. */
export async function examineReach(): Promise<readonly Finding[]> {
  const status = readStatus('self');
  return [
    judgeYama(readSysctl('kernel.yama.ptrace_scope'), status !== undefined && has(status, 'CAP_SYS_PTRACE')),
    ...(loadLibc().available ? [await tryChild(status)] : []),
  ];
}

/** `scope` is kernel.yama.ptrace_scope (Documentation/admin-guide/LSM/Yama.rst of the kernel); undefined without Yama. */
export function judgeYama(scope: number | undefined, mayTrace: boolean): Finding {
  if (scope === undefined) return good('yama', "no Yama: the user's own programs can be reached");
  if (scope === 0) return good('yama', "kernel.yama.ptrace_scope is 0: the user's own programs can be reached");
  if (scope >= 3) {
    return problem(
      'yama',
      'kernel.yama.ptrace_scope is 3: no process can reach the listeners of another until the next boot',
      'use `lastcall run` with --listen, or --inside for Node',
    );
  }
  if (mayTrace) return good('yama', `kernel.yama.ptrace_scope is ${scope}, and this process has CAP_SYS_PTRACE`);
  if (scope === 2) {
    return warning(
      'yama',
      'kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE reaches the listeners of another process',
      'use CAP_SYS_PTRACE, or `lastcall run` with --listen, or --inside for Node',
    );
  }
  return note(
    'yama',
    'kernel.yama.ptrace_scope is 1: `lastcall run` reaches its descendants, `lastcall stop` needs CAP_SYS_PTRACE',
    'use `lastcall run`, or CAP_SYS_PTRACE for `lastcall stop`',
  );
}

/** Copies the standard input of a child of our own. */
async function tryChild(status: ProcessStatus | undefined): Promise<Finding> {
  const child = spawn('/bin/sh', ['-c', 'read -r _'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const ended = once(child, 'exit').catch(() => {});
  try {
    await once(child, 'spawn');
    return copyFrom(child);
  } catch (error) {
    return judgeFailure(error, status?.seccomp ?? 0);
  } finally {
    child.stdin.end();
    child.stdin.on('error', () => {});
    await ended;
  }
}

function copyFrom({ pid = 0 }: ChildProcess): Finding {
  const held = holdProcess(pid);
  try {
    requireLibc().close(held.copyDescriptor(0));
    return good('pidfd-getfd', "a descriptor of a child was copied: `lastcall run` can reach its program's listeners");
  } finally {
    held.close();
  }
}

export function judgeFailure(error: unknown, seccomp: number): Finding {
  const why = messageOf(error);
  if (!(error instanceof SystemCallError)) {
    return note('pidfd-getfd', `could not be tried on a child (${why})`);
  }
  const cause =
    error.code === 'ENOSYS' || seccomp === 2
      ? 'a seccomp profile, such as the default of Docker, forbids it'
      : 'the kernel, or a security module, forbids it';
  return problem(
    'pidfd-getfd',
    `no descriptor of a child can be copied (${why}): ${cause}`,
    'give the container CAP_SYS_PTRACE (--cap-add), or use `lastcall run` with --listen, or --inside for Node',
  );
}
