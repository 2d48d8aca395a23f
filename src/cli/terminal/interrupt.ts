import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a command that leaves nothing behind when it is interrupted: its signal is aborted, it is waited for, and the
 * exit code is the shell's 128 + the signal's number, whatever the command made of it. Otherwise the code is the command's.
 */
export async function runInterruptible(run: (signal: AbortSignal) => Promise<number>): Promise<void> {
  const controller = new AbortController();
  const interrupt = (name: NodeJS.Signals): void => {
    process.exitCode ??= 128 + constants.signals[name];
    controller.abort();
  };
  for (const name of SIGNALS) process.on(name, interrupt);
  try {
    const exitCode = await run(controller.signal);
    if (!controller.signal.aborted) process.exitCode = exitCode;
  } catch (error) {
    // What an interrupted command stumbles over is the interruption.
    if (!controller.signal.aborted) throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt);
  }
}
