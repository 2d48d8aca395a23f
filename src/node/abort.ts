import { setMaxListeners } from 'node:events';

/** A controller whose signal many things listen to: Node would warn of a leak at the eleventh. */
export function forManyListeners(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
