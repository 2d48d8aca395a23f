import type http from 'node:http';
import net from 'node:net';
import { serverOf } from '../../node/fields.ts';
import { followFrames } from '../websocket/outgoing-frames.ts';
import { isHttp1Server } from './server.ts';

/** What ends the HTTP/1.1 on a connection. */
const CHANGES = ['upgrade', 'connect'] as const;

/** Connections on which a client has asked for the WebSocket protocol, as the program has them. */
const webSockets = new WeakSet<net.Socket>();
/** Those of them whose client has offered extensions (RFC 6455 9.1), permessage-deflate for one. */
const extended = new WeakSet<net.Socket>();
/** How many bytes had been sent on a connection when its client asked for another protocol, or a tunnel. */
const sentBefore = new WeakMap<net.Socket, number>();
/** How many had been read by then, of what belongs to HTTP/1.1. */
const readBefore = new WeakMap<net.Socket, number>();
/** When its client asked for that, on the clock of `performance.now()`. */
const askedAt = new WeakMap<net.Socket, number>();
/** WebSockets of Engine.IO (socket.io), by the parameter that its clients put into the address. */
const engines = new WeakSet<net.Socket>();
const watched = new WeakSet<net.Server>();

/**
 * From now on remembers which connections of an HTTP/1.1 server become WebSockets, or something else. Where nobody listens for
 * 'upgrade', Node treats a request to upgrade like any other. So our listener is there only while the program has one; the
 * same holds for 'connect'. It costs nothing but at an upgrade.
 */
export function watchUpgrades(server: net.Server): void {
  if (watched.has(server)) return;
  watched.add(server);
  for (const event of CHANGES) if (server.listenerCount(event) > 0) addOurs(server, event);
  server.on('newListener', (event) => {
    if (isChange(event) && !server.listeners(event).includes(remember)) addOurs(server, event);
  });
  server.on('removeListener', (event) => {
    if (isChange(event) && server.listenerCount(event) === 1) server.off(event, remember);
  });
}

/** Whether a client has asked for the WebSocket protocol on this connection (the program's socket). */
export function isWebSocket(program: net.Socket): boolean {
  return webSockets.has(program);
}

/** Whether the client of a WebSocket has offered extensions, which the program may have accepted. */
export function offersExtensions(program: net.Socket): boolean {
  return extended.has(program);
}

/** Whether a WebSocket is one of Engine.IO. */
export function isEngine(program: net.Socket): boolean {
  return engines.has(program);
}

/** How many bytes the client has sent in what is spoken now, after an upgrade without what it said before. */
export function bytesSpoken(program: net.Socket): number {
  return program.bytesRead - (readBefore.get(program) ?? 0);
}

/** For how long a client that has asked for another protocol has said nothing in it, in ms; infinite if it has, or did not ask. */
export function silentSinceUpgrade(program: net.Socket): number {
  const at = askedAt.get(program);
  return at === undefined || bytesSpoken(program) > 0 ? Number.POSITIVE_INFINITY : performance.now() - at;
}

/** Whether a client has asked for another protocol on this connection, or for a tunnel. */
export function hasAskedForChange(program: net.Socket): boolean {
  return sentBefore.has(program);
}

/** Whether a client's request for another protocol, or for a tunnel, is still to be answered. */
export function awaitsChange(program: net.Socket): boolean {
  const before = sentBefore.get(program);
  if (before !== undefined) return program.bytesWritten === before;
  // Where the request came before lastcall was imported: it is answered if anything was.
  const server = serverOf(program);
  const isHttp = server instanceof net.Server && isHttp1Server(server);
  return isHttp && program.bytesRead > 0 && program.bytesWritten === 0;
}

function isChange(event: string | symbol): event is (typeof CHANGES)[number] {
  return event === 'upgrade' || event === 'connect';
}

function addOurs(server: net.Server, event: (typeof CHANGES)[number]): void {
  // Our own listener emits 'newListener', too, before it is added.
  if (adding.has(server)) return;
  adding.add(server);
  server.prependListener(event, remember);
  adding.delete(server);
}

const adding = new WeakSet<net.Server>();

function remember(request: http.IncomingMessage, socket: unknown, head: unknown): void {
  if (!(socket instanceof net.Socket)) return;
  sentBefore.set(socket, socket.bytesWritten);
  askedAt.set(socket, performance.now());
  readBefore.set(socket, socket.bytesRead - (head instanceof Uint8Array ? head.length : 0));
  const asked = request.headers.upgrade?.split(',').some((name) => name.trim().toLowerCase() === 'websocket');
  if (asked !== true || request.method === 'CONNECT') return;
  webSockets.add(socket);
  followFrames(socket);
  if (/[?&]EIO=\d/.test(request.url ?? '')) engines.add(socket);
  if (request.headers['sec-websocket-extensions'] !== undefined) extended.add(socket);
}
