import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { countHalfOpen, countQueued } from './count-queues.ts';
import type { Gate } from './gate.ts';
import type { Listener } from './listener.ts';

/** How a drain goes on and when it stops. */
export interface DrainLimits {
  /** Who was queued when the gate shut, and can be accepted by nobody but us. */
  readonly queued: number;
  /** How long handshakes may take, in milliseconds. */
  readonly handshakeWait: number;
  /** Aborted at the deadline: the listener is closed whatever waits. */
  readonly signal: AbortSignal;
  /** Aborted when the close is over. */
  readonly over: AbortSignal;
}

/** Nothing polls faster, in milliseconds. */
const LOOK_EVERY = 1;

// A dump walks all sockets of the host: it may take a tenth of the time, no more.
const DUMP_SHARE = 10;

const LAST_TURNS = 100;

// To be read and answered, to send the end, to see it sent, and to close.
const TURNS_TO_SERVE = 4;

/** Who was still in the kernel when the listener was closed. */
export interface LeftInQueues {
  /** Handshakes that did not complete in time. */
  readonly abandoned: number;
  /** Connections that the program never accepted: the deadline came first, or it closed the listener itself. */
  readonly unaccepted: number;
}

/**
 * Lets the program go on accepting until nothing waits in the kernel, or until `handshakeWait` is over and only
 * handshakes that did not complete are left.
 */
export async function drainQueues(listener: Listener, gate: Gate, limits: DrainLimits): Promise<LeftInQueues> {
  if (gate === 'none') return drainOpenGate(listener, limits);
  const began = performance.now();
  let seenEmpty = false;
  let nextDump = 0;
  let halfOpen = 0;
  const queue = watchQueue(listener, limits);
  while (listener.isOpen()) {
    const queued = await queue.length();
    const waited = performance.now() - began;
    if (queued > 0) seenEmpty = false;
    // A dump walks all sockets of the host: it is asked for only when the queue is empty, and for a tenth of the time.
    else if (seenEmpty || waited >= nextDump) {
      halfOpen = countHalfOpen(listener);
      nextDump = waited + DUMP_SHARE * (performance.now() - began - waited);
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

/** A queue that is looked at again and again, and what was lost of it. */
interface WatchedQueue {
  readonly length: () => Promise<number>;
  readonly lost: (halfOpen: number) => LeftInQueues;
}

function watchQueue(listener: Listener, { queued: queuedAtGate, over }: DrainLimits): WatchedQueue {
  const { server } = listener;
  let arrived = 0;
  let remaining = queuedAtGate;
  const countArrival = (): void => {
    arrived += 1;
    remaining -= 1;
  };
  server.prependListener('connection', countArrival);
  server.prependListener('drop', countArrival);
  over.addEventListener('abort', () => {
    server.off('connection', countArrival);
    server.off('drop', countArrival);
  });
  return {
    length: async () => {
      const queued = listener.isOpen() ? countQueued(listener) : undefined;
      if (queued !== undefined) remaining = queued;
      return queued ?? (await countByTurns(listener));
    },
    // Those that have left the queue and did not arrive were thrown away: libuv does that when it has no descriptor left.
    lost: (halfOpen) => ({ abandoned: halfOpen, unaccepted: Math.max(0, remaining, queuedAtGate - arrived) }),
  };
}

/**
 * A close whose time is up still serves who is queued: a turn of the loop for each, in which one is accepted, and some for
 * the last one to be read, answered and ended; at most `LAST_TURNS` milliseconds of them.
 */
async function leaveAtDeadline(listener: Listener, queue: WatchedQueue): Promise<LeftInQueues> {
  const end = performance.now() + LAST_TURNS;
  const turns = (await queue.length()) + TURNS_TO_SERVE;
  for (let turnsTaken = 0; turnsTaken < turns && performance.now() < end; turnsTaken++) await turn();
  await queue.length();
  return queue.lost(countHalfOpen(listener));
}

async function pause(signal: AbortSignal): Promise<void> {
  await sleep(LOOK_EVERY, undefined, { signal }).catch(() => {});
}

/**
 * Where the kernel does not tell a queue's length (a Unix listener without unix_diag): the loop accepts at every turn as
 * long as somebody waits, and nobody new comes. Two turns without an arrival mean that nobody waits.
 */
async function countByTurns(listener: Listener): Promise<number> {
  let arrivals = 0;
  const count = (): void => {
    arrivals += 1;
  };
  listener.server.on('connection', count);
  await turn();
  await turn();
  listener.server.off('connection', count);
  return arrivals;
}
