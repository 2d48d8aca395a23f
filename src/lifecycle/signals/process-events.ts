import type { EventEmitter } from 'node:events';
import { type Replacement, replaceMethod } from '../../node/replace.ts';
import { isSignal } from '../../signals.ts';

/** Called in place of the listeners of a `process` event. `pass` calls them, and returns whether there are any. */
type Interceptor = (args: readonly unknown[], pass: () => boolean) => boolean;

const interceptors = new Map<string, Interceptor>();
let replaced: Replacement | undefined;

/**
 * Takes an event of `process` before its listeners, also those added later. An event has one interceptor. Returns an undo
 * function. A listener of our own would be visible to the program, and could not hold the others back.
 */
export function interceptProcessEvent(name: string, interceptor: Interceptor): () => void {
  wrapEmit();
  interceptors.set(name, interceptor);
  return () => {
    if (interceptors.get(name) === interceptor) interceptors.delete(name);
  };
}

/**
 * Lets signals be intercepted later. Node calls the `process.emit` that was in place when the first listener of a signal was
 * added. Call this before the program adds any: a pending signal is lost if there is one.
 */
export function prepareSignals(): void {
  wrapEmit();
  for (const name of process.eventNames()) if (isSignal(name)) readdListeners(name);
}

/** Keeps the raw listeners: those of `once` still remove themselves. */
function readdListeners(name: string): void {
  const events: EventEmitter = process;
  const listeners = events.rawListeners(name);
  events.removeAllListeners(name);
  for (const listener of listeners) if (isListener(listener)) events.on(name, listener);
}

function isListener(value: unknown): value is (...args: unknown[]) => void {
  return typeof value === 'function';
}

/** Emits an event past its interceptor. Returns whether it has listeners. */
export function emitToListeners(name: string, args: readonly unknown[]): boolean {
  return replaced?.original(process, [name, ...args]) === true;
}

/** Once, and for good: others may wrap ours. An event without an interceptor costs one look into a map. */
function wrapEmit(): void {
  replaced ??= replaceMethod(
    process,
    'emit',
    (original) =>
      function emitOrIntercept(this: NodeJS.Process, ...args: readonly unknown[]) {
        const pass = (): boolean => original(this, args) === true;
        const [name, ...rest] = args;
        const interceptor = typeof name === 'string' ? interceptors.get(name) : undefined;
        return interceptor === undefined ? pass() : interceptor(rest, pass);
      },
  );
}
