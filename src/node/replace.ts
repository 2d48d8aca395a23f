/**
 * Methods of other people's objects, replaced while a close needs it: all such replacements are made here.
 *
 * A replacement is undone only while it is still in its place. If somebody else has wrapped it meanwhile it stays below their
 * wrapper, and must then pass everything through.
 */

type Method = (this: never, ...args: never[]) => unknown;

/** Calls the method that was there before: the owner's own, or the one that its prototype has at the time of the call. */
export type Original = (receiver: object, args: readonly unknown[]) => unknown;

/** A replacement that is in place. */
export interface Replacement {
  readonly original: Original;
  /** Puts back what was there; false if somebody else has wrapped the replacement, which then stays. */
  readonly undo: () => boolean;
}

/** Replaces a method or sets one that hides the prototype's. `make` gets the original, and returns the replacement. */
export function replaceMethod(owner: object, name: string, make: (original: Original) => Method): Replacement {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  const before: unknown = own && Reflect.get(owner, name);
  const original: Original = (receiver, args) => {
    const method: unknown = own === undefined ? inheritedMethod(owner, name) : before;
    return typeof method === 'function' ? Reflect.apply(method, receiver, args) : undefined;
  };
  const value = make(original);
  const enumerable = own?.enumerable ?? false;
  // A property that cannot be configured may still be written.
  if (own?.configurable === false) Reflect.set(owner, name, value);
  else Object.defineProperty(owner, name, { value, configurable: true, writable: true, enumerable });
  return { original, undo: () => putBack(owner, name, value, own) };
}

function inheritedMethod(owner: object, name: string): unknown {
  const prototype: unknown = Object.getPrototypeOf(owner);
  return typeof prototype === 'object' && prototype !== null ? Reflect.get(prototype, name, owner) : undefined;
}

function putBack(owner: object, name: string, value: unknown, own: PropertyDescriptor | undefined): boolean {
  if (Object.getOwnPropertyDescriptor(owner, name)?.value !== value) return false;
  if (own === undefined) Reflect.deleteProperty(owner, name);
  else if (own.configurable === false) Reflect.set(owner, name, own.value);
  else Object.defineProperty(owner, name, own);
  return true;
}
