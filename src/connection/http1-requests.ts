import http from 'node:http';
import net from 'node:net';

/** Connections on which nothing that is asked from now on may reach the program, and who hears of it instead. */
const refusing = new WeakMap<net.Socket, () => void>();

/** What http emits for a request, and with it hands the connection's next response to the program. */
const REQUESTS: ReadonlySet<unknown> = new Set(['request', 'checkContinue', 'checkExpectation']);
/** What it emits when a connection stops speaking HTTP/1.1. */
const OTHERS: ReadonlySet<unknown> = new Set(['upgrade', 'connect', 'clientError']);

/** Nothing that comes on this connection is a request for the program any more; `onLate` hears of each that does. */
export function refuseRequests(socket: net.Socket, onLate: () => void): void {
  if (!refusing.has(socket)) refusing.set(socket, onLate);
}

/**
 * Hands requests to the program of an HTTP/1.1 server only when everything that came with them is read, until `signal`
 * aborts: of pipelined requests the response to the last one carries `Connection: close`, and which one that is shows only
 * then. (Node emits 'request' in the middle of a chunk.) Requests that come after the last response are kept from it.
 */
export function holdRequestsBack(server: net.Server, signal: AbortSignal): void {
  const had = Object.hasOwn(server, 'emit');
  const { emit } = server;
  const emitLater = function (this: net.Server, ...args: unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, args);
    if (!REQUESTS.has(args[0]) && !OTHERS.has(args[0])) return pass();
    const socket = args.map(socketOf).find((found) => found !== undefined);
    if (socket === undefined) return pass();
    if (OTHERS.has(args[0])) return refuse(socket, args[0]) || pass();
    process.nextTick(() => refuse(socket, args[0], args[1]) || pass());
    return true;
  };
  Object.defineProperty(server, 'emit', { value: emitLater, configurable: true, writable: true, enumerable: had });
  signal.addEventListener('abort', () => {
    // Where somebody else has wrapped ours meanwhile it stays.
    if (server.emit !== emitLater) return;
    if (had) server.emit = emit;
    else Reflect.deleteProperty(server, 'emit');
  });
}

/** Whether a request, or an error in one, has come too late; it is thrown away then. */
function refuse(socket: net.Socket, event: unknown, request?: unknown): boolean {
  const onLate = refusing.get(socket);
  if (onLate === undefined) return false;
  // The rest of a body that the client gives up is no request.
  if (event !== 'clientError') onLate();
  if (request instanceof http.IncomingMessage) request.resume();
  else socket.resume();
  return true;
}

function socketOf(argument: unknown): net.Socket | undefined {
  if (argument instanceof net.Socket) return argument;
  return argument instanceof http.IncomingMessage ? argument.socket : undefined;
}
