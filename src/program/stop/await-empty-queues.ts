import { setTimeout as sleep } from 'node:timers/promises';
import { type Traffic, UNCLEAR_FOR } from '../gate/traffic.ts';
import { OwedClients } from './owed-clients.ts';

/** How long to wait until a program has emptied its queues. */
export interface WaitLimits {
  /** The longest wait, in ms. */
  readonly most: number;
  /** Returns false once the program has ended. */
  readonly isRunning: () => boolean;
  /** Aborted to end the wait at once. */
  readonly now: AbortSignal;
  readonly look: () => Pending;
}

/** The clients that a program still has to serve. */
export interface Pending extends Traffic {
  /** Clients in the accept queues. */
  readonly queued: number;
  /** Handshakes under way at the listeners whose gate is shut. */
  readonly halfOpen: number;
  /** Whether new clients still get in at a listener. */
  readonly isOpen: boolean;
}

// The kernel's clock ticks every 1 to 10 ms: two times are off by two ticks at most.
const TICKS = 20;
/** After this time the wait for kept connections that ask again and again ends, in ms: the unclear ones are quiet by then. */
const STILL_FOR: number = UNCLEAR_FOR + TICKS;
/** The same while handshakes are under way, in ms: a lost final ACK comes again after the second SYN-ACK retransmission, at 3 s. */
const HANDSHAKES_FOR = 3_500;

// The shortest pause between two looks, in ms.
const LOOK_EVERY = 5;
// A look walks all sockets of the host: it may take a twentieth of the time. One may take long by chance, two hardly.
const LOOK_SHARE = 20;

/**
 * Waits until the queues are empty and no client waits for an answer, so that the signal comes when the program has nothing left
 * to do. A slow program is waited for as long as a client is queued or owed an answer. Where new clients still get in, only those
 * of the first look are waited for, and then for a moment in which the queues are empty.
 */
export async function awaitEmptyQueues({ most, isRunning, now: atOnce, look }: WaitLimits): Promise<void> {
  const began = performance.now();
  let owed: OwedClients | undefined;
  let before: Pending | undefined;
  let movedAt = began;
  let wasIdle = false;
  let owedBefore = false;
  let tookBefore = 0;
  while (!atOnce.aborted && isRunning()) {
    const lookedAt = performance.now();
    const pending = look();
    const now = performance.now();
    owed ??= new OwedClients(pending.isOpen ? pending.open : undefined);
    const owes = [pending.queued, owed.count(pending.unanswered), owed.countFlowing(pending.unclear)].some(Boolean);
    // Clients come and go there: another look would let in others.
    if (pending.isOpen && !owes && pending.halfOpen === 0) return;
    const isIdle = !owes && pending.halfOpen === 0 && isQuiet(pending);
    // Only a second look sees a client that another processor was handling during the first.
    if (isIdle && wasIdle) return;
    wasIdle = isIdle;
    // The last answers came after the look before, which saw them owed.
    if (owes || owedBefore || pending.halfOpen !== before?.halfOpen) movedAt = now;
    before = pending;
    owedBefore = owes;
    if (now - movedAt >= (pending.halfOpen > 0 ? HANDSHAKES_FOR : STILL_FOR) || now - began >= most) return;
    const took = performance.now() - lookedAt;
    const pause = Math.max(LOOK_EVERY, Math.min(took, tookBefore) * (LOOK_SHARE - 1));
    tookBefore = took;
    await sleep(Math.min(pause, most - (now - began)), undefined, { signal: atOnce }).catch(() => {});
  }
}

function isQuiet({ unanswered, unclear, justUsed }: Pending): boolean {
  return unanswered.size === 0 && unclear.size === 0 && justUsed === 0;
}
