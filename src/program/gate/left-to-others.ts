import { isSeenToAccept } from '../../linux/process/accepting.ts';
import { allProcesses } from '../../linux/process/processes.ts';
import type { HeldListener } from '../find/find-listeners.ts';

/**
 * Whether somebody else serves the queue of a listener that the program has left. An activator does: it starts the program again.
 * To hold the listener alone is not enough: a shell may do so.
 */
export function isLeftToOthers({ socket, isPassed }: HeldListener): boolean {
  if (isPassed) return true;
  return [...allProcesses().keys()].some((pid) => isSeenToAccept(pid, socket));
}
