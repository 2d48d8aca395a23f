import { P_PID, PR_SET_CHILD_SUBREAPER, SIGINFO_SIZE, WEXITED, WNOHANG } from '../constants.ts';
import { bindFunction, check, requireLibc } from '../libc.ts';
import { allProcesses } from './processes.ts';

/** Makes this process the parent of orphans among its descendants: prctl(2). Throws a `SystemCallError`. */
export function becomeSubreaper(): void {
  const prctl = bindFunction(
    'int prctl(int option, unsigned long a, unsigned long b, unsigned long c, unsigned long d)',
  );
  check('prctl', prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

/** Waits for the children that have ended, except those that Node waits for. Returns how many there were. */
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
