import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs a command that cleans up when it is interrupted. An interrupt aborts its signal, waits for it, and makes the exit code
 * 128 plus the signal's number, as in a shell. Otherwise the exit code is the command's.
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
    // The interrupt itself causes the errors of an interrupted command.
    if (!controller.signal.aborted) throw error;
  } finally {
    for (const name of SIGNALS) process.off(name, interrupt);
  }
}
