import { constants } from 'node:os';

/**
 * A signal that comes sooner than this after the first one, in ms, is no second one: a terminal and a process group may each
 * pass on the same signal, and supervisors often send two in a row.
 */
export const SECOND_AFTER = 500;

/** Whether a value is the name of a signal of this system, such as SIGTERM (signal(7)). */
export function isSignal(name: unknown): name is NodeJS.Signals {
  return typeof name === 'string' && Object.hasOwn(constants.signals, name);
}
