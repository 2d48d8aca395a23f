import { subscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import type { ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { activeHandles, connectionCount, serverOf, socketBelow } from '../node-fields.ts';

/** The open connections of one server. */
interface ServerRecord {
  /** The open ones, and some that have closed since the last sweep. A connection's handle keeps it alive while it is open. */
  sockets: WeakRef<net.Socket>[];
  /** At this length the closed ones are swept out. */
  sweepAt: number;
  readonly sessions: Set<ServerHttp2Session>;
  /** Set while a close wants to hear of new ones. */
  arrivals: Arrivals | undefined;
}

/** Who is told of what comes in during a close. */
export interface Arrivals {
  readonly onConnection: (socket: net.Socket) => void;
  readonly onSession: (session: ServerHttp2Session) => void;
}

/** At least so many connections come before a sweep. */
const SWEEP_AT_LEAST = 64;

const records = new WeakMap<net.Server, ServerRecord>();
const secureSockets = new WeakMap<net.Socket, net.Socket>();

/**
 * Keeps a list of each server's open connections, from now on. Per connection that is a weak reference, and per request
 * nothing. Neither a 'close' listener each nor a strong list that is swept is free: both cost 4 % of the CPU time of a
 * connection with one request, the list because what has closed outlives the next scavenge.
 */
export function watchConnections(): void {
  subscribe('net.server.socket', (message) => {
    const socket: unknown =
      typeof message === 'object' && message !== null && 'socket' in message ? message.socket : undefined;
    if (socket instanceof net.Socket) remember(socket);
  });
  // An HTTP/2 server without TLS emits 'session' before the channel above tells of the connection.
  subscribe('tracing:net.server.listen:asyncEnd', (message) => {
    const server: unknown =
      typeof message === 'object' && message !== null && 'server' in message ? message.server : undefined;
    if (server instanceof net.Server && isHttp2Server(server)) recordOf(server);
  });
}

/**
 * Makes ready for a server's connections when it begins to listen: node:net tells of a connection only after the
 * program has seen it, which for cleartext HTTP/2 is after its session has begun.
 */
export function watchServer(server: net.Server): void {
  recordOf(server);
}

/** The TCP or Unix connections of a server that are open now, also those accepted before the import. */
export function connectionsOf(server: net.Server): readonly net.Socket[] {
  const seen = openSockets(recordOf(server));
  if (connectionCount(server) <= seen.length) return seen;
  adoptUnseen(server, new Set(seen));
  return openSockets(recordOf(server));
}

/** The HTTP/2 sessions of a server that are open now. */
export function sessionsOf(server: net.Server): ReadonlySet<ServerHttp2Session> {
  return recordOf(server).sessions;
}

/** Tells of connections and sessions that come in, until `signal` aborts. */
export function watchArrivals(server: net.Server, arrivals: Arrivals, signal: AbortSignal): void {
  const record = recordOf(server);
  record.arrivals = arrivals;
  signal.addEventListener('abort', () => {
    if (record.arrivals === arrivals) record.arrivals = undefined;
  });
}

/** The socket that the program sees: the TLS socket over this TCP connection once its handshake is done, else itself. */
export function programSocket(socket: net.Socket): net.Socket {
  return secureSockets.get(socket) ?? socket;
}

function remember(socket: net.Socket): void {
  const server = serverOf(socket);
  if (!(server instanceof net.Server)) return;
  const record = recordOf(server);
  record.sockets.push(new WeakRef(socket));
  if (record.sockets.length >= record.sweepAt) sweep(record);
  record.arrivals?.onConnection(socket);
}

function sweep(record: ServerRecord): void {
  record.sockets = record.sockets.filter((reference) => isOpen(reference.deref()));
  record.sweepAt = Math.max(SWEEP_AT_LEAST, 2 * record.sockets.length);
}

function openSockets(record: ServerRecord): readonly net.Socket[] {
  return record.sockets.map((reference) => reference.deref()).filter(isOpen);
}

function isOpen(socket: net.Socket | undefined): socket is net.Socket {
  return socket !== undefined && !socket.destroyed;
}

function recordOf(server: net.Server): ServerRecord {
  const known = records.get(server);
  if (known !== undefined) return known;
  const record: ServerRecord = {
    sockets: [],
    sweepAt: SWEEP_AT_LEAST,
    sessions: new Set(),
    arrivals: undefined,
  };
  records.set(server, record);
  if (isTlsServer(server)) server.prependListener('secureConnection', rememberSecure);
  if (isHttp2Server(server)) server.prependListener('session', (session) => rememberSession(record, session));
  return record;
}

function rememberSecure(socket: TLSSocket): void {
  const below = socketBelow(socket);
  if (below instanceof net.Socket) secureSockets.set(below, socket);
}

function rememberSession(record: ServerRecord, session: ServerHttp2Session): void {
  record.sessions.add(session);
  session.once('close', () => record.sessions.delete(session));
  record.arrivals?.onSession(session);
}

function adoptUnseen(server: net.Server, seen: ReadonlySet<net.Socket>): void {
  for (const handle of activeHandles()) {
    if (!(handle instanceof net.Socket) || handle.destroyed) continue;
    if (serverOf(handle) !== server || seen.has(handle)) continue;
    const below = socketBelow(handle);
    if (below instanceof net.Socket) secureSockets.set(below, handle);
    else remember(handle);
  }
}

function isTlsServer(server: net.Server): boolean {
  return 'setSecureContext' in server;
}

/** Whether the server speaks HTTP/2; node:http2 does not export its classes. */
export function isHttp2Server(server: net.Server): boolean {
  return 'updateSettings' in server;
}
