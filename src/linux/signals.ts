import { constants } from 'node:os';

/** Whether a value is the name of a signal of this system, such as SIGTERM (signal(7)). */
export function isSignal(name: unknown): name is NodeJS.Signals {
  return typeof name === 'string' && name in constants.signals;
}
