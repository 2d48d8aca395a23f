import { setTimeout as sleep } from 'node:timers/promises';
import type { ShutFromOutside } from '../gate/outside-gate.ts';
import { countHalfOpenAt, lookAtTraffic, type Traffic } from '../gate/traffic.ts';

/** How long a program is given to empty its queues before it is told to stop. */
export interface SettleLimits {
  /** In milliseconds, whatever happens. */
  readonly most: number;
  /** False once the program has ended. */
  readonly isRunning: () => boolean;
  /** Aborted when it must be now. */
  readonly now: AbortSignal;
  readonly onLook: (seen: Seen) => void;
}

/** What was seen at one look. */
export interface Seen extends Traffic {
  readonly queued: number;
  readonly halfOpen: number;
}

/** A queue, or clients that wait for an answer, that has not moved for so long does not move; in milliseconds. */
const STILL_FOR = 1_000;
/** A lost final ACK comes again with the SYN-ACK's second retransmission after 3 s. */
const HANDSHAKES_FOR = 3_500;

const LOOK_EVERY = 5;
// A look walks all sockets of the host; it may take a fifth of the time.
const LOOK_SHARE = 5;

/**
 * Waits until nobody is in the queues behind the shut gates, and nobody waits for an answer: then the signal meets a program that
 * owes nothing. Bounded: a program that does not move is not waited for.
 */
export async function settle(gates: readonly ShutFromOutside[], limits: SettleLimits): Promise<void> {
  const began = performance.now();
  let movedAt = began;
  let before: Seen | undefined;
  let isQuiet = false;
  while (!limits.now.aborted && limits.isRunning()) {
    const lookedAt = performance.now();
    const seen = look(gates);
    limits.onLook(seen);
    const now = performance.now();
    const isEmpty = seen.queued === 0 && seen.halfOpen === 0;
    // What another processor had in hand when we looked is seen at the second look.
    if (isEmpty && seen.owed === 0 && isQuiet) return;
    isQuiet = isEmpty && seen.owed === 0;
    if (before === undefined || seen.queued !== before.queued || seen.halfOpen !== before.halfOpen) movedAt = now;
    before = seen;
    // Clients of kept connections ask again and again: for them it is enough that the queues have been empty for as long.
    const patience = seen.queued === 0 && seen.halfOpen > 0 ? HANDSHAKES_FOR : STILL_FOR;
    if (now - movedAt >= patience || now - began >= limits.most) return;
    const pause = Math.max(LOOK_EVERY, (now - lookedAt) * (LOOK_SHARE - 1));
    await sleep(Math.min(pause, limits.most - (now - began)), undefined, { signal: limits.now }).catch(() => {});
  }
}

/** One look at the queues, and at the connections of those listeners. */
export function look(gates: readonly ShutFromOutside[]): Seen {
  const queued = gates.reduce((sum, { reached }) => sum + (reached.queued() ?? 0), 0);
  const halfOpen = gates.reduce((sum, { reached }) => sum + countHalfOpenAt(reached.held), 0);
  return { queued, halfOpen, ...lookAtTraffic(gates.map(({ reached }) => reached.held)) };
}
