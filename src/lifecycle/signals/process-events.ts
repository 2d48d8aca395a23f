import type { EventEmitter } from 'node:events';
import { isMainThread } from 'node:worker_threads';
import { replaceMethod } from '../../node/replace.ts';
import { isSignal } from '../../signals.ts';

/** Called in place of the listeners of a `process` event. `pass` calls them, and returns whether there are any. */
type Interceptor = (args: readonly unknown[], pass: () => boolean) => boolean;

const events: EventEmitter = process;
const interceptors = new Map<string, Interceptor>();
/** Events on their way to their listeners: a second wrapper of ours below the first one lets them through. */
const passing = new Set<string>();

/** An event that has no listeners. It shows whether `process.emit` still comes to our wrapper. */
const PROBE = Symbol('lastcall.probe');
let wasReached = false;
let addsAgain = false;
/** Signals that had listeners when `process.emit` was wrapped: Node emits them past the wrapper. */
let stale: ReadonlySet<string> = new Set();

/**
 * Takes an event of `process` before its listeners, also those added later. An event has one interceptor. Returns an undo
 * function. A listener of our own could not hold the others back.
 */
export function interceptProcessEvent(name: string, interceptor: Interceptor): () => void {
  wrapEmit();
  if (stale.has(name)) readdSoon(name);
  interceptors.set(name, interceptor);
  return () => {
    if (interceptors.get(name) === interceptor) interceptors.delete(name);
  };
}

/** Whether an event has an interceptor. */
export function isIntercepted(name: string): boolean {
  return interceptors.has(name);
}

/**
 * From now on no listener of a signal is added that would have to be added again later: a signal that came while the loop was busy
 * would be lost. Done when lastcall is imported. Elsewhere than in Node, signals do not come through `process.emit`.
 */
export function watchSignals(): void {
  if (isMainThread && !('deno' in process.versions) && !('bun' in process.versions)) wrapEmit();
}

/**
 * Lets signals be intercepted later. Node calls the `process.emit` that was in place when the first listener of a signal was
 * added. Where the program has some already, signals can be intercepted a moment later.
 */
export function prepareSignals(): void {
  wrapEmit();
  for (const name of stale) readdSoon(name);
}

/** Whether listeners of the program are being added by us, who have taken them off before. */
export function isAddingAgain(): boolean {
  return addsAgain;
}

/**
 * Node forgets a signal that waits for its turn when the last listener goes. So whatever has come while the loop was busy is let
 * through first, to the listeners as they are: the second turn comes after the loop has looked for signals.
 */
function readdSoon(name: string): void {
  stale = new Set([...stale].filter((other) => other !== name));
  setImmediate(() => setImmediate(readdListeners, name));
}

/** Keeps the raw listeners: those of `once` still remove themselves. */
function readdListeners(name: string): void {
  const listeners = events.rawListeners(name);
  events.removeAllListeners(name);
  addsAgain = true;
  for (const listener of listeners) if (isListener(listener)) events.on(name, listener);
  addsAgain = false;
}

function isListener(value: unknown): value is (...args: unknown[]) => void {
  return typeof value === 'function';
}

/**
 * Wraps `process.emit` for good: others may wrap ours. An event without an interceptor costs one look into a map. Some packages
 * put back the `emit` that they found (signal-exit 3), or call it past ours. Then it is wrapped once more.
 */
function wrapEmit(): void {
  wasReached = false;
  events.emit(PROBE);
  if (wasReached) return;
  stale = new Set(process.eventNames().filter(isSignal));
  replaceMethod(
    process,
    'emit',
    (original) =>
      function emitOrIntercept(this: NodeJS.Process, ...args: readonly unknown[]) {
        const [name, ...rest] = args;
        if (name === PROBE) wasReached = true;
        const interceptor = typeof name === 'string' && !passing.has(name) ? interceptors.get(name) : undefined;
        const emit = (): boolean => original(this, args) === true;
        return interceptor === undefined ? emit() : interceptor(rest, () => passThrough(String(name), emit));
      },
  );
}

function passThrough(name: string, emit: () => boolean): boolean {
  passing.add(name);
  try {
    return emit();
  } finally {
    passing.delete(name);
  }
}
