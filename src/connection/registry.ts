import net from 'node:net';
import type { ServerHttp2Session } from 'node:http2';
import type { Peer } from './connection.ts';
import { acceptorOf, activeHandles, httpSockets, parserOn, serverOf, socketBelow } from '../node-fields.ts';

/** What is known of one server's connections before a close begins. */
interface ServerRecord {
  readonly sessions: Set<ServerHttp2Session>;
  /** Connections from before the server was known: nobody has seen whether their TLS handshakes are done. */
  readonly strangers: WeakSet<net.Socket>;
  /** Set while a close wants to hear of new ones. */
  onSession: ((session: ServerHttp2Session) => void) | undefined;
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
    (handle): handle is net.Socket => handle instanceof net.Socket && isOf(server, handle) && !handle.destroyed,
  );
}

/** Accepted by the server, or handed to it by whoever accepted it (`server.emit('connection', socket)`). */
function isOf(server: net.Server, socket: net.Socket): boolean {
  return acceptorOf(socket) === server || serverOf(socket) === server;
}

/** The HTTP/2 sessions of a server that are open now. */
export function sessionsOf(server: net.Server): ReadonlySet<ServerHttp2Session> {
  return recordOf(server).sessions;
}

/** Tells of connections that come in, until `signal` aborts. */
export function watchConnections(
  server: net.Server,
  onConnection: (socket: net.Socket) => void,
  signal: AbortSignal,
): void {
  const tell = (socket: unknown): void => {
    if (socket instanceof net.Socket) onConnection(socket);
  };
  // Before the program's own listeners, one of which may throw. (`net.server.socket` tells after them.)
  server.prependListener('connection', tell);
  signal.addEventListener('abort', () => server.off('connection', tell));
}

/** Tells of HTTP/2 sessions that begin, until `signal` aborts. */
export function watchSessions(
  server: net.Server,
  onSession: (session: ServerHttp2Session) => void,
  signal: AbortSignal,
): void {
  const record = recordOf(server);
  record.onSession = onSession;
  signal.addEventListener('abort', () => {
    if (record.onSession === onSession) record.onSession = undefined;
  });
}

/** The socket that the program sees: the TLS socket over this TCP connection once its handshake is done, else itself. */
export function programSocket(socket: net.Socket): net.Socket {
  return secureSockets.get(socket) ?? socket;
}

/** Whether the client of a TLS server has begun its handshake, which may take long: a program may fetch the certificate. */
export function isHandshaking(server: net.Server, socket: net.Socket): boolean {
  if (!isTlsServer(server) || socket.bytesRead === 0) return false;
  return !secureSockets.has(socket) && !recordOf(server).strangers.has(socket);
}

/** Whether a connection of an HTTP/1.1 server speaks something else by now: Node has taken its parser off. */
export function isUpgraded(server: net.Server, socket: net.Socket): boolean {
  const program = programSocket(socket);
  // Under TLS, and its handshake not done yet, there has been none.
  return parserOn(program) === undefined && (!isTlsServer(server) || program !== socket);
}

/** Tells of connections that Node closes at once because of the server's maxConnections, until `signal` aborts. */
export function watchDrops(server: net.Server, onDrop: (peer: Peer | undefined) => void, signal: AbortSignal): void {
  server.on('drop', onDrop);
  signal.addEventListener('abort', () => server.off('drop', onDrop));
}

function recordOf(server: net.Server): ServerRecord {
  const known = records.get(server);
  if (known !== undefined) return known;
  const strangers = new WeakSet(isTlsServer(server) ? connectionsOf(server) : []);
  const record: ServerRecord = { sessions: new Set(), strangers, onSession: undefined };
  records.set(server, record);
  if (isTlsServer(server)) {
    server.prependListener('secureConnection', rememberSecure);
    for (const socket of httpSockets(server)) if (socket instanceof net.Socket) rememberSecure(socket);
  }
  if (isHttp2Server(server)) server.prependListener('session', (session) => rememberSession(record, session));
  return record;
}

function rememberSecure(socket: net.Socket): void {
  const below = socketBelow(socket);
  if (below instanceof net.Socket) secureSockets.set(below, socket);
}

function rememberSession(record: ServerRecord, session: ServerHttp2Session): void {
  record.sessions.add(session);
  session.once('close', () => record.sessions.delete(session));
  record.onSession?.(session);
}

function isTlsServer(server: net.Server): boolean {
  return 'setSecureContext' in server;
}

/** Whether the server speaks HTTP/2; node:http2 does not export its classes. */
export function isHttp2Server(server: net.Server): boolean {
  return 'updateSettings' in server;
}
