import type { EventEmitter } from 'node:events';
import { constants } from 'node:os';
import { isMainThread } from 'node:worker_threads';
import { isNoting, noteCalls, originalOf } from './early-calls.ts';
import { isListener, isOurs, type Listener, markOurs } from './ours.ts';
import { replaceMethod } from '../../node/replace.ts';
import { countSignal } from '../../node/signal-handle.ts';
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
/** Signals whose listeners' calls are noted, each until it is aborted. */
const noting = new Map<string, AbortSignal>();

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

/** Keeps Node from forgetting signals that wait for their turn while their listeners change hands. Returns an undo function. */
export function keepSignals(names: readonly NodeJS.Signals[]): () => void {
  const keeps = markOurs((): void => {});
  const kept = names.filter((name) => events.listenerCount(name) > 0);
  for (const name of kept) events.prependListener(name, keeps);
  return () => {
    for (const name of kept) events.off(name, keeps);
  };
}

/** Whether listeners of the program are being added by us, who have taken them off before. */
export function isAddingAgain(): boolean {
  return addsAgain;
}

/**
 * Node forgets a signal that waits for its turn when the last listener goes. So whatever has come while the loop was busy is let
 * through first, to the listeners as they are: the second turn comes after the loop has looked for signals. What they are called
 * for until then is noted: they are not to be called again.
 */
function readdSoon(name: string): void {
  stale = new Set([...stale].filter((other) => other !== name));
  const over = new AbortController();
  const delivered = isSignal(name) ? countSignal(name) : undefined;
  let emitted = 0;
  const keepsSignal = markOurs((): void => {
    emitted += 1;
  });
  events.prependListener(name, keepsSignal);
  if (noting.size === 0) events.on('newListener', noteNew);
  noting.set(name, over.signal);
  noteCallsOfAll(name);
  afterTwoTurns(() => {
    over.abort();
    noting.delete(name);
    if (noting.size === 0) events.off('newListener', noteNew);
    const listeners = events.rawListeners(name).filter(isListener);
    const before = emitted - (delivered?.count ?? 0);
    events.removeAllListeners(name);
    addAgain(name, listeners.map(originalOf));
    // One that came between the loop's look and this turn is forgotten with the first listeners.
    afterTwoTurns(() => {
      const forgotten = (delivered?.count ?? 0) + before - emitted;
      delivered?.close();
      events.off(name, keepsSignal);
      for (let left = forgotten; left > 0 && isSignal(name); left -= 1)
        events.emit(name, name, constants.signals[name]);
    });
  });
}

/** After the loop has looked for signals at least once. */
function afterTwoTurns(callback: () => void): void {
  setImmediate(() => setImmediate(callback));
}

/** From now on the calls of the program's listeners are noted. One is replaced after the other: at no moment there is none. */
function noteCallsOfAll(name: string): void {
  const over = noting.get(name);
  if (over === undefined) return;
  for (const listener of events.rawListeners(name).filter(isListener)) {
    if (isOurs(listener) || isNoting(listener)) continue;
    events.off(name, listener as (...args: unknown[]) => void);
    addAgain(name, [noteCalls(name, listener, over)]);
  }
}

/** A listener that is added meanwhile is there when this turn has ended. */
function noteNew(added: unknown): void {
  if (typeof added === 'string' && noting.has(added) && !addsAgain) queueMicrotask(() => noteCallsOfAll(added));
}

/** Keeps the raw listeners: those of `once` still remove themselves. */
function addAgain(name: string, listeners: readonly Listener[]): void {
  addsAgain = true;
  for (const listener of listeners) events.on(name, listener as (...args: unknown[]) => void);
  addsAgain = false;
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
