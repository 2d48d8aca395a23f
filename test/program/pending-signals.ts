import { readFileSync } from 'node:fs';
import { constants } from 'node:os';

/** Whether a signal is pending for a process that is stopped (proc_pid_status(5), ShdPnd). False if the process is gone. */
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
