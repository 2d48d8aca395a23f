import net from 'node:net';
import { httpSockets, socketBelow } from '../../node/fields.ts';
import { connectionsOf } from '../open-connections.ts';

/** The TLS socket over each TCP connection whose handshake is done. */
const secureSockets = new WeakMap<net.Socket, net.Socket>();
/** The connections of each TLS server from before it was watched: whether their handshakes are done is not known. */
const strangersOf = new WeakMap<net.Server, WeakSet<net.Socket>>();

/** From now on remembers the TLS sockets of a TLS server. Does nothing for another server, or a second time. */
export function watchHandshakes(server: net.Server): void {
  if (!isTlsServer(server) || strangersOf.has(server)) return;
  strangersOf.set(server, new WeakSet(connectionsOf(server)));
  server.prependListener('secureConnection', rememberSecure);
  for (const socket of httpSockets(server)) if (socket instanceof net.Socket) rememberSecure(socket);
}

/** Calls back for each TLS connection whose handshake is done, until `signal` aborts. */
export function watchSecured(server: net.Server, onSecured: (socket: net.Socket) => void, signal: AbortSignal): void {
  if (!isTlsServer(server)) return;
  server.prependListener('secureConnection', onSecured);
  signal.addEventListener('abort', () => server.off('secureConnection', onSecured));
}

/** The socket that the program sees: the TLS socket over this TCP connection once its handshake is done, else itself. */
export function programSocket(socket: net.Socket): net.Socket {
  return secureSockets.get(socket) ?? socket;
}

/** The TCP socket under the one that the program sees. */
export function transportSocket(program: net.Socket): net.Socket {
  const below = socketBelow(program);
  return below instanceof net.Socket ? below : program;
}

/** Whether the client of a TLS server has begun its handshake, which may take long: a program may fetch the certificate. */
export function isHandshaking(server: net.Server, socket: net.Socket): boolean {
  if (!isTlsServer(server) || socket.bytesRead === 0) return false;
  return !secureSockets.has(socket) && strangersOf.get(server)?.has(socket) !== true;
}

export function isTlsServer(server: net.Server): boolean {
  return 'setSecureContext' in server;
}

function rememberSecure(socket: net.Socket): void {
  const below = socketBelow(socket);
  if (below instanceof net.Socket) secureSockets.set(below, socket);
}
