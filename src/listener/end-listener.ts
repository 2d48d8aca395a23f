import { loadLibc } from '../linux/libc.ts';
import { awaitCookies, type CookieBounds, mayHaveCookiesOut } from './cookies.ts';
import { countQueued } from './count-queues.ts';
import { drainQueues } from './drain-queues.ts';
import { type Gate, makeRoom, type ShutGate, shutGate } from './gate/gate.ts';
import { countHalfOpen } from './half-open.ts';
import type { Listener } from './listener.ts';
import { closeListenerOf } from './close-listener.ts';
import { isServedByOthers, type Sharing } from './sharing.ts';
import { type LeftInQueues, watchQueue } from './queue-length.ts';

/** How to end a listener. Times are in milliseconds. */
export interface EndListenerOptions {
  readonly newConnections: 'refuse' | 'hold';
  /** Whether the listener counts as shared, and why. */
  readonly findSharing: (listener: Listener) => Sharing | undefined;
  readonly handshakeWait: number;
  readonly cookieBounds: CookieBounds;
  /** Aborted when the close must be over. */
  readonly signal: AbortSignal;
  /** Aborted when it is. */
  readonly over: AbortSignal;
  /** Called right after the gate shut; what is half-open is counted afterwards, which takes longer. */
  readonly onGate?: (state: GateState) => void;
}

/** What was found when the gate shut. */
export interface GateState extends ShutGate {
  /** When it had shut, on the clock of `performance.now()`. */
  readonly shutAt: number;
  readonly queued: number;
  readonly cookies: number;
  /** Connections accepted from now on inherit the filter of a held gate. */
  readonly filtered: boolean;
  /** Of one that counts as shared: whether somebody was found who holds it, too. */
  readonly holder: Sharing['holder'];
}

/** What became of a listener. */
export interface EndedListener extends GateState, LeftInQueues {
  readonly halfOpen: number;
}

/** The queues of a shared listener live on with its other holders. */
const LEFT_TO_THE_OTHERS: LeftInQueues = { abandoned: 0, unaccepted: 0 };

/**
 * Shuts the gate, lets the program empty the queues, closes the listener. The gate is shut before this function first
 * waits, unless SYN cookies may be out; what takes longer comes after that, when other listeners' gates are shut, too.
 */
export async function endListener(listener: Listener, options: EndListenerOptions): Promise<EndedListener> {
  const state = await shutGateAt(listener, options);
  // The gates of those that are closed together are shut by now: one count does for all.
  const halfOpen = countHalfOpen(listener, state.shutAt);
  const left = await leaveQueues(listener, { ...state, halfOpen }, options);
  if (listener.isOpen()) closeListenerOf(listener.server);
  return { ...state, halfOpen, ...left };
}

async function leaveQueues(
  listener: Listener,
  state: GateState & { readonly halfOpen: number },
  options: EndListenerOptions,
): Promise<LeftInQueues> {
  // Shared with nobody that can be found, the queue may be ours alone: it is served as well as one can without a gate.
  if (state.gate === 'shared' && (await isServedByOthers(listener, state.holder))) return LEFT_TO_THE_OTHERS;
  const { handshakeWait, signal, over } = options;
  const isOurs = state.gate !== 'shared';
  const gate = isOurs ? state.gate : 'none';
  const { queued, halfOpen } = state;
  const countedAt = performance.now();
  return drainQueues(listener, gate, { queued, halfOpen, countedAt, isOurs, handshakeWait, signal, over });
}

function shutGateAt(listener: Listener, options: EndListenerOptions): GateState | Promise<GateState> {
  const sharing = options.findSharing(listener);
  if (sharing === undefined && mayHaveCookiesOut(listener)) return shutAfterCookies(listener, options);
  return shutNow(listener, options, sharing, { out: 0, held: false, closedWith: 0 });
}

async function shutAfterCookies(listener: Listener, options: EndListenerOptions): Promise<GateState> {
  // Of a listener that the program closes meanwhile the report must tell who was in its queue.
  const queued = countQueued(listener) ?? 0;
  const queue = watchQueue(listener, { queued, isOurs: false, over: options.over });
  const look = (): void => void queue.length();
  const { out, held, ...wait } = await awaitCookies(listener, options.cookieBounds, options.signal, look);
  const closedWith = listener.isOpen() ? 0 : queue.lost(0).unaccepted;
  // It may have been passed on meanwhile.
  const state = shutNow(listener, options, options.findSharing(listener), { out, held, closedWith });
  if (state.gate !== 'hold') wait.release();
  return state;
}

function shutNow(
  listener: Listener,
  options: EndListenerOptions,
  sharing: Sharing | undefined,
  cookies: { readonly out: number; readonly held: boolean; readonly closedWith: number },
): GateState {
  const fd = listener.descriptor();
  const shut = shutGate(fd, {
    sharedBecause: sharing?.reason,
    noSystemCalls: whyNoSystemCalls(fd),
    family: listener.address?.family,
    newConnections: options.newConnections,
  });
  // Counted before anything else happens: this is what a plain close would have reset.
  const state = {
    ...shut,
    shutAt: performance.now(),
    queued: countQueued(listener) ?? cookies.closedWith,
    cookies: cookies.out,
    filtered: cookies.held || shut.gate === 'hold',
    holder: sharing?.holder ?? 'not found',
  };
  options.onGate?.(state);
  if (fd !== undefined && isTcpGate(shut.gate)) makeRoom(fd);
  return state;
}

function isTcpGate(gate: Gate): boolean {
  return gate === 'refuse' || gate === 'hold';
}

function whyNoSystemCalls(fd: number | undefined): string | undefined {
  const loaded = loadLibc();
  if (!loaded.available) return loaded.reason;
  return fd === undefined ? 'its descriptor was not found' : undefined;
}
