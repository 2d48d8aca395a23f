import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import type net from 'node:net';
import { addCloseToHeads } from '../../connection/http1/head.ts';
import { isHttp1Server } from '../../connection/http1/server.ts';
import { lingerOn } from '../../connection/http1/lingering-close.ts';
import { watchConnections } from '../../connection/open-connections.ts';
import type { Budget } from '../budget.ts';
import type { CompleteLastCallOptions } from '../options/options.ts';
import { waitForAbort } from '../wait.ts';
import { isHealthCheck, isProber, noteHealthCheck } from './health-checks.ts';

/**
 * Serves every client until the load balancers know that the service is not ready: when no new connection has come for
 * `quietFor` ms, or the time is up. Meanwhile HTTP/1.1 responses have `Connection: close`, so that kept connections leave too. They
 * have it until `ended` aborts.
 */
export class LameDuck {
  readonly #servers: Set<net.Server>;
  readonly #ended: AbortSignal;
  readonly #arrivals: Arrivals;

  constructor(servers: readonly net.Server[], ended: AbortSignal) {
    this.#servers = new Set(servers);
    this.#ended = ended;
    this.#arrivals = new Arrivals(ended);
    addCloseToHeads({ servers: this.#servers, onLast: () => {} }, ended);
    for (const server of servers) this.#watch(server);
  }

  /** Another server has begun to listen. */
  add(server: net.Server): void {
    if (this.#servers.has(server)) return;
    this.#servers.add(server);
    this.#watch(server);
  }

  /** Resolves at the end of the lame duck. */
  async serveOn({ lameDuck, lameDuckMin, quietFor }: CompleteLastCallOptions, budget: Budget): Promise<void> {
    const began = performance.now();
    const most = budget.forLameDuck(lameDuck);
    const least = Math.min(lameDuckMin, most);
    for (;;) {
      const quietAt = Math.max(began + least, Math.max(began, this.#arrivals.last) + quietFor);
      const left = Math.min(began + most, quietAt) - performance.now();
      if (left <= 0 || budget.skipLameDuck.aborted) return;
      await waitForAbort([budget.skipLameDuck], left);
    }
  }

  #watch(server: net.Server): void {
    watchConnections(server, (socket) => this.#arrivals.add(socket), this.#ended);
    // As in the close, a connection must not be reset after its last response.
    if (isHttp1Server(server)) lingerOn(server);
  }
}

/** When clients have come. Health checks, and connections that close without a byte, do not count. */
class Arrivals {
  /** Of connections that have closed. */
  #last = -Infinity;
  readonly #open = new Map<net.Socket, number>();

  constructor(ended: AbortSignal) {
    subscribe('http.server.request.start', noteProbers);
    ended.addEventListener('abort', () => unsubscribe('http.server.request.start', noteProbers));
  }

  /** On the clock of `performance.now()`. */
  get last(): number {
    const times = [...this.#open].filter(([socket]) => !isHealthCheck(socket)).map(([, at]) => at);
    return times.reduce((last, at) => Math.max(last, at), this.#last);
  }

  add(socket: net.Socket): void {
    const at = performance.now();
    this.#open.set(socket, at);
    socket.once('close', () => {
      this.#open.delete(socket);
      if (socket.bytesRead > 0 && !isHealthCheck(socket)) this.#last = Math.max(this.#last, at);
    });
  }
}

function noteProbers(message: unknown): void {
  const { request }: { readonly request?: unknown } = Object(message);
  if (request instanceof http.IncomingMessage && isProber(request.headers['user-agent']))
    noteHealthCheck(request.socket);
}
