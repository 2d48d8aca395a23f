import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import net from 'node:net';
import type { ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { activeHandles, serverOf, socketBelow } from '../node-fields.ts';

/** What is known of one server's connections before a close begins. */
interface ServerRecord {
  readonly sessions: Set<ServerHttp2Session>;
  /** Set while a close wants to hear of new ones. */
  arrivals: Arrivals | undefined;
}

/** Who is told of what comes in during a close. */
export interface Arrivals {
  readonly onConnection: (socket: net.Socket) => void;
  readonly onSession: (session: ServerHttp2Session) => void;
}

const records = new WeakMap<net.Server, ServerRecord>();
const secureSockets = new WeakMap<net.Socket, net.Socket>();

/**
 * Makes ready for a server's TLS connections and HTTP/2 sessions when it begins to listen. For a connection as such there
 * is nothing to do until a close: Node knows them all.
 */
export function watchServer(server: net.Server): void {
  recordOf(server);
}

/**
 * The TCP or Unix connections of a server that are open now, whenever they were accepted: found among the handles that keep
 * the process alive, so that none costs anything before. (A 'close' listener, a set or a list of weak references cost 2 to
 * 3 µs for each, 3 % of one with a single request.) One that the program has unref'd is not among them.
 */
export function connectionsOf(server: net.Server): readonly net.Socket[] {
  return activeHandles().filter(
    (handle): handle is net.Socket => handle instanceof net.Socket && serverOf(handle) === server && !handle.destroyed,
  );
}

/** The HTTP/2 sessions of a server that are open now. */
export function sessionsOf(server: net.Server): ReadonlySet<ServerHttp2Session> {
  return recordOf(server).sessions;
}

/** Tells of connections and sessions that come in, until `signal` aborts. */
export function watchArrivals(server: net.Server, arrivals: Arrivals, signal: AbortSignal): void {
  const record = recordOf(server);
  const tell = (message: unknown): void => {
    const socket: unknown =
      typeof message === 'object' && message !== null && 'socket' in message ? message.socket : undefined;
    if (socket instanceof net.Socket && serverOf(socket) === server) arrivals.onConnection(socket);
  };
  record.arrivals = arrivals;
  subscribe('net.server.socket', tell);
  signal.addEventListener('abort', () => {
    unsubscribe('net.server.socket', tell);
    if (record.arrivals === arrivals) record.arrivals = undefined;
  });
}

/** The socket that the program sees: the TLS socket over this TCP connection once its handshake is done, else itself. */
export function programSocket(socket: net.Socket): net.Socket {
  return secureSockets.get(socket) ?? socket;
}

function recordOf(server: net.Server): ServerRecord {
  const known = records.get(server);
  if (known !== undefined) return known;
  const record: ServerRecord = { sessions: new Set(), arrivals: undefined };
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

function isTlsServer(server: net.Server): boolean {
  return 'setSecureContext' in server;
}

/** Whether the server speaks HTTP/2; node:http2 does not export its classes. */
export function isHttp2Server(server: net.Server): boolean {
  return 'updateSettings' in server;
}
