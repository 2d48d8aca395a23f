import { optionError } from './errors.ts';

// setTimeout's own limit (2^31 - 1 ms, nearly 25 days); a longer one would fire at once.
const LONGEST_WAIT = 2_147_483_647;

export function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A name that is written wrong would be an option that is not heard. */
export function checkNames(option: string, value: object, names: readonly string[]): void {
  const wrong = Object.keys(value).find((name) => !names.includes(name));
  if (wrong !== undefined) throw optionError(option, `made of ${names.join(', ')}`, wrong);
}

export function milliseconds(name: string, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  if (typeof value !== 'number' || !(value >= 0 && value <= LONGEST_WAIT)) {
    throw optionError(name, `a number of milliseconds from 0 to ${LONGEST_WAIT}`, value);
  }
  return value;
}

export function checkSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value;
  throw optionError('signal', 'an AbortSignal', value);
}

export function checkFunction<F extends (...args: never[]) => unknown>(
  name: string,
  value: F | undefined,
): F | undefined {
  if (value === undefined || typeof value === 'function') return value;
  throw optionError(name, 'a function', value);
}

export function checkBoolean(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value === 'boolean') return value;
  throw optionError(name, '`true` or `false`', value);
}
