import type http from 'node:http';
import type net from 'node:net';
import { checkServers } from '../servers/check-servers.ts';
import type { CloseReport } from '../close/report.ts';
import { completeLastCallOptions, type LastCallOptions } from './options/options.ts';
import { holdListeners, leaveToProgram } from './register.ts';
import { Service } from './service.ts';
import { keepSignals } from './signals/process-events.ts';
import type { LastCallState } from './state.ts';

/** A service that stops gracefully. */
export interface LastCall {
  readonly state: LastCallState;
  /** Whether new clients should come here: a server listens, and no stop has begun. */
  readonly ready: boolean;
  /** Answers probes with 200 or 503, and a path that ends in `/live` always with 200. May be mounted at any path. */
  readonly readiness: http.RequestListener;
  /**
   * Stops the service as a signal does, but the process does not exit: the caller decides that. A second call returns the
   * promise of the first. `reason` goes to `onLameDuck`. Default `close()`.
   */
  close(reason?: string): Promise<CloseReport>;
  /**
   * Lets the stop wait for work that goes on after its response. Its time is what the drain leaves of the deadline. What is not
   * done by then is named in the report. A rejection is reported, and not thrown. `name` is what the report calls it.
   */
  waitUntil(promise: PromiseLike<unknown>, name?: string): void;
  /** Resolves when the stop has ended, whatever caused it. */
  readonly closed: Promise<CloseReport>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Stops a service gracefully at SIGTERM or SIGINT. It is no longer ready, but serves while clients still come (the lame duck).
 * Then it shuts the gate, drains, calls the hook that closes what the program owns, and exits. `deadline` is the time for all
 * of it. What was lost is in the report, and in a line on stderr.
 *
 * The exit code is 0 after a stop, but 1 if a hook failed, or if `strict` is set and something was cut. An uncaught error stops
 * the service too: without the lame duck, in 5 s at most, with exit code 1. Signals are handled in the main thread, as long as
 * one of the servers listens or has connections. Before and after that they have their usual effect. docs/lifecycle.md shows
 * every order of events.
 *
 * @param servers - net, tls, http, https or http2 servers that listen already or will, or `'all'` for every server that
 *   this thread has or will have.
 * @throws `LastCallError` at once: `ERR_OPTION` for a wrong option, `ERR_SERVER` for something that is not a server.
 *
 * @example
 * ```ts
 * import http from 'node:http';
 * import { lastCall } from 'lastcall';
 *
 * const server = http.createServer((request, response) => response.end('hello\n')).listen(8080);
 * lastCall(server, { onDrained: () => console.log('bye') });
 * ```
 */
export function lastCall(servers: net.Server | readonly net.Server[] | 'all', options?: LastCallOptions): LastCall {
  const complete = completeLastCallOptions(options);
  const checked = checkServers(servers);
  const endKeeping = keepSignals(complete.signals);
  try {
    leaveToProgram();
    return new Service(checked, complete, complete.holdListeners ? holdListeners(complete.signals) : undefined);
  } finally {
    endKeeping();
  }
}
