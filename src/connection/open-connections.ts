import net from 'node:net';
import { detachFilter } from '../linux/filter.ts';
import type { Peer } from './peer.ts';
import { activeHandles, descriptorOf } from '../node/fields.ts';
import { firstShownBy, identityOf, listenerBehind, wasSentAway } from '../node/socket-fields.ts';
import { layerOn, transportSocket } from './tls/sockets.ts';

/** A TCP or Unix connection, and the server of those asked for that has to do with it. */
export interface OpenConnection {
  readonly server: net.Server;
  readonly socket: net.Socket;
}

/** The connections of one server. */
export function connectionsOf(server: net.Server): readonly net.Socket[] {
  return connectionsOfAny([server]).map(({ socket }) => socket);
}

/**
 * The TCP or Unix connections of these servers that are open now. They are found among the handles that keep the process alive,
 * so that a connection costs nothing before a close. (A 'close' listener, a set or a list of weak references cost 2 to 3 µs for
 * each, 3 % of a connection with a single request.) A connection that the program has unref'd is not found.
 */
export function connectionsOfAny(servers: readonly net.Server[]): readonly OpenConnection[] {
  const known = new Map(servers.map((server) => [identityOf(server), server]));
  return connectionsWith((server) => known.get(identityOf(server)));
}

/** All connections that are open, of whatever server, with the server of each. */
export function acceptedConnections(): readonly OpenConnection[] {
  return connectionsWith((server) => server);
}

/** The servers that do not listen and have connections, which others have accepted and handed to them. */
export function fedServers(): readonly net.Server[] {
  const fed = new Map<unknown, net.Server>();
  for (const socket of openSockets()) {
    firstOn(socket, (server) => {
      if (!server.listening && !isSameServer(server, listenerBehind(socket))) fed.set(identityOf(server), server);
      return undefined;
    });
  }
  return [...fed.values()];
}

/** The connections that have a server which `pick` knows, with what that returns. */
function connectionsWith(pick: (server: net.Server) => net.Server | undefined): readonly OpenConnection[] {
  const found: OpenConnection[] = [];
  for (const socket of openSockets()) {
    const server = firstOn(socket, pick);
    if (server !== undefined) found.push({ server, socket });
  }
  return found;
}

/**
 * What `pick` returns for the first server that it knows of those that have to do with a connection, as its sockets show them:
 * the one that accepted it, one that it was handed to (`server.emit('connection', socket)`), and the one that is reached over
 * TLS. The one that accepted it comes first. No lists are made: a close asks this for thousands of sockets in one turn.
 */
function firstOn<T>(transport: net.Socket, pick: (server: net.Server) => T | undefined): T | undefined {
  for (let layer: net.Socket | undefined = transport; layer !== undefined; layer = layerOn(layer)) {
    const found = firstShownBy(layer, pick);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether one of these servers has to do with a connection; `socket` is any of its sockets. */
export function isOnOneOf(servers: ReadonlySet<unknown>, socket: net.Socket): boolean {
  const transport = transportSocket(socket);
  // Most are found by this alone.
  if (firstOn(transport, (on) => servers.has(on) || undefined) === true) return true;
  const isOneOf = (on: net.Server): boolean => [...servers].some((server) => isSameServer(server, on));
  return firstOn(transport, (on) => isOneOf(on) || undefined) === true;
}

/** The server of this process that has accepted a connection, if one has; `socket` is any of its sockets. */
export function acceptedBy(socket: net.Socket): net.Server | undefined {
  const listener = listenerBehind(transportSocket(socket));
  return listener instanceof net.Server ? listener : undefined;
}

/** Whether two servers are one: a Proxy around a server is another object. */
export function isSameServer(left: unknown, right: unknown): boolean {
  return left === right || identityOf(left) === identityOf(right);
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

/** One that was sent to another process stays in the list until that has it. */
function openSockets(): readonly net.Socket[] {
  return activeHandles().filter(
    (handle): handle is net.Socket => handle instanceof net.Socket && !handle.destroyed && !wasSentAway(handle),
  );
}
