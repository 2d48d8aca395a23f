import type { Close } from '../close/close.ts';
import type { Gate, ListenerReport } from '../close/report.ts';
import { loadLibc } from '../linux/libc.ts';
import { awaitCookies, type CookieWait, mayHaveCookiesOut } from './syn-cookies.ts';
import { closeListenerOf } from './close-listener.ts';
import { sightingOf } from './listening.ts';
import { fileAt, pathOf } from '../linux/unix-path.ts';
import { countQueued } from './count-queues.ts';
import { drainQueues } from './drain-queues.ts';
import { makeRoom, type ShutGate, shutGate } from './gate/gate.ts';
import { countHalfOpen } from './half-open.ts';
import type { Listener } from './listener.ts';
import { type LeftInQueues, watchQueue } from './queue-length.ts';
import { DECLARED_SHARED, findSharing, type Sharing } from './sharing.ts';
import { SharedQueue } from './shared/queue.ts';

/** Whether a listener counts as shared, and why; a promise where that takes a while. */
export type FindSharing = typeof findSharing;

/** What was found when the gate shut. */
interface GateState extends ShutGate {
  /** When it had shut, on the clock of `performance.now()`. */
  readonly shutAt: number;
  readonly queued: number;
  readonly cookies: number;
  readonly cookieDoubt: () => string | undefined;
  /** Of one that counts as shared: who may serve its queue. */
  readonly holders: Sharing['holders'];
}

/** What became of a listener. */
export interface EndedListener {
  readonly report: ListenerReport;
  /** Connections in its queue that the program never accepted. */
  readonly unaccepted: number;
}

const NO_COOKIES = { out: 0, held: false, closedWith: 0, doubt: (): undefined => undefined };

/** How often a queue is looked at while its gate cannot be shut yet, in ms. */
const LOOK_EVERY = 5;

/** The queues of a shared listener live on with its other holders. */
const LEFT_TO_OTHERS: LeftInQueues = { abandoned: 0, unaccepted: 0 };

/**
 * Shuts the gate, lets the program empty the queues, closes the listener. The gate is shut before this function first
 * waits, unless SYN cookies may be out. What takes longer comes after that, when the gates of other listeners are shut, too.
 */
export async function endListener(
  listener: Listener,
  close: Close,
  sharing: FindSharing = findSharing,
): Promise<EndedListener> {
  const { ownGate, sharedGate } = close.options;
  const findHere = ownGate ? (): undefined => undefined : sharedGate ? () => DECLARED_SHARED : sharing;
  const state = await shutGateAt(listener, close, findHere);
  // The gates of those that are closed together are shut by now: one count does for all.
  const halfOpen = countHalfOpen(listener, state.shutAt);
  const shared = state.gate === 'shared' ? new SharedQueue(listener, state.holders) : undefined;
  const isLeftToOthers = (await shared?.serveFirst(state.queued, close)) ?? false;
  const atGate = { gate: state.gate, queued: state.queued, halfOpen, countedAt: performance.now(), isOurs: true };
  const { abandoned, unaccepted } = shared === undefined ? await drainQueues(listener, atGate, close) : LEFT_TO_OTHERS;
  const doubt = state.cookieDoubt();
  if (doubt !== undefined) close.noteDoubt(doubt);
  if (listener.server !== undefined && listener.isOpen())
    closeListenerOf(listener.server, pathToKeep(listener, isLeftToOthers));
  const closedAfter = close.clock.elapsed();
  const left = (await shared?.leave(close)) ?? 0;
  const report = { address: listener.name, ...gateFacts(state), halfOpen, abandoned, left, closedAfter };
  close.diagnostics.listener.publish(report);
  return { report, unaccepted };
}

/** A path that must stay when the listener is closed: others serve it, or a successor has put its own in its place. */
function pathToKeep({ address, server }: Listener, isLeftToOthers: boolean): string | undefined {
  const path = pathOf(address);
  const own = server && sightingOf(server)?.file;
  const isReplaced = own !== undefined && path !== undefined && fileAt(path) !== own;
  return isLeftToOthers || isReplaced ? path : undefined;
}

function shutGateAt(listener: Listener, close: Close, sharing: FindSharing): GateState | Promise<GateState> {
  const shared = sharing(listener, close.clock);
  const mustWait = shared instanceof Promise || (shared === undefined && mayHaveCookiesOut(listener));
  return mustWait ? shutLater(listener, close, sharing, shared) : shutNow(listener, close, shared, NO_COOKIES);
}

/** After the search for other holders, and after SYN cookies, where they take a while. */
async function shutLater(
  listener: Listener,
  close: Close,
  sharing: FindSharing,
  searched: ReturnType<FindSharing>,
): Promise<GateState> {
  // If the program closes the listener meanwhile, the report must say who was in its queue.
  const queued = countQueued(listener) ?? 0;
  const queue = watchQueue(listener, { queued, isOurs: false }, close.clock.over);
  const look = (): void => void queue.length();
  const looking = setInterval(look, LOOK_EVERY);
  const closedWith = (): number => (listener.isOpen() ? 0 : queue.lost(0).unaccepted);
  try {
    const shared = await searched;
    if (shared !== undefined || !mayHaveCookiesOut(listener))
      return shutNow(listener, close, shared, { ...NO_COOKIES, closedWith: closedWith() });
    const { handshakeWait, deadline } = close.options;
    const bounds = { usual: handshakeWait, overflowed: Math.max(handshakeWait, deadline / 3) };
    const { out, held, doubt, ...wait } = await awaitCookies(listener, bounds, close.clock.deadline, look);
    // It may have been passed on meanwhile.
    const sharedNow = await sharing(listener, close.clock);
    const state = shutNow(listener, close, sharedNow, { out, held, closedWith: closedWith(), doubt });
    if (state.gate !== 'hold') wait.release();
    return state;
  } finally {
    clearInterval(looking);
  }
}

function shutNow(
  listener: Listener,
  close: Close,
  shared: Sharing | undefined,
  cookies: Pick<CookieWait, 'out' | 'held' | 'doubt'> & { readonly closedWith: number },
): GateState {
  const fd = listener.descriptor();
  const shut = shutGate(fd, {
    sharedBecause: shared?.reason,
    noSystemCalls: whyNoSystemCalls(fd),
    family: listener.address?.family,
    newConnections: close.options.newConnections,
  });
  // Counted before anything else happens: this is what a plain close would have reset.
  const state = {
    ...shut,
    shutAt: performance.now(),
    queued: countQueued(listener) ?? cookies.closedWith,
    cookies: cookies.out,
    cookieDoubt: cookies.doubt,
    holders: shared?.holders ?? [],
  };
  if (listener.server !== undefined && !cookies.held && shut.gate !== 'hold') close.unfiltered.add(listener.server);
  close.diagnostics.gate.publish({ address: listener.name, ...gateFacts(state) });
  if (fd !== undefined && isTcpGate(shut.gate)) makeRoom(fd);
  return state;
}

function gateFacts(state: GateState): Pick<ListenerReport, 'gate' | 'reason' | 'queued' | 'cookies'> {
  const { gate, reason, queued, cookies } = state;
  return { gate, ...(reason === undefined ? {} : { reason }), queued, cookies };
}

function isTcpGate(gate: Gate): boolean {
  return gate === 'refuse' || gate === 'hold';
}

function whyNoSystemCalls(fd: number | undefined): string | undefined {
  const loaded = loadLibc();
  if (!loaded.available) return loaded.reason;
  return fd === undefined ? 'its descriptor was not found' : undefined;
}
