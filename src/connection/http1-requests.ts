import http from 'node:http';
import net from 'node:net';

/** Who hears of requests that come during a close, and knows which of them may not reach the program any more. */
export interface Requests {
  /** Whether a request that comes on the connection has come too late. */
  isRefusing(program: net.Socket): boolean;
  /** Hears of each that did. */
  countLate(): void;
  /** Hears of each other. */
  noteRequest(program: net.Socket): void;
}

/** What http emits for a request, and with it hands the connection's next response to the program. */
const REQUESTS: ReadonlySet<unknown> = new Set(['request', 'checkContinue', 'checkExpectation']);
/** What it emits when a connection stops speaking HTTP/1.1. */
const OTHERS: ReadonlySet<unknown> = new Set(['upgrade', 'connect', 'clientError']);

/**
 * Hands requests to the program of an HTTP/1.1 server only when everything that came with them is read, until `signal`
 * aborts: of pipelined requests the response to the last one carries `Connection: close`, and which one that is shows only
 * then. (Node emits 'request' in the middle of a chunk.) Requests that are refused are kept from it.
 */
export function holdRequestsBack(server: net.Server, requests: Requests, signal: AbortSignal): void {
  const had = Object.hasOwn(server, 'emit');
  const { emit } = server;
  const emitLater = function (this: net.Server, ...args: unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, args);
    if (!REQUESTS.has(args[0]) && !OTHERS.has(args[0])) return pass();
    const socket = args.map(socketOf).find((found) => found !== undefined);
    if (socket === undefined) return pass();
    if (OTHERS.has(args[0])) return refuse(requests, socket, args[0]) || pass();
    process.nextTick(() => {
      if (refuse(requests, socket, args[0], args[1])) return;
      requests.noteRequest(socket);
      pass();
    });
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
function refuse(requests: Requests, socket: net.Socket, event: unknown, request?: unknown): boolean {
  if (!requests.isRefusing(socket)) return false;
  // The rest of a body that the client gives up is no request.
  if (event !== 'clientError') requests.countLate();
  if (request instanceof http.IncomingMessage) request.resume();
  else socket.resume();
  return true;
}

function socketOf(argument: unknown): net.Socket | undefined {
  if (argument instanceof net.Socket) return argument;
  return argument instanceof http.IncomingMessage ? argument.socket : undefined;
}
