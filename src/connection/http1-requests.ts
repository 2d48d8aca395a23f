import http from 'node:http';
import net from 'node:net';

/** Who knows on which connections nothing that is asked from now on may reach the program. */
export interface Refusals {
  /** Whether a request that comes on the connection has come too late. */
  isRefusing(program: net.Socket): boolean;
  /** Hears of each that did. */
  countLate(): void;
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
export function holdRequestsBack(server: net.Server, refusals: Refusals, signal: AbortSignal): void {
  const had = Object.hasOwn(server, 'emit');
  const { emit } = server;
  const waiting = new WaitingRequests();
  const emitLater = function (this: net.Server, ...args: unknown[]): boolean {
    const pass = (): boolean => Reflect.apply(emit, this, args);
    const isRequest = REQUESTS.has(args[0]);
    if (!isRequest && !OTHERS.has(args[0])) return pass();
    const socket = args.map(socketOf).find((found) => found !== undefined);
    if (socket === undefined) return pass();
    // What came before it in the same chunk has its turn first.
    if (!isRequest) waiting.handOver(socket);
    // Now, not when it is handed over: what Node itself answers behind it may be the connection's last response.
    if (refuse(refusals, socket, args[0], args[1])) return true;
    if (!isRequest) return pass();
    waiting.add(socket, pass);
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

/** Requests that wait for the rest of what came with them, in the order in which they came. */
class WaitingRequests {
  readonly #of = new WeakMap<net.Socket, (() => boolean)[]>();

  add(socket: net.Socket, request: () => boolean): void {
    const waiting = this.#of.get(socket) ?? [];
    this.#of.set(socket, waiting);
    waiting.push(request);
    process.nextTick(() => waiting.shift()?.());
  }

  handOver(socket: net.Socket): void {
    const waiting = this.#of.get(socket) ?? [];
    for (let request = waiting.shift(); request !== undefined; request = waiting.shift()) request();
  }
}

/** Whether a request, or an error in one, has come too late; it is thrown away then. */
function refuse(refusals: Refusals, socket: net.Socket, event: unknown, request?: unknown): boolean {
  if (!refusals.isRefusing(socket)) return false;
  // The rest of a body that the client gives up is no request.
  if (event !== 'clientError') refusals.countLate();
  if (request instanceof http.IncomingMessage) request.resume();
  else socket.resume();
  return true;
}

function socketOf(argument: unknown): net.Socket | undefined {
  if (argument instanceof net.Socket) return argument;
  return argument instanceof http.IncomingMessage ? argument.socket : undefined;
}
