import { subscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import { type CookieCounters, readCookieCounters } from '../linux/proc-net.ts';
import { loadLibc } from '../linux/libc.ts';

/** What was learned of a server when it began to listen. */
export interface Sighting {
  /** The host's SYN cookies by then: only what is sent later can be out at the close. */
  readonly cookies: CookieCounters | undefined;
  /** It asked for a socket of its own, also in a cluster worker. */
  readonly exclusive: boolean;
}

const sightings = new WeakMap<net.Server, Sighting>();
const exclusiveServers = new WeakSet<net.Server>();
const listening = new Set<net.Server>();

/** What is known of a server since it began to listen; undefined if that was before lastcall was imported. */
export function sightingOf(server: net.Server): Sighting | undefined {
  return sightings.get(server);
}

/** Every server seen to begin to listen that has not closed since. */
export function listeningServers(): readonly net.Server[] {
  return [...listening].filter((server) => server.listening);
}

/**
 * Watches servers begin to listen, from now on. What a close will need is made ready then: the C library is loaded,
 * for at SIGTERM a deploy may have replaced node_modules, the sample of SYN cookies is taken, and `onFirstSight` is called.
 */
export function watchListeners(onFirstSight: (server: net.Server) => void): void {
  subscribe('tracing:net.server.listen:asyncStart', (message) => {
    const server = serverIn(message);
    if (server !== undefined && asksForOwnSocket(message)) exclusiveServers.add(server);
  });
  subscribe('tracing:net.server.listen:asyncEnd', (message) => {
    const server = serverIn(message);
    if (server === undefined) return;
    prepare(server);
    onFirstSight(server);
  });
}

function prepare(server: net.Server): void {
  loadLibc();
  sightings.set(server, { cookies: readCookieCounters(), exclusive: exclusiveServers.has(server) });
  if (listening.has(server)) return;
  listening.add(server);
  server.once('close', () => listening.delete(server));
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
