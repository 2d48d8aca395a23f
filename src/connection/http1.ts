import http from 'node:http';
import net from 'node:net';
import { acceptorOf, responseOn, serverOf } from '../node-fields.ts';

type WriteHead = typeof http.ServerResponse.prototype.writeHead;

/** The servers of each close that is under way; one that listens anew may be in two of them. */
const underWay = new Set<ReadonlySet<unknown>>();
/** The wrapper of `writeHead`, while it is in place, and what it wraps. */
let wrapping: { readonly original: WriteHead; readonly wrapper: WriteHead } | undefined;

/**
 * Lets every HTTP/1.1 response whose head is not yet sent carry `Connection: close`, whatever wrote it (RFC 9112 9.6), on
 * connections that these servers have accepted or serve, until `signal` aborts. `writeHead` is wrapped only while a close
 * is under way.
 */
export function sayCloseOnResponses(servers: readonly net.Server[], signal: AbortSignal): void {
  // One that neither listens nor speaks HTTP can have no such connection.
  if (!servers.some((server) => server.listening || isHttp1Server(server))) return;
  const closing = new Set(servers);
  underWay.add(closing);
  wrapWriteHead();
  signal.addEventListener('abort', () => {
    underWay.delete(closing);
    if (underWay.size === 0) unwrapWriteHead();
  });
}

/** Lets the response that a connection is busy with carry `Connection: close`, if its head is not yet sent. */
export function sayCloseOnRunningResponse(socket: net.Socket): void {
  const response = responseOn(socket);
  if (!(response instanceof http.ServerResponse) || response.headersSent) return;
  sayClose(response, []);
}

/**
 * Takes Node's parser off a connection whose FIN we have sent: it would hand the next request to the application, which
 * cannot answer any more. What comes is read, so that it causes no reset, and `onLate` hears of the first bytes.
 */
export function unhookParser(socket: net.Socket, onLate: () => void): void {
  const discard = (): void => {};
  // http takes its parser off the handle as soon as somebody else listens for 'data'.
  socket.on('data', discard);
  for (const listener of socket.listeners('data')) {
    if (listener !== discard) socket.removeListener('data', listener as (chunk: Buffer) => void);
  }
  socket.once('data', onLate);
  socket.resume();
}

/** Whether the server speaks HTTP/1.1: http and https alike, and http2 with `allowHTTP1`. */
export function isHttp1Server(server: net.Server): boolean {
  return 'closeIdleConnections' in server || server instanceof http.Server;
}

/**
 * Stops the interval with which http looks after its head and body time limits. net.Server's close leaves it running
 * on purpose; http's own close is called here on a stand-in, so that 'close' is not emitted a second time.
 */
export function stopConnectionsChecker(server: net.Server): void {
  if (!isHttp1Server(server)) return;
  const standIn: unknown = Object.create(server, {
    _handle: { value: null },
    _emitCloseIfDrained: { value: () => {} },
    closeIdleConnections: { value: () => {} },
  });
  // Not the server's own close, which may be the program's.
  if (standIn instanceof net.Server) Reflect.apply(http.Server.prototype.close, standIn, []);
}

/** Wraps what is there when the first close begins: others may have wrapped Node's own since the import. */
function wrapWriteHead(): void {
  if (wrapping !== undefined) return;
  const { prototype } = http.ServerResponse;
  const original = prototype.writeHead;
  const wrapper = function writeHeadAndClose(this: http.ServerResponse, ...args: unknown[]): http.ServerResponse {
    return Reflect.apply(original, this, shouldSayClose(this, args[0]) ? sayClose(this, args) : args);
  };
  prototype.writeHead = wrapper;
  wrapping = { original, wrapper };
}

/** Where somebody else has wrapped ours meanwhile it stays, and passes everything through. */
function unwrapWriteHead(): void {
  const { prototype } = http.ServerResponse;
  if (wrapping === undefined || prototype.writeHead !== wrapping.wrapper) return;
  prototype.writeHead = wrapping.original;
  wrapping = undefined;
}

function shouldSayClose(response: http.ServerResponse, status: unknown): boolean {
  const isInterim = typeof status === 'number' && status < 200;
  if (isInterim || response.headersSent || response.socket === null) return false;
  const servers = [serverOf(response.socket), acceptorOf(response.socket)];
  return [...underWay].some((closing) => servers.some((server) => closing.has(server)));
}

/**
 * Lets Node add `Connection: close`, which it does to a response that has no such header: what the program said of it
 * goes. (A header that is set, instead, would change how Node treats the others that are given to writeHead.)
 */
function sayClose(response: http.ServerResponse, args: readonly unknown[]): readonly unknown[] {
  response.shouldKeepAlive = false;
  if (response.hasHeader('connection')) response.setHeader('Connection', 'close');
  return args.map(withoutConnection);
}

/** Headers given to writeHead win over those set before: theirs about the connection must go. */
function withoutConnection(argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null) return argument;
  if (!Array.isArray(argument)) {
    return Object.fromEntries(Object.entries(argument).filter(([name]) => !isConnection(name)));
  }
  if (argument.every((entry) => Array.isArray(entry))) return argument.filter(([name]) => !isConnection(name));
  return argument.filter((_, index) => !isConnection(argument[index - (index % 2)]));
}

function isConnection(name: unknown): boolean {
  return typeof name === 'string' && /^connection$/i.test(name);
}
