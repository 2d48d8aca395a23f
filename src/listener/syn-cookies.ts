import { counted } from '../counted.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { readSysctl } from '../linux/sysctl.ts';
import { type CookieCounters, readCookieCounters } from '../linux/tables/tcp-counters.ts';
import { endHold, holdNewConnections } from './gate/hold.ts';
import { Pace } from '../pace.ts';
import { makeRoom } from './gate/gate.ts';
import type { Listener } from './listener.ts';
import type { CookieSample } from './syn-cookie-samples.ts';
import { countDrops, sightingOf } from './listening.ts';

/** How long to look whether cookies are being sent, in ms, where the server listened before lastcall was imported. */
const SECOND_LOOK = 100;

/** How long no cookie must have come back, in ms: a little over one round trip of a distant client. */
const STILL_FOR = 200;

/**
 * A cookie's ACK that meets a full accept queue is dropped without a trace, and the client sends it again with its data,
 * after a time-out that doubles: 0.2, 0.4 … 6.4 s. Such clients are silent for longer. A flood leaves none: it sends no ACK.
 * The longer the queue has been full, the longer they may be: at most for as long again, and a first time-out more.
 */
const STILL_FOR_AFTER_OVERFLOW = 7_000;
const FIRST_TIMEOUT = 1_000;

const LOOK_EVERY = 10;

/** How long to wait for cookies at the most, in milliseconds. */
export interface CookieBounds {
  readonly usual: number;
  /** Where this listener's accept queue has overflowed. */
  readonly overflowed: number;
}

/**
 * Whether SYN cookies may be out: clients that have their SYN-ACK while the kernel keeps no state of them. If the gate shut,
 * their final ACK would find no listener and be reset. Cheap. False on a host that has sent none since we listen, or lately.
 */
export function mayHaveCookiesOut(listener: Listener): boolean {
  if (listener.address === undefined || listener.address.family === 'Unix' || listener.descriptor() === undefined)
    return false;
  const now = readCookieCounters();
  return now !== undefined && now.sent > (sampleBefore(listener)?.cookies?.sent ?? 0);
}

/** The result of a wait for SYN cookies. */
export interface CookieWait {
  /** Cookies that were out when the wait began: the growth of those sent less that of those that came back. */
  readonly out: number;
  /** New SYNs were held back meanwhile; `release` ends that, once the gate is shut. */
  readonly held: boolean;
  readonly release: () => void;
  /** Why a client with a cookie may have been lost, asked when the listener closes; undefined if none can have been. */
  readonly doubt: () => string | undefined;
}

const NO_COOKIES: CookieWait = { out: 0, held: false, release: () => {}, doubt: () => undefined };

/**
 * Waits until the cookies that are out have come back, or `bounds` are over. A larger backlog keeps the kernel from making new
 * ones (tcp_conn_request, net/ipv4/tcp_input.c). Where tcp_syncookies=2 makes them always, new SYNs are held back meanwhile, if
 * the process may do so. `onLook` is called at each look.
 */
export async function awaitCookies(
  listener: Listener,
  bounds: CookieBounds,
  signal: AbortSignal,
  onLook: () => void,
): Promise<CookieWait> {
  const sample = sampleBefore(listener);
  const before = sample?.cookies ?? (await lookTwice(signal));
  const now = readCookieCounters();
  if (before === undefined || now === undefined || now.sent <= before.sent) return NO_COOKIES;
  const held = stopNewCookies(listener);
  const overflowed = countDrops(listener) > (sample?.drops ?? 0);
  const isStill = await untilStill(
    overflowed ? stillAfterOverflow(listener) : STILL_FOR,
    overflowed ? bounds.overflowed : bounds.usual,
    signal,
    onLook,
  );
  return {
    out: countOut(before, now),
    held,
    doubt: () => {
      const out = countOut(before, readCookieCounters() ?? now);
      if (out > 0) return `${listener.name}: ${counted(out, 'SYN cookie')} had not come back when it closed`;
      // The kernel counts a cookie that meets a full queue each time it comes.
      return overflowed && !isStill ? `${listener.name}: SYN cookies still came back when it closed` : undefined;
    },
    release: () => {
      const fd = listener.descriptor();
      if (held && fd !== undefined) endHold(fd);
    },
  };
}

function countOut(before: CookieCounters, now: CookieCounters): number {
  return Math.max(0, now.sent - before.sent - (now.received - before.received));
}

function stillAfterOverflow({ server }: Listener): number {
  const now = performance.now();
  const since = server && sightingOf(server)?.cookies.overflowedAfter(now);
  return Math.max(STILL_FOR_AFTER_OVERFLOW, since === undefined ? 0 : now - since + FIRST_TIMEOUT);
}

function sampleBefore(listener: Listener): CookieSample | undefined {
  const { server } = listener;
  return server && sightingOf(server)?.cookies.before(performance.now());
}

async function lookTwice(signal: AbortSignal): Promise<CookieCounters | undefined> {
  const first = readCookieCounters();
  await pause(SECOND_LOOK, signal);
  return first;
}

function stopNewCookies(listener: Listener): boolean {
  const fd = listener.descriptor();
  if (fd === undefined) return false;
  makeRoom(fd);
  return readSysctl('net.ipv4.tcp_syncookies') === 2 && tryHold(fd);
}

function tryHold(fd: number): boolean {
  try {
    holdNewConnections(fd);
    return true;
  } catch {
    return false;
  }
}

/** Returns whether no cookie has come back for `stillFor` ms. */
async function untilStill(stillFor: number, bound: number, signal: AbortSignal, onLook: () => void): Promise<boolean> {
  const began = performance.now();
  const pace = new Pace();
  let received = readCookieCounters()?.received;
  let since = began;
  while (!signal.aborted && performance.now() - since < stillFor && performance.now() - began < bound) {
    await pause(Math.max(LOOK_EVERY, pace.wait), signal);
    onLook();
    const now = pace.measure(readCookieCounters)?.received;
    if (now === received) continue;
    received = now;
    since = performance.now();
  }
  return performance.now() - since >= stillFor;
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  await sleep(milliseconds, undefined, { signal }).catch(() => {});
}
