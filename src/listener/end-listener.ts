import net from 'node:net';
import { loadLibc } from '../linux/libc.ts';
import { awaitCookies, type CookieBounds, mayHaveCookiesOut } from './cookies.ts';
import { countHalfOpen, countQueued } from './count-queues.ts';
import { drainQueues, type LeftInQueues, type Queues } from './drain-queues.ts';
import { type Gate, makeRoom, type ShutGate, shutGate } from './gate.ts';
import type { Listener } from './listener.ts';
import { findSharing } from './sharing.ts';

/** How to end a listener. Times are in milliseconds. */
export interface EndListenerOptions {
  readonly newConnections: 'refuse' | 'hold';
  /** The caller's word that nobody else holds the socket. */
  readonly ownGate: boolean;
  readonly handshakeWait: number;
  readonly cookieBounds: CookieBounds;
  /** Aborted when the close must be over. */
  readonly signal: AbortSignal;
  /** Called right after the gate shut; what is half-open is counted afterwards, which takes longer. */
  readonly onGate?: (state: GateState) => void;
  readonly onLook?: (queues: Queues) => void;
}

/** What was found when the gate shut. */
export interface GateState extends ShutGate {
  readonly queued: number;
  readonly cookies: number;
  /** Connections accepted from now on inherit the filter of a held gate. */
  readonly filtered: boolean;
}

/** What became of a listener. */
export interface EndedListener extends GateState, LeftInQueues {
  readonly halfOpen: number;
}

type ShutListener = GateState & Pick<EndedListener, 'halfOpen'>;

/** The queues of a shared listener live on with its other holders. */
const LEFT_TO_THE_OTHERS: LeftInQueues = { abandoned: 0, unaccepted: 0 };

/**
 * Shuts the gate, lets the program empty the queues, closes the listener. The gate is shut before this function first
 * waits, unless SYN cookies may be out.
 */
export async function endListener(listener: Listener, options: EndListenerOptions): Promise<EndedListener> {
  const state = await shutGateAt(listener, options);
  const left = state.gate === 'shared' ? LEFT_TO_THE_OTHERS : await drainQueues(listener, state.gate, options);
  closeListener(listener.server);
  return { ...state, ...left };
}

function shutGateAt(listener: Listener, options: EndListenerOptions): ShutListener | Promise<ShutListener> {
  const sharedBecause = options.ownGate ? undefined : findSharing(listener);
  if (sharedBecause === undefined && mayHaveCookiesOut(listener)) return shutAfterCookies(listener, options);
  return shutNow(listener, options, sharedBecause, 0, false);
}

async function shutAfterCookies(listener: Listener, options: EndListenerOptions): Promise<ShutListener> {
  const wait = await awaitCookies(listener, options.cookieBounds, options.signal);
  const state = shutNow(listener, options, undefined, wait.out, wait.held);
  if (state.gate !== 'hold') wait.release();
  return state;
}

function shutNow(
  listener: Listener,
  options: EndListenerOptions,
  sharedBecause: string | undefined,
  cookies: number,
  filtered: boolean,
): ShutListener {
  const fd = listener.descriptor();
  const shut = shutGate(fd, {
    sharedBecause,
    noSystemCalls: whyNoSystemCalls(fd),
    family: listener.address?.family,
    newConnections: options.newConnections,
  });
  // Counted before anything else happens: this is what a plain close would have reset.
  const state = { ...shut, queued: countQueued(listener) ?? 0, cookies, filtered: filtered || shut.gate === 'hold' };
  options.onGate?.(state);
  const halfOpen = countHalfOpen(listener);
  if (fd !== undefined && isTcpGate(shut.gate)) makeRoom(fd);
  return { ...state, halfOpen };
}

function isTcpGate(gate: Gate): boolean {
  return gate === 'refuse' || gate === 'hold';
}

function whyNoSystemCalls(fd: number | undefined): string | undefined {
  const loaded = loadLibc();
  if (!loaded.available) return loaded.reason;
  return fd === undefined ? 'its descriptor was not found' : undefined;
}

/** Closes the listener alone: http's own close would first destroy the idle connections, next requests and all. */
function closeListener(server: net.Server): void {
  if (server.listening) net.Server.prototype.close.call(server);
}
