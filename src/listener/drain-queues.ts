import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { countHalfOpen, mayCountHalfOpen } from './half-open.ts';
import type { Gate } from './gate/gate.ts';
import type { Listener } from './listener.ts';
import { type LeftInQueues, type WatchedQueue, watchQueue } from './queue-length.ts';

/** How a drain goes on and when it stops. */
export interface DrainLimits {
  /** Who was queued when the gate shut. */
  readonly queued: number;
  /** How many handshakes were under way then, and when they were counted, on the clock of `performance.now()`. */
  readonly halfOpen: number;
  readonly countedAt: number;
  /** Whether nobody else can accept them. */
  readonly isOurs: boolean;
  /** How long handshakes may take, in milliseconds. */
  readonly handshakeWait: number;
  /** Aborted at the deadline: the listener is closed whatever waits. */
  readonly signal: AbortSignal;
  /** Aborted when the close is over. */
  readonly over: AbortSignal;
}

/** Nothing polls faster, in milliseconds. */
const LOOK_EVERY = 1;

// For those queued when the time is up: so many milliseconds, and so many turns of the loop however slow the machine is.
const LAST_TURNS_FOR = 100;
const LAST_TURNS_LEAST = 10;

// To be read and answered, to send the end, to see it sent, and to close.
const TURNS_TO_SERVE = 4;

/**
 * Lets the program go on accepting until nothing waits in the kernel, or until `handshakeWait` is over and only
 * handshakes that did not complete are left.
 */
export async function drainQueues(listener: Listener, gate: Gate, limits: DrainLimits): Promise<LeftInQueues> {
  if (gate === 'none') return drainOpenGate(listener, limits);
  const began = performance.now();
  let { halfOpen } = limits;
  let seenEmpty = limits.queued === 0 && halfOpen === 0;
  let lookedAt = limits.countedAt;
  const queue = watchQueue(listener, limits);
  if (seenEmpty) await pause(limits.signal);
  while (listener.isOpen()) {
    const queued = await queue.length();
    const waited = performance.now() - began;
    if (queued > 0) seenEmpty = false;
    // A dump walks all sockets of the host: it is asked for only when the queue is empty, and for a tenth of the time.
    else if (seenEmpty || mayCountHalfOpen(listener, lookedAt)) {
      halfOpen = countHalfOpen(listener, lookedAt);
      lookedAt = performance.now();
      // Whoever left the half-open ones before the dump is in the queue by now.
      const isEmpty = halfOpen === 0 && (await queue.length()) === 0;
      // A SYN or an ACK that another processor had in hand when we looked is seen at the second look.
      if (isEmpty && seenEmpty) return queue.lost(0);
      seenEmpty = isEmpty;
    }
    if (queued === 0 && halfOpen > 0 && waited >= limits.handshakeWait) return queue.lost(halfOpen);
    if (limits.signal.aborted) return leaveAtDeadline(listener, queue);
    await pause(limits.signal);
  }
  return queue.lost(halfOpen);
}

/**
 * Where no gate can be shut new clients keep coming: at the first moment at which the queue was seen empty the listener
 * is closed, before anybody else comes. Bounded, for under load that moment may never come.
 */
async function drainOpenGate(listener: Listener, limits: DrainLimits): Promise<LeftInQueues> {
  const began = performance.now();
  const queue = watchQueue(listener, limits);
  while (listener.isOpen() && !limits.signal.aborted && performance.now() - began < limits.handshakeWait) {
    const queued = await queue.length();
    if (queued === 0) return queue.lost(0);
    // The loop accepts one client a turn, and a look at /proc may take as long as a hundred turns.
    for (let client = 0; client < queued && !limits.signal.aborted; client++) await turn();
    await pause(limits.signal);
  }
  return listener.isOpen() ? leaveAtDeadline(listener, queue) : queue.lost(0);
}

/**
 * A close whose time is up still serves who is queued: a turn of the loop for each, in which one is accepted, and some for
 * the last one to be read, answered and ended; at most `LAST_TURNS_FOR` milliseconds of them.
 */
async function leaveAtDeadline(listener: Listener, queue: WatchedQueue): Promise<LeftInQueues> {
  const began = performance.now();
  const end = began + LAST_TURNS_FOR;
  const turns = (await queue.length()) + TURNS_TO_SERVE;
  for (let taken = 0; taken < turns && (taken < LAST_TURNS_LEAST || performance.now() < end); taken++) await turn();
  await queue.length();
  return queue.lost(countHalfOpen(listener, began));
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(LOOK_EVERY, undefined, { signal }).catch(() => {});
}
