/** Sends a signal to a process, or to a group by a negative PID, if it is there and may be signalled. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended, or belongs to another user: a setuid program ends by itself or not at all.
  }
}
