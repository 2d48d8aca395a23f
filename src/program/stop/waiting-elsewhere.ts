import { counted } from '../../counted.ts';
import { isNode } from '../find/command-line.ts';
import type { HeldListener } from '../find/find-listeners.ts';
import { queuesIn } from '../find/namespace.ts';
import { readTraffic } from '../gate/traffic.ts';

/**
 * The clients of a program that stops itself who wait at a process of it that does not: one that is not of Node has no
 * lastcall/register. A doubt for each listener.
 */
export function waitingElsewhere(listeners: readonly HeldListener[]): readonly string[] {
  const elsewhere = listeners.filter(({ holders }) => holders.length > 0 && holders.every(({ pid }) => !isNode(pid)));
  return elsewhere.flatMap((held) => {
    const queued = queuesIn(held.namespace).get(held.socket.inode) ?? 0;
    const waiting = queued + readTraffic([held]).unanswered.size;
    if (waiting === 0) return [];
    return [
      `${counted(waiting, 'client')} waited at ${held.name} at the signal, and lastcall/register is not in its process`,
    ];
  });
}
