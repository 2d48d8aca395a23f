import http from 'node:http';
import net from 'node:net';
import { replaceMethod } from '../../node/replace.ts';
import { discardIncoming } from './server.ts';

/** What a close does with requests that come while it is under way. */
export interface Requests {
  /** Whether a request on the connection comes too late for the program. */
  isRefusing(program: net.Socket): boolean;
  /** A request came too late. */
  countLate(): void;
  /** Another request came. */
  noteRequest(program: net.Socket): void;
}

// Late requests of one connection that are read as such. http keeps each of them: who sends more is not read any further.
const MOST_LATE = 1_000;

/** What http emits for a request, and with it hands the connection's next response to the program. */
const REQUESTS: ReadonlySet<unknown> = new Set(['request', 'checkContinue', 'checkExpectation']);
/** What it emits when a connection stops speaking HTTP/1.1. */
const OTHERS: ReadonlySet<unknown> = new Set(['upgrade', 'connect', 'clientError']);

/** A server whose requests are held back, and the closes for which they are: one that listens anew may be in two. */
interface Held {
  readonly closes: Set<Requests>;
  readonly release: () => void;
}

const heldServers = new WeakMap<net.Server, Held>();

/**
 * Hands requests to the program of an HTTP/1.1 server only when everything that came with them is read, until `signal`
 * aborts: of pipelined requests the response to the last one carries `Connection: close`, and which one that is shows only
 * then. (Node emits 'request' in the middle of a chunk.) Requests that are refused are kept from it.
 */
export function holdRequestsBack(server: net.Server, requests: Requests, signal: AbortSignal): void {
  const held = heldServers.get(server) ?? hold(server);
  heldServers.set(server, held);
  held.closes.add(requests);
  signal.addEventListener('abort', () => {
    held.closes.delete(requests);
    if (held.closes.size > 0) return;
    heldServers.delete(server);
    held.release();
  });
}

function hold(server: net.Server): Held {
  const closes = new Set<Requests>();
  const waiting = new WaitingRequests();
  const { undo } = replaceMethod(
    server,
    'emit',
    (original) =>
      function emitLater(this: net.Server, ...args: unknown[]) {
        const pass = (): unknown => original(this, args);
        const isRequest = REQUESTS.has(args[0]);
        if (closes.size === 0 || (!isRequest && !OTHERS.has(args[0]))) return pass();
        const socket = args.map(socketOf).find((found) => found !== undefined);
        if (socket === undefined) return pass();
        // What came before it in the same chunk goes first.
        if (!isRequest) waiting.handOver(socket);
        // Now, not when it is handed over: what Node itself answers behind it may be the connection's last response.
        const refusing = [...closes].find((requests) => requests.isRefusing(socket));
        if (refusing !== undefined) return refuse(refusing, socket, args[0], args[1]);
        for (const requests of closes) requests.noteRequest(socket);
        if (!isRequest) return pass();
        waiting.add(socket, pass);
        return true;
      },
  );
  return { closes, release: () => void undo() };
}

/** Requests that wait for the rest of what came with them, in the order in which they came. */
class WaitingRequests {
  readonly #of = new WeakMap<net.Socket, (() => unknown)[]>();

  add(socket: net.Socket, request: () => unknown): void {
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

const late = new WeakMap<net.Socket, number>();

/** Throws away a request, or an error in one, that came too late. Returns what `emit` does: somebody has listened. */
function refuse(requests: Requests, socket: net.Socket, event: unknown, request: unknown): true {
  const count = (late.get(socket) ?? 0) + 1;
  late.set(socket, count);
  if (count === MOST_LATE) discardIncoming(socket, () => {});
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
