import type net from 'node:net';
import { completeOptions } from '../close/check-options.ts';
import { Close } from '../close/close.ts';
import { type Channels, channels } from '../close/diagnostics.ts';
import type { CloseOptions } from '../close/options.ts';
import type { CloseReport } from '../close/report.ts';
import { fedServers } from '../connection/open-connections.ts';
import { listeningServers, listenersOf } from '../listener/listening.ts';
import { closeOnce, serversUnderWay } from './begun-closes.ts';
import { checkServers } from './check-servers.ts';
import { closeServers } from './close-servers.ts';

/**
 * Closes servers without resetting anyone: new clients are turned away, everyone in the kernel's queues and in the
 * program is served to the end, and what could not be saved is counted and named. It always ends, at the deadline at
 * the latest. Idempotent: a second call for a server returns the first promise, and its options are ignored.
 *
 * @param servers - net, tls, http, https or http2 servers, or `'all'` for every server that listens. One that is closed,
 *   or never listened, resolves with no listeners.
 * @throws `LastCallError` at once, `ERR_OPTION` for a wrong option and `ERR_SERVER` for what is no server.
 *
 * @example
 * ```ts
 * import http from 'node:http';
 * import { gracefulClose } from 'lastcall';
 *
 * const server = http.createServer((request, response) => response.end('hello\n')).listen(8080);
 * process.once('SIGTERM', async () => {
 *   const report = await gracefulClose(server, { deadline: 20_000 });
 *   console.log(report.outcome);
 * });
 * ```
 */
export function gracefulClose(
  servers: net.Server | readonly net.Server[] | 'all',
  options?: CloseOptions,
): Promise<CloseReport> {
  return closeAndPublish(servers, options, channels);
}

/** The same, with these diagnostics channels. `doubts`: what else may be lost, when the close reports. */
export function closeAndPublish(
  servers: unknown,
  options: CloseOptions | undefined,
  diagnostics: Channels,
  doubts?: () => readonly string[],
): Promise<CloseReport> {
  const complete = completeOptions(options);
  const given = checkServers(servers);
  const all = given === 'all' ? [...new Set([...listeningServers(), ...serversUnderWay(), ...fedServers()])] : given;
  return closeOnce(all, (fresh) => closeServers(fresh, listenersOf(fresh), new Close(complete, diagnostics, doubts)));
}
