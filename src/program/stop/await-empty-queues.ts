import { setTimeout as sleep } from 'node:timers/promises';
import type { ProgramGate } from '../gate/program-gate.ts';
import { countHalfOpenAt, readTraffic, type Traffic } from '../gate/traffic.ts';

/** How long to wait until a program has emptied its queues. */
export interface WaitLimits {
  /** The longest wait, in ms. */
  readonly most: number;
  /** Returns false once the program has ended. */
  readonly isRunning: () => boolean;
  /** Aborted to end the wait at once. */
  readonly now: AbortSignal;
  readonly onLook: (pending: Pending) => void;
}

/** The clients that a program still has to serve. */
export interface Pending extends Traffic {
  readonly queued: number;
  readonly halfOpen: number;
}

/** After this time without a change in the queues the wait ends, in ms. */
const STILL_FOR = 1_000;
/** The same while handshakes are under way, in ms: a lost final ACK comes again after the second SYN-ACK retransmission, at 3 s. */
const HANDSHAKES_FOR = 3_500;

// The shortest pause between two looks, in ms.
const LOOK_EVERY = 5;
// A look walks all sockets of the host: it may take a fifth of the time.
const LOOK_SHARE = 5;

/**
 * Waits until the queues behind the shut gates are empty and no client waits for an answer, so that the signal comes when the
 * program has nothing left to do. Does not wait for a program that makes no progress.
 */
export async function awaitEmptyQueues(gates: readonly ProgramGate[], limits: WaitLimits): Promise<void> {
  const began = performance.now();
  let changedAt = began;
  let before: Pending | undefined;
  let wasIdle = false;
  while (!limits.now.aborted && limits.isRunning()) {
    const lookedAt = performance.now();
    const pending = readPending(gates);
    limits.onLook(pending);
    const now = performance.now();
    const isIdle = pending.queued === 0 && pending.halfOpen === 0 && pending.unanswered === 0;
    // Only a second look sees a client that another processor was handling during the first.
    if (isIdle && wasIdle) return;
    wasIdle = isIdle;
    if (before === undefined || pending.queued !== before.queued || pending.halfOpen !== before.halfOpen)
      changedAt = now;
    before = pending;
    // Kept-alive clients send request after request: for them the wait ends when the queues have been empty for this time.
    const patience = pending.queued === 0 && pending.halfOpen > 0 ? HANDSHAKES_FOR : STILL_FOR;
    if (now - changedAt >= patience || now - began >= limits.most) return;
    const pause = Math.max(LOOK_EVERY, (now - lookedAt) * (LOOK_SHARE - 1));
    await sleep(Math.min(pause, limits.most - (now - began)), undefined, { signal: limits.now }).catch(() => {});
  }
}

/** Reads the queues behind the gates, and the connections of their listeners. */
export function readPending(gates: readonly ProgramGate[]): Pending {
  const listeners = gates.map(({ listener }) => listener);
  return {
    queued: listeners.reduce((sum, listener) => sum + (listener.queued() ?? 0), 0),
    halfOpen: listeners.reduce((sum, { held }) => sum + countHalfOpenAt(held), 0),
    ...readTraffic(listeners.map(({ held }) => held)),
  };
}
