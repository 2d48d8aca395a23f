import { bareListener, type Listener } from './ours.ts';

/** A listener of the program that was called before lastcall could hold it back. */
export interface EarlyCall {
  /** As the program gave it. */
  readonly listener: Listener;
  readonly returned: unknown;
  /** Whether a promise that it returned is settled; true if it returned none. */
  isSettled: boolean;
}

const calls = new Map<string, EarlyCall[]>();

/** The calls of a signal's listeners that came too early to be held back, in their order. */
export function earlyCallsOf(name: string): readonly EarlyCall[] {
  return calls.get(name) ?? [];
}

/**
 * A listener in place of another one that notes its calls until `over`. `removeListener` and `listeners` take it for the other
 * one, as they do with what `once` adds (Node's events).
 */
export function noteCalls(name: string, raw: Listener, over: AbortSignal): Listener {
  const listener = bareListener(raw);
  const isOnce = listener !== raw;
  const noting = (...args: never[]): unknown => {
    if (over.aborted) return Reflect.apply(raw, process, args);
    if (isOnce) process.off(name, noting as (...args: unknown[]) => void);
    const returned: unknown = Reflect.apply(listener, process, args);
    note(name, listener, returned);
    return returned;
  };
  originals.set(noting, raw);
  return Object.assign(noting, { listener });
}

/** Whether a listener is there to note calls. */
export function isNoting(listener: Listener): boolean {
  return originals.has(listener);
}

/** What a noting listener stands for: the listener itself, or what `once` has made of it. */
export function originalOf(listener: Listener): Listener {
  return originals.get(listener) ?? listener;
}

const originals = new WeakMap<Listener, Listener>();

function note(name: string, listener: Listener, returned: unknown): void {
  const isPromise = typeof Object(returned).then === 'function';
  const call: EarlyCall = { listener, returned, isSettled: !isPromise };
  calls.set(name, [...earlyCallsOf(name), call]);
  const settle = (): void => {
    call.isSettled = true;
  };
  // What it rejects with stays unhandled, as it is without lastcall.
  if (isPromise) void Promise.resolve(returned).finally(settle);
}
