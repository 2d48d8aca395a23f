import net from 'node:net';
import { detachFilter } from '../linux/filter.ts';
import type { Peer } from './peer.ts';
import { acceptorOf, activeHandles, descriptorOf, serverOf } from '../node/fields.ts';

/**
 * The TCP or Unix connections of a server that are open now. They are found among the handles that keep the process alive, so
 * that a connection costs nothing before a close. (A 'close' listener, a set or a list of weak references cost 2 to 3 µs for
 * each, 3 % of a connection with a single request.) A connection that the program has unref'd is not found.
 */
export function connectionsOf(server: net.Server): readonly net.Socket[] {
  return activeHandles().filter(
    (handle): handle is net.Socket => handle instanceof net.Socket && isOf(server, handle) && !handle.destroyed,
  );
}

/** All connections that are open, of whatever server, with the server of each. */
export function acceptedConnections(): readonly { readonly server: net.Server; readonly socket: net.Socket }[] {
  return activeHandles().flatMap((handle) => {
    if (!(handle instanceof net.Socket) || handle.destroyed) return [];
    const server = acceptorOf(handle);
    return server instanceof net.Server ? [{ server, socket: handle }] : [];
  });
}

/** Whether the server accepted the socket, or another server handed it over (`server.emit('connection', socket)`). */
function isOf(server: net.Server, socket: net.Socket): boolean {
  return acceptorOf(socket) === server || serverOf(socket) === server;
}

/** Calls back for each connection that comes in, until `signal` aborts. */
export function watchConnections(
  server: net.Server,
  onConnection: (socket: net.Socket) => void,
  signal: AbortSignal,
): void {
  const pass = (socket: unknown): void => {
    if (socket instanceof net.Socket) onConnection(socket);
  };
  // Before the program's own listeners, one of which may throw. (The diagnostics channel `net.server.socket` publishes after them.)
  server.prependListener('connection', pass);
  signal.addEventListener('abort', () => server.off('connection', pass));
}

/** Calls back for each connection that Node closes at once because of the server's maxConnections, until `signal` aborts. */
export function watchDrops(server: net.Server, onDrop: (peer: Peer | undefined) => void, signal: AbortSignal): void {
  server.on('drop', onDrop);
  signal.addEventListener('abort', () => server.off('drop', onDrop));
}

/** Takes the filter off an accepted socket, which inherits it from its listener. */
export function freeOfFilter(socket: net.Socket): void {
  const fd = descriptorOf(socket);
  try {
    if (fd !== undefined) detachFilter(fd);
  } catch {
    // ENOENT: it was accepted before the filter came.
  }
}
