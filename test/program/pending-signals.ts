import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** Whether the kernel keeps a signal for a process that stands still (proc_pid_status(5), ShdPnd). One that has gone has none. */
export function hasPending(pid: number, signal: NodeJS.Signals): boolean {
  const [, mask = '0'] = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(readStatus(pid)) ?? [];
  return ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
}

function readStatus(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}
