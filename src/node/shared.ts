/**
 * One object for all copies of lastcall in this thread: an application and its packages may each bring their own. Whoever comes
 * first makes it. Its shape is the same in every version that uses the name.
 */
export function sharedInProcess<T extends object>(name: string, make: () => T): T {
  const symbol = Symbol.for(`lastcall.${name}`);
  const found: T | undefined = Reflect.get(globalThis, symbol);
  if (found !== undefined) return found;
  const made = make();
  Object.defineProperty(globalThis, symbol, { value: made });
  return made;
}
