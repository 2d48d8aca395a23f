import { describeUncaught } from './uncaught-message.ts';
import { interceptProcessEvent } from './process-events.ts';
import { writeStderr } from '../exit/write-stderr.ts';

const observers = new Set<() => void>();
let stopIntercepting: (() => void) | undefined;

/**
 * Tells of an error that nobody has caught, and that would end the process; Node's message is written at once. A program
 * that listens for 'uncaughtException' itself decides itself, and nothing is told. Returns what undoes it.
 */
export function watchUncaught(observer: () => void): () => void {
  observers.add(observer);
  // Node asks whether 'uncaughtException' was heard (lib/internal/process/execution.js); rejections come so, too.
  stopIntercepting ??= interceptProcessEvent('uncaughtException', (args, pass) => pass() || takeOver(args));
  return () => {
    observers.delete(observer);
    if (observers.size > 0) return;
    stopIntercepting?.();
    stopIntercepting = undefined;
  };
}

function takeOver([error, origin]: readonly unknown[]): boolean {
  if (observers.size === 0) return false;
  writeStderr(describeUncaught(error, origin === 'unhandledRejection'));
  for (const observer of observers) observer();
  return true;
}
