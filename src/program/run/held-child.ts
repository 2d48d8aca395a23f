import type { ChildProcess } from 'node:child_process';
import { type HeldProcess, holdProcess } from '../../linux/process/pidfd.ts';

/** Without a pidfd the PID of our own child is enough: it names no other process before Node has waited for the child. */
export function holdChild(child: ChildProcess, pid: number): HeldProcess {
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const signal = (name: NodeJS.Signals | 0): boolean => isRunning() && child.kill(name);
  try {
    // Once Node has waited for it, the PID may be another process's.
    if (isRunning()) return { ...holdProcess(pid), isRunning, signal };
  } catch {
    // The rest goes without.
  }
  const copyDescriptor = (): never => {
    throw new Error('no pidfd here');
  };
  return { pid, isRunning, signal, copyDescriptor, close: () => {} };
}
