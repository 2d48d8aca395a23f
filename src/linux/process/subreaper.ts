import { P_PID, PR_SET_CHILD_SUBREAPER, WEXITED, WNOHANG } from '../constants.ts';
import { bindFunction, check, requireLibc } from '../libc.ts';
import { allProcesses } from './processes.ts';

// siginfo_t, asm-generic/siginfo.h
const SIGINFO_SIZE = 128;

/** From now on orphans among the descendants of this process become its children: prctl(2). Throws a `SystemCallError`. */
export function becomeSubreaper(): void {
  const prctl = bindFunction(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  );
  check('prctl', prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

/** Waits for the children that have ended, but for those that Node waits for itself. Returns how many it were. */
export function reapOrphans(isNodes: (pid: number) => boolean): number {
  const { waitid } = requireLibc();
  const info = Buffer.alloc(SIGINFO_SIZE);
  let reaped = 0;
  for (const [pid, { parent, state }] of allProcesses()) {
    if (parent !== process.pid || state !== 'Z' || isNodes(pid)) continue;
    if (waitid(P_PID, pid, info, WEXITED | WNOHANG) === 0) reaped += 1;
  }
  return reaped;
}
