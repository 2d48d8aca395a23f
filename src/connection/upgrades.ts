import type http from 'node:http';
import net from 'node:net';

/** Connections on which a client has asked for the WebSocket protocol, as the program has them. */
const webSockets = new WeakSet<net.Socket>();
/** Those of them whose client has offered extensions (RFC 6455 9.1), permessage-deflate for one. */
const extended = new WeakSet<net.Socket>();
const watched = new WeakSet<net.Server>();

/**
 * Begins to remember which connections of an HTTP/1.1 server became WebSockets. An 'upgrade' listener of ours alone would
 * change what the server does (Node treats a request to upgrade as any other where nobody listens), so there is one only
 * as long as the program has one. It costs nothing but on an upgrade.
 */
export function watchUpgrades(server: net.Server): void {
  if (watched.has(server)) return;
  watched.add(server);
  if (server.listenerCount('upgrade') > 0) server.prependListener('upgrade', remember);
  server.on('newListener', (event) => {
    if (event === 'upgrade' && !isListening(server)) addOurs(server);
  });
  server.on('removeListener', (event) => {
    if (event === 'upgrade' && server.listenerCount('upgrade') === 1) server.off('upgrade', remember);
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

function isListening(server: net.Server): boolean {
  return server.listeners('upgrade').includes(remember);
}

function addOurs(server: net.Server): void {
  // The event of our own listener is the next one, and finds it not there yet.
  if (adding.has(server)) return;
  adding.add(server);
  server.prependListener('upgrade', remember);
  adding.delete(server);
}

const adding = new WeakSet<net.Server>();

function remember(request: http.IncomingMessage, socket: unknown): void {
  const asked = request.headers.upgrade?.split(',').some((name) => name.trim().toLowerCase() === 'websocket');
  if (asked !== true || !(socket instanceof net.Socket)) return;
  webSockets.add(socket);
  if (request.headers['sec-websocket-extensions'] !== undefined) extended.add(socket);
}
