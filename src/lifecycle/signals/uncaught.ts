import { inspect } from 'node:util';
import { addEmitter } from '../../node/fields.ts';
import { writeStderr } from '../exit/stderr.ts';
import { interceptProcessEvent } from './process-events.ts';

const observers = new Set<() => void>();
let stopIntercepting: (() => void) | undefined;

/**
 * Calls back at an uncaught error that would end the process. Its message is written at once. If the program has a listener of
 * 'uncaughtException' that listener decides, and nothing is called. Returns an undo function.
 */
export function watchUncaught(observer: () => void): () => void {
  observers.add(observer);
  // Node looks whether 'uncaughtException' had a listener (lib/internal/process/execution.js). Rejections come here too.
  stopIntercepting ??= interceptProcessEvent('uncaughtException', (args, pass) => pass() || takeOver(args));
  return () => {
    observers.delete(observer);
    if (observers.size > 0) return;
    stopIntercepting?.();
    stopIntercepting = undefined;
  };
}

function takeOver([error]: readonly unknown[]): boolean {
  if (observers.size === 0) return false;
  writeStderr(describeUncaught(error));
  for (const observer of observers) observer();
  return true;
}

/**
 * Node's message for an error that ends the process (src/node_errors.cc), without the excerpt of the source: the stack has the
 * place. Node itself writes it only when it exits, which may be seconds later.
 */
export function describeUncaught(error: unknown): string {
  const version = `\nNode.js ${process.version}\n`;
  try {
    if (error instanceof Error) {
      addEmitter(error);
      return `${inspect(error)}\n${version}`;
    }
    const hint = '(Use `node --trace-uncaught ...` to show where the exception was thrown)';
    return `Uncaught:\n${inspect(error)}\n${hint}\n${version}`;
  } catch {
    // A thrown value may have getters that throw.
    return `Uncaught:\nan error that cannot be shown\n${version}`;
  }
}
