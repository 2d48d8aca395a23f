import type { ChildProcess } from 'node:child_process';
import { type HeldProcess, holdProcess } from '../../linux/process/pidfd.ts';

/** Without a pidfd the PID of our own child is enough: it names no other process before Node has waited for the child. */
export function holdChild(child: ChildProcess, pid: number): HeldProcess {
  const isWaitedFor = (): boolean => child.exitCode !== null || child.signalCode !== null;
  // Node's kill returns true for a child that has ended, if Node has not yet waited for it.
  const signal = (name: NodeJS.Signals | 0): boolean => !isWaitedFor() && child.kill(name);
  try {
    // Once Node has waited for it, the PID may be another process's.
    const held = isWaitedFor() ? undefined : holdProcess(pid);
    if (held !== undefined) return { ...held, isRunning: () => !isWaitedFor() && held.isRunning(), signal };
  } catch {
    // The rest goes without.
  }
  const copyDescriptor = (): never => {
    throw new Error('no pidfd here');
  };
  return { pid, isRunning: () => !isWaitedFor(), signal, copyDescriptor, close: () => {} };
}
