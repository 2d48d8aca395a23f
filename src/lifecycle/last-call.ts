import type http from 'node:http';
import type net from 'node:net';
import type { LastCallState } from '../close/diagnostics.ts';
import type { CloseReport } from '../close/report.ts';
import { completeLastCallOptions, type LastCallOptions } from './options.ts';
import { checkServers } from '../servers/check-servers.ts';
import { leaveToProgram } from './registered.ts';
import { Service } from './service.ts';

/** A service that stops well. */
export interface LastCall {
  readonly state: LastCallState;
  /** Whether new clients should be sent here: a server listens, and no stop has begun. */
  readonly ready: boolean;
  /** Answers probes with 200 or 503; a path that ends in `/live` always with 200. May be mounted at any path. */
  readonly readiness: http.RequestListener;
  /**
   * Stops the service as a signal does, but the process does not exit: that is the caller's to do. A second call returns the
   * first one's promise. `reason` goes to `onLameDuck`. Default `close()`.
   */
  close(reason?: string): Promise<CloseReport>;
  /** Resolves when a stop is over, whoever asked for it. */
  readonly closed: Promise<CloseReport>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Lets a service stop well when SIGTERM or SIGINT comes: not ready, serve on while clients still come (the lame duck), shut
 * the gate, drain, close what the program owns, exit. One budget, `deadline`, holds all of it; what could not be saved is in
 * the report, and in a line on stderr.
 *
 * The exit code is 0 after a stop that was asked for, 1 where a hook failed, or `strict` is set and something was cut. An
 * uncaught error stops the service, too: without the lame duck, in 5 s at most, with exit code 1. Signals are handled in the
 * main thread, as long as one of the servers listens or has connections: before and after that they do what they do in any
 * program. docs/lifecycle.md shows every order of events.
 *
 * @param servers - net, tls, http, https or http2 servers, that listen already or will, or `'all'` for every server that
 *   this thread has or will have.
 * @throws `LastCallError` at once, `ERR_OPTION` for a wrong option and `ERR_SERVER` for what is no server.
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
  leaveToProgram();
  return new Service(checked, complete);
}
