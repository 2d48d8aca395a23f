import { inspect } from 'node:util';
import { addEmitter } from '../../node/fields.ts';
import { sharedInProcess } from '../../node/shared.ts';
import { writeStderr } from '../exit/stderr.ts';
import { interceptProcessEvent } from './process-events.ts';

/** Who waits for an uncaught error, in all copies of lastcall. The first one has set up the watch. */
interface Watch {
  readonly observers: Set<() => void>;
  stop: (() => void) | undefined;
}

const watch = sharedInProcess<Watch>('uncaught', () => ({ observers: new Set(), stop: undefined }));

/** node:domain puts this listener before those of others. It decides nothing. */
const OF_DOMAINS = 'domainUncaughtExceptionClear';

/**
 * Calls back at an uncaught error that would end the process. Its message is written at once. If the program has a listener of
 * 'uncaughtException' that listener decides, and nothing is called. Returns an undo function.
 */
export function watchUncaught(observer: () => void): () => void {
  watch.observers.add(observer);
  watch.stop ??= beginToWatch();
  return () => {
    watch.observers.delete(observer);
    if (watch.observers.size > 0) return;
    watch.stop?.();
    watch.stop = undefined;
  };
}

/**
 * Node looks whether 'uncaughtException' had a listener (lib/internal/process/execution.js). Rejections come here too. Some
 * packages look whether there is one, and else exit (source-map-support). Others emit past our wrapper (signal-exit 3). So there
 * is a listener while somebody watches. Those of the program that look for others must not see it (Sentry).
 */
function beginToWatch(): () => void {
  const stopIntercepting = interceptProcessEvent('uncaughtException', (args, pass) => {
    if (!hasOthers()) return takeOver(args[0]);
    process.off('uncaughtException', onUncaught);
    try {
      return pass();
    } finally {
      if (watch.stop !== undefined) process.on('uncaughtException', onUncaught);
    }
  });
  process.on('uncaughtException', onUncaught);
  return () => {
    stopIntercepting();
    process.off('uncaughtException', onUncaught);
  };
}

function onUncaught(error: unknown): void {
  if (!hasOthers()) takeOver(error);
}

function hasOthers(): boolean {
  return process
    .listeners('uncaughtException')
    .some((listener) => listener !== onUncaught && listener.name !== OF_DOMAINS);
}

function takeOver(error: unknown): boolean {
  writeStderr(describeUncaught(error));
  for (const observer of watch.observers) observer();
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
