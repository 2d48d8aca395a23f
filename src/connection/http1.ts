import http from 'node:http';
import net from 'node:net';
import { responseOn, serverOf } from '../node-fields.ts';

const closingServers = new Set<net.Server>();
const originalWriteHead = http.ServerResponse.prototype.writeHead;

/**
 * Lets every HTTP/1.1 response of the server whose head is not yet sent carry `Connection: close`, whatever wrote it
 * (RFC 9112 9.6), until `signal` aborts. Node's own `writeHead` is wrapped only while a close is under way.
 */
export function sayCloseOnResponses(server: net.Server, signal: AbortSignal): void {
  closingServers.add(server);
  http.ServerResponse.prototype.writeHead = writeHeadAndClose;
  signal.addEventListener('abort', () => {
    closingServers.delete(server);
    // Where somebody else has wrapped ours meanwhile it stays, and passes everything through.
    const isOurs = http.ServerResponse.prototype.writeHead === writeHeadAndClose;
    if (closingServers.size === 0 && isOurs) http.ServerResponse.prototype.writeHead = originalWriteHead;
  });
}

/** Lets the response that a connection is busy with carry `Connection: close`, if its head is not yet sent. */
export function sayCloseOnRunningResponse(socket: net.Socket): void {
  const response = responseOn(socket);
  if (!(response instanceof http.ServerResponse) || response.headersSent) return;
  response.shouldKeepAlive = false;
  response.setHeader('Connection', 'close');
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
  if (standIn instanceof net.Server) standIn.close();
}

function writeHeadAndClose(this: http.ServerResponse, ...args: unknown[]): http.ServerResponse {
  const [status] = args;
  const server = this.socket === null ? undefined : serverOf(this.socket);
  const isInterim = typeof status === 'number' && status < 200;
  if (!isInterim && server instanceof net.Server && closingServers.has(server) && !this.headersSent) {
    this.shouldKeepAlive = false;
    this.setHeader('Connection', 'close');
    return Reflect.apply(originalWriteHead, this, args.map(withoutConnection));
  }
  return Reflect.apply(originalWriteHead, this, args);
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
