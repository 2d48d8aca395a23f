import { readStatus } from '../../linux/process/status.ts';
import { isNode } from '../find/command-line.ts';

/**
 * Whether a signal may end a process at once. Node catches SIGTERM and SIGINT in any case, and raises them again if the program has
 * no handler (SignalExit, src/node.cc). So a Node program always may.
 */
export function mayDieOf(signal: NodeJS.Signals, pid: number): boolean {
  const { caught, ignored } = readStatus(pid) ?? {};
  if (caught === undefined || ignored?.has(signal) === true) return false;
  return !caught.has(signal) || isNode(pid);
}
