import type { EventEmitter } from 'node:events';
import { constants } from 'node:os';

/** What is asked in place of the listeners of an event of `process`; `pass` asks them, and says whether there are any. */
export type Interceptor = (args: readonly unknown[], pass: () => boolean) => boolean;

const interceptors = new Map<string, Interceptor>();
let isWrapped = false;
let emitToListeners: (name: string, args: readonly unknown[]) => boolean = () => false;

/**
 * Takes an event of `process` before its listeners get it, whenever they were added; one interceptor an event. Returns what
 * undoes it. A listener would do less: the program would see that there is one, and it could not hold the others back.
 */
export function interceptProcessEvent(name: string, interceptor: Interceptor): () => void {
  wrapEmit();
  interceptors.set(name, interceptor);
  return () => {
    if (interceptors.get(name) === interceptor) interceptors.delete(name);
  };
}

/**
 * Makes signals ready to be intercepted: Node calls the `process.emit` of the moment at which a signal's first listener was
 * added. To be called when the program has none yet: of one that has, a signal that waits to be told of is lost.
 */
export function prepareSignals(): void {
  wrapEmit();
  for (const name of process.eventNames()) if (typeof name === 'string' && isSignal(name)) restartSignal(name);
}

/** Takes its listeners off, and adds them anew, as they are: those of `once` take themselves off. */
function restartSignal(name: string): void {
  const events: EventEmitter = process;
  const listeners = events.rawListeners(name);
  events.removeAllListeners(name);
  for (const listener of listeners) if (isListener(listener)) events.on(name, listener);
}

function isSignal(name: string): boolean {
  return Object.hasOwn(constants.signals, name);
}

function isListener(value: unknown): value is (...args: unknown[]) => void {
  return typeof value === 'function';
}

/** Gives an event to its listeners, past whoever intercepts it. Returns whether there are any. */
export function passProcessEvent(name: string, args: readonly unknown[]): boolean {
  return emitToListeners(name, args);
}

/** Once, and for good: others may have wrapped ours meanwhile. An event that nobody intercepts costs a look into a map. */
function wrapEmit(): void {
  if (isWrapped) return;
  isWrapped = true;
  const emit: unknown = Reflect.get(process, 'emit');
  if (typeof emit !== 'function') return;
  emitToListeners = (name, args) => Reflect.apply(emit, process, [name, ...args]) === true;
  const wrapper = function emitOrIntercept(this: NodeJS.Process, ...args: readonly unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, args) === true;
    const [name, ...rest] = args;
    const interceptor = typeof name === 'string' ? interceptors.get(name) : undefined;
    return interceptor === undefined ? pass() : interceptor(rest, pass);
  };
  Reflect.set(process, 'emit', wrapper);
}
