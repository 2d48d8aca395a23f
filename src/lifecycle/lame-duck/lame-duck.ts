import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import http from 'node:http';
import type net from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { sayCloseInHeads } from '../../connection/http1/head.ts';
import { isHttp1Server } from '../../connection/http1/server.ts';
import { lingerOn } from '../../connection/http1/lingering-close.ts';
import { watchConnections } from '../../connection/open-connections.ts';
import { isHealthCheck, isProber, noteHealthCheck } from './health-checks.ts';

/** How long a service goes on though it is not ready any more. Times are in milliseconds. */
export interface LameDuckTimes {
  readonly most: number;
  readonly least: number;
  /** So long without a new client ends it. */
  readonly quietFor: number;
}

/**
 * Serves everybody, until whoever sends clients has heard that the service is not ready: no new connection has come for
 * `quietFor`, or the time is up. HTTP/1.1 responses say `Connection: close` meanwhile, so that kept connections leave, too;
 * that goes on until `over` aborts. Ends early when `soon` aborts.
 */
export class LameDuck {
  readonly #servers: Set<net.Server>;
  readonly #over: AbortSignal;
  readonly #arrivals: Arrivals;

  constructor(servers: readonly net.Server[], over: AbortSignal) {
    this.#servers = new Set(servers);
    this.#over = over;
    this.#arrivals = new Arrivals(over);
    sayCloseInHeads({ servers: this.#servers, onLast: () => {} }, over);
    for (const server of servers) this.#watch(server);
  }

  /** One more has begun to listen. */
  add(server: net.Server): void {
    if (this.#servers.has(server)) return;
    this.#servers.add(server);
    this.#watch(server);
  }

  async walk({ most, least, quietFor }: LameDuckTimes, soon: AbortSignal): Promise<void> {
    const began = performance.now();
    const endsAt = began + most;
    for (;;) {
      const quietAt = Math.max(began + least, Math.max(began, this.#arrivals.last) + quietFor);
      const left = Math.min(endsAt, quietAt) - performance.now();
      if (left <= 0 || soon.aborted) return;
      // An abort is an end like any other.
      await setTimeout(left, undefined, { signal: soon }).catch(() => {});
    }
  }

  #watch(server: net.Server): void {
    watchConnections(server, (socket) => this.#arrivals.add(socket), this.#over);
    // After its last response a connection must not be reset, here as little as in the close.
    if (isHttp1Server(server)) lingerOn(server);
  }
}

/** When clients have come. One that asks for the service's health, or goes without a word, is none. */
class Arrivals {
  /** Of connections that are closed. */
  #last = -Infinity;
  readonly #open = new Map<net.Socket, number>();

  constructor(over: AbortSignal) {
    subscribe('http.server.request.start', noteProbers);
    over.addEventListener('abort', () => unsubscribe('http.server.request.start', noteProbers));
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
