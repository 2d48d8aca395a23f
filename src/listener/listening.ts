import { subscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { hasChildren } from '../linux/process/processes.ts';
import { loadLibc } from '../linux/libc.ts';
import { sampleLosses } from '../linux/losses.ts';
import { type CookieCounters, readCookieCounters, releaseCookieCounters } from '../linux/tables/tcp-counters.ts';
import { countListenDrops } from '../linux/sockets.ts';
import { activeHandles, isPassingHandleUp, onHandlePassedUp } from '../node/fields.ts';
import { CookieSamples } from './syn-cookie-samples.ts';
import { findListener, type Listener } from './listener.ts';
import { findOrigin, type Origin } from './origin.ts';
import { fileAt, pathOf } from '../linux/unix-path.ts';

/** What is known of a server since it began to listen. */
export interface Sighting {
  readonly listener: Listener;
  /** Found in the same turn of the loop: Node sets its own mark after the diagnostics channel has published. */
  origin: Origin | undefined;
  /** It asked for a socket of its own, also in a cluster worker. */
  readonly exclusive: boolean;
  /** The file of a Unix listener. */
  readonly file: string | undefined;
  /** Taken then, and once a minute from then on. */
  readonly cookies: CookieSamples;
}

/** How often SYN cookies and lost segments are counted while a server listens, in ms; about 0.3 ms of work each time. */
const SAMPLE_EVERY = 60_000;

const sightings = new WeakMap<net.Server, Sighting>();
const exclusiveServers = new WeakSet<net.Server>();
const listening = new Set<net.Server>();
let sampling: NodeJS.Timeout | undefined;
let hasPassedUp = false;
let hasStartedChild = false;

/** What is known of a server since it began to listen; undefined if that was before lastcall was imported. */
export function sightingOf(server: net.Server): Sighting | undefined {
  return sightings.get(server);
}

/** The listening socket of a server; undefined if it does not listen. */
export function listenerOf(server: net.Server): Listener | undefined {
  if (!server.listening) return undefined;
  return sightingOf(server)?.listener ?? findListener(server);
}

/** The listening sockets of those servers that have one. */
export function listenersOf(servers: readonly net.Server[]): readonly Listener[] {
  return servers.map(listenerOf).filter((listener) => listener !== undefined);
}

/** Whether the server's handle may have gone to the parent, by a message. What went before the import is not known. */
export function mayHavePassedUp(server: net.Server): boolean {
  return hasPassedUp || isPassingHandleUp() || (process.send !== undefined && sightingOf(server) === undefined);
}

/** Whether this process has or had children that may have inherited a handle, or been sent it, and may have passed it on. */
export function mayHavePassedDown(): boolean {
  return hasStartedChild || hasChildren();
}

/** Every server that listens: those seen to begin to, and those from before the import that keep the process alive. */
export function listeningServers(): readonly net.Server[] {
  const active = activeHandles().filter((handle) => handle instanceof net.Server);
  return [...new Set([...listening, ...active])].filter((server) => server.listening);
}

/**
 * From now on prepares each server that begins to listen: the C library is loaded, for at SIGTERM a deploy may have replaced
 * node_modules; SYN cookies are counted; and `onFirstSight` is called.
 */
export function watchListeners(onFirstSight: (server: net.Server) => void): void {
  onHandlePassedUp(() => {
    hasPassedUp = true;
  });
  subscribe('child_process', () => {
    hasStartedChild = true;
  });
  subscribe('tracing:net.server.listen:asyncStart', (message) => {
    const server = serverIn(message);
    if (server === undefined) return;
    // Before the kernel lets the first client in.
    loadLibc();
    if (asksForOwnSocket(message)) exclusiveServers.add(server);
    else exclusiveServers.delete(server);
  });
  subscribe('tracing:net.server.listen:asyncEnd', (message) => {
    const server = serverIn(message);
    if (server === undefined) return;
    prepare(server);
    onFirstSight(server);
  });
}

function prepare(server: net.Server): void {
  const listener = findListener(server);
  const exclusive = exclusiveServers.has(server);
  const path = pathOf(listener.address);
  const file = path === undefined ? undefined : fileAt(path);
  const sighting: Sighting = { listener, origin: undefined, exclusive, file, cookies: new CookieSamples() };
  sightings.set(server, sighting);
  sample(sighting, readCookieCounters());
  process.nextTick(() => {
    sighting.origin = findOrigin(listener, exclusive);
  });
  if (listening.has(server)) return;
  listening.add(server);
  server.once('close', () => {
    listening.delete(server);
    releaseIfNobodyListens();
  });
  if (sampling === undefined) sampleLosses();
  sampling ??= setInterval(sampleAll, SAMPLE_EVERY).unref();
}

/** Releases what is kept ready for a close, unless a server still listens. */
export function releaseIfNobodyListens(): void {
  // The server of a cluster primary has its handle taken away, and is never heard of again.
  for (const server of listening) if (!server.listening) listening.delete(server);
  if (listening.size > 0) return;
  clearInterval(sampling);
  sampling = undefined;
  releaseCookieCounters();
}

function sampleAll(): void {
  releaseIfNobodyListens();
  if (listening.size === 0) return;
  sampleLosses();
  const counters = readCookieCounters();
  for (const server of listening) {
    const sighting = sightingOf(server);
    if (sighting !== undefined) sample(sighting, counters);
  }
}

function sample({ listener, cookies }: Sighting, counters: CookieCounters | undefined): void {
  cookies.add({ at: performance.now(), cookies: counters, drops: countDrops(listener) });
}

/** How many clients the listener's full accept queue has turned away; 0 where that cannot be known. */
export function countDrops(listener: Listener): number {
  const fd = listener.descriptor();
  try {
    return fd === undefined ? 0 : countListenDrops(fd);
  } catch {
    return 0;
  }
}

function serverIn(message: unknown): net.Server | undefined {
  const server: unknown =
    typeof message === 'object' && message !== null && 'server' in message ? message.server : undefined;
  return server instanceof net.Server ? server : undefined;
}

function asksForOwnSocket(message: unknown): boolean {
  const options: unknown =
    typeof message === 'object' && message !== null && 'options' in message ? message.options : undefined;
  // net.Server.listen: reusePort implies a socket of the worker's own.
  return (
    typeof options === 'object' && options !== null && (isTrue(options, 'exclusive') || isTrue(options, 'reusePort'))
  );
}

function isTrue(options: object, name: string): boolean {
  return Reflect.get(options, name) === true;
}
