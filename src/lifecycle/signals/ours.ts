import { sharedInProcess } from '../../node/shared.ts';

/** What Node calls at an event, whatever its arguments are. */
export type Listener = (...args: never[]) => unknown;

/** The listeners of all copies of lastcall in this process. */
const ours = sharedInProcess<WeakSet<Listener>>('listeners', () => new WeakSet());

/** Marks a listener as one of lastcall's. */
export function markOurs<L extends Listener>(listener: L): L {
  ours.add(listener);
  return listener;
}

/** Whether a listener is lastcall's, as it is or by `once`. */
export function isOurs(listener: Listener): boolean {
  return ours.has(listener) || ours.has(bareListener(listener));
}

/** The listener that was given to `once`, or the listener itself. */
export function bareListener(listener: Listener): Listener {
  const inner: unknown = Reflect.get(listener, 'listener');
  return isListener(inner) ? inner : listener;
}

export function isListener(value: unknown): value is Listener {
  return typeof value === 'function';
}
