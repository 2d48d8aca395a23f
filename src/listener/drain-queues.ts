import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import type { Close } from '../close/close.ts';
import type { Gate } from '../close/report.ts';
import { queuePace } from './count-queues.ts';
import { countHalfOpen, mayCountHalfOpen } from './half-open.ts';
import type { Listener } from './listener.ts';
import { type LeftInQueues, type WatchedQueue, watchQueue } from './queue-length.ts';

/** What a drain begins with. */
export interface AtGate {
  readonly gate: Gate;
  /** Connections in the queue when the gate shut. */
  readonly queued: number;
  /** Handshakes that were under way then, and when they were counted, on the clock of `performance.now()`. */
  readonly halfOpen: number;
  readonly countedAt: number;
  /** Whether nobody else can accept them. */
  readonly isOurs: boolean;
}

/** Nothing polls faster, in milliseconds. */
const LOOK_EVERY = 1;

// For clients that are queued at the deadline: at most this many ms, but at least this many turns of the loop.
const LAST_TURNS_FOR = 100;
const LAST_TURNS_LEAST = 10;

// To be read and answered, to send the end, to see it sent, and to close.
const TURNS_TO_SERVE = 4;

/**
 * Lets the program go on accepting until nothing waits in the kernel, or until `handshakeWait` is over and only handshakes
 * that do not complete are left.
 */
export async function drainQueues(listener: Listener, atGate: AtGate, close: Close): Promise<LeftInQueues> {
  const { deadline, over } = close.clock;
  const queue = watchQueue(listener, atGate, over);
  if (atGate.gate === 'none') return drainOpenGate(listener, queue, close);
  const began = performance.now();
  let { halfOpen } = atGate;
  let seenEmpty = atGate.queued === 0 && halfOpen === 0;
  let lookedAt = atGate.countedAt;
  if (seenEmpty) await pause(deadline);
  while (listener.isOpen()) {
    const queued = await queue.length();
    const waited = performance.now() - began;
    if (queued > 0) seenEmpty = false;
    // A dump walks all sockets of the host: it is asked for only when the queue is empty, and for a twentieth of the time.
    else if (seenEmpty || mayCountHalfOpen(listener, lookedAt)) {
      halfOpen = countHalfOpen(listener, lookedAt);
      lookedAt = performance.now();
      // A client that was half-open before the dump, and not in it, is in the queue by now.
      const isEmpty = halfOpen === 0 && (await queue.length()) === 0;
      // A SYN or an ACK that another processor had in hand when we looked is seen at the second look.
      if (isEmpty && seenEmpty) return queue.lost(0);
      seenEmpty = isEmpty;
    }
    if (queued === 0 && halfOpen > 0 && waited >= close.options.handshakeWait) return queue.lost(halfOpen);
    if (deadline.aborted) return leaveAtDeadline(listener, queue);
    await pause(deadline);
  }
  return queue.lost(halfOpen);
}

/**
 * Where no gate can be shut new clients keep coming. The listener is closed as soon as the queue is seen empty, before the next
 * client comes. Bounded, for under load that moment may never come.
 */
async function drainOpenGate(listener: Listener, queue: WatchedQueue, close: Close): Promise<LeftInQueues> {
  const { deadline } = close.clock;
  const began = performance.now();
  while (listener.isOpen() && !deadline.aborted && performance.now() - began < close.options.handshakeWait) {
    const queued = await queue.length();
    if (queued === 0) return queue.lost(0);
    // The loop accepts one client a turn.
    for (let client = 0; client < queued && !deadline.aborted; client++) await turn();
    await pause(deadline);
  }
  return listener.isOpen() ? leaveAtDeadline(listener, queue) : queue.lost(0);
}

/**
 * At the deadline a close still serves the clients in the queue. Each gets a turn of the loop, in which one is accepted; a few
 * more let the last one be read, answered and ended. All take `LAST_TURNS_FOR` ms at most.
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
  await sleep(Math.max(LOOK_EVERY, queuePace.wait), undefined, { signal }).catch(() => {});
}
