import { setImmediate as turn } from 'node:timers/promises';
import { countQueued } from './count-queues.ts';
import type { Listener } from './listener.ts';

/** How many clients were still in the kernel when the listener was closed. */
export interface LeftInQueues {
  /** Handshakes that did not complete in time. */
  readonly abandoned: number;
  /** Connections that the program never accepted: the deadline came first, or it closed the listener itself. */
  readonly unaccepted: number;
}

/** What is known of a queue when it begins to be watched. */
export interface QueueFacts {
  readonly queued: number;
  /** Whether nobody else can accept from it. */
  readonly isOurs: boolean;
}

/** A queue that is looked at again and again, and how many of its clients were lost. */
export interface WatchedQueue {
  readonly length: () => Promise<number>;
  readonly lost: (halfOpen: number) => LeftInQueues;
}

/** Watches a queue until `over` aborts. */
export function watchQueue(
  listener: Listener,
  { queued: queuedAtGate, isOurs }: QueueFacts,
  over: AbortSignal,
): WatchedQueue {
  const { server } = listener;
  let arrived = 0;
  let remaining = queuedAtGate;
  const countArrival = (): void => {
    arrived += 1;
    remaining -= 1;
  };
  server?.prependListener('connection', countArrival);
  server?.prependListener('drop', countArrival);
  over.addEventListener('abort', () => {
    server?.off('connection', countArrival);
    server?.off('drop', countArrival);
  });
  return {
    length: async () => {
      const queued = listener.isOpen() ? countQueued(listener) : undefined;
      if (queued !== undefined) remaining = queued;
      return queued ?? (await countByTurns(listener));
    },
    lost: (halfOpen) => {
      // Clients that left the queue and did not arrive were thrown away: libuv does that when it has no descriptor.
      const thrownAway = isOurs ? queuedAtGate - arrived : 0;
      return { abandoned: halfOpen, unaccepted: Math.max(0, remaining, thrownAway) };
    },
  };
}

/**
 * Where the kernel does not show a queue's length (a Unix listener without unix_diag, or /proc between two looks): the loop accepts one at every turn
 * while somebody waits, and nobody new comes. Two turns without an arrival mean that nobody waits.
 */
async function countByTurns(listener: Listener): Promise<number> {
  let arrivals = 0;
  const count = (): void => {
    arrivals += 1;
  };
  listener.server?.on('connection', count);
  await turn();
  await turn();
  listener.server?.off('connection', count);
  return arrivals;
}
