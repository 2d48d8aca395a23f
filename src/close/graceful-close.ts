import net from 'node:net';
import { type Channels, channels } from './diagnostics.ts';
import { ConnectionEnder } from '../connection/end-connections.ts';
import { releaseServers } from '../connection/http1/server.ts';
import { checkServers } from './check-servers.ts';
import type { LastCallError } from '../errors.ts';
import { handleOf, holdCloseEvent } from '../node/fields.ts';
import { endListener, type GateState } from '../listener/end-listener.ts';
import type { Listener } from '../listener/listener.ts';
import { findSharing, type Sharing } from '../listener/sharing.ts';
import { listeningServers, listenersOf, releaseIfNobodyListens } from '../listener/listening.ts';
import { CloseClock } from './clock.ts';
import { type CloseOptions, type CompleteCloseOptions, completeOptions } from './options.ts';
import { ProgressTeller } from './progress.ts';
import { type CloseReport, type ListenerReport, mergeReports } from './report.ts';

/** A close that was begun, kept so that a second call gets the same promise. */
interface BegunClose {
  readonly promise: Promise<CloseReport>;
  /** Of each server its handle at that time: with another one it has listened anew, and is a new one for us. */
  readonly handles: ReadonlyMap<net.Server, unknown>;
  isOver: boolean;
}

const begun = new WeakMap<net.Server, BegunClose>();
const underWay = new Set<BegunClose>();

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
  return closeOrJoin(servers, options, channels);
}

/** Closes those that are not being closed yet, joins the closes of the others. `tell` are the channels that hear of it. */
export function closeOrJoin(servers: unknown, options: CloseOptions | undefined, tell: Channels): Promise<CloseReport> {
  const complete = completeOptions(options);
  const given = checkServers(servers);
  const all = given === 'all' ? [...new Set([...listeningServers(), ...serversUnderWay()])] : given;
  const running = new Set(all.map(closeUnderWay).filter((close) => close !== undefined));
  const fresh = all.filter((server) => closeUnderWay(server) === undefined);
  const [only] = running;
  if (fresh.length === 0 && only !== undefined && running.size === 1) return only.promise;
  const close = begin(fresh, () => closeServers(fresh, listenersOf(fresh), complete, tell));
  if (running.size === 0) return close.promise;
  return Promise.all([close, ...running].map(({ promise }) => promise)).then(mergeReports);
}

/** The story of a close, in the order of docs/how-it-works.md. */
export async function closeServers(
  servers: readonly net.Server[],
  listeners: readonly Listener[],
  options: CompleteCloseOptions,
  tell: Channels,
): Promise<CloseReport> {
  const clock = new CloseClock(options);
  const gates = new Map<net.Server, GateState>();
  const errors: LastCallError[] = [];

  // The gates first, and in this turn of the loop: everything else may wait.
  const ended = listeners.map((listener) => closeListener(listener, options, clock, tell, gates));
  // A request that called for this close may be answered in the same turn.
  const connections = new ConnectionEnder(servers, {
    ...options,
    // Not known before the gate is shut: new SYNs may be held back while cookies come in.
    isFiltered: (server) => gates.get(server)?.filtered ?? true,
    wantsFacts: () => tell.connection.hasSubscribers,
    onEnd: ({ remote, protocol }, cut) => {
      if (!tell.connection.hasSubscribers) return;
      tell.connection.publish({ remote: remote(), protocol: protocol(), ...(cut && { cut }) });
    },
    onError: (error) => errors.push(error),
    endsAt: clock.endsAt,
    deadline: clock.deadline,
    over: clock.over,
  });
  const tellThatClosed = holdCloseEvents(listeners);
  // What each listener has to do right after its gate goes before what may take long with many connections.
  await Promise.resolve();
  connections.begin();
  const progress = new ProgressTeller(options.onProgress, clock, connections, listeners, (error) => errors.push(error));

  const reports = await Promise.all(
    ended.map(async (end) => {
      const { server, unaccepted, report } = await end;
      connections.endArrivals(server);
      connections.countUnaccepted(unaccepted);
      return report;
    }),
  ).finally(tellThatClosed);
  progress.enter('ending connections');
  await Promise.race([connections.allEnded(), clock.timeIsUp()]);
  connections.cutAll(clock.reason);
  releaseServers(servers);
  releaseIfNobodyListens();
  progress.tell();
  clock.end();

  const report: CloseReport = {
    outcome: connections.report().cut.length > 0 ? 'forced' : 'complete',
    duration: clock.elapsed(),
    listeners: reports,
    connections: connections.report(),
    errors,
  };
  tell.closed.publish(report);
  return report;
}

/**
 * Servers that are closed together say so together, when all their listeners are closed: some frameworks close the others,
 * queues or not, as soon as one has closed.
 */
function holdCloseEvents(listeners: readonly Listener[]): () => Promise<void> {
  if (listeners.length < 2) return () => Promise.resolve();
  const releases = listeners.map(({ server }) => holdCloseEvent(server));
  return () => {
    for (const release of releases) release();
    // Node emits on the next tick, and the report comes after that.
    return new Promise((resolve) => process.nextTick(resolve));
  };
}

/** One listener's part of a close; `gates` learns how its gate was shut. `sharing`: how to find out whether it is shared. */
export async function closeListener(
  listener: Listener,
  options: CompleteCloseOptions,
  clock: CloseClock,
  tell: Channels,
  gates: Map<net.Server, GateState>,
  sharing: (listener: Listener) => Sharing | undefined = findSharing,
): Promise<{ server: net.Server; report: ListenerReport; unaccepted: number }> {
  const { server, name } = listener;
  const ended = await endListener(listener, {
    over: clock.over,
    newConnections: options.newConnections,
    findSharing: options.ownGate ? () => undefined : sharing,
    handshakeWait: options.handshakeWait,
    cookieBounds: { usual: options.handshakeWait, overflowed: Math.max(options.handshakeWait, options.deadline / 3) },
    signal: clock.deadline,
    onGate: (state) => {
      gates.set(server, state);
      tell.gate.publish({ address: name, ...gateFacts(state) });
    },
  });
  const { halfOpen, abandoned, unaccepted } = ended;
  const report = { address: name, ...gateFacts(ended), halfOpen, abandoned, closedAfter: clock.elapsed() };
  tell.listener.publish(report);
  return { server, report, unaccepted };
}

function gateFacts(state: GateState): Pick<ListenerReport, 'gate' | 'reason' | 'queued' | 'cookies'> {
  const { gate, reason, queued, cookies } = state;
  return { gate, ...(reason === undefined ? {} : { reason }), queued, cookies };
}

function closeUnderWay(server: net.Server): BegunClose | undefined {
  const close = begun.get(server);
  const listensAnew = server.listening && handleOf(server) !== close?.handles.get(server);
  return listensAnew || (close?.isOver && server.listening) ? undefined : close;
}

function serversUnderWay(): readonly net.Server[] {
  return [...underWay].flatMap(({ handles }) => [...handles.keys()]);
}

/** Known before it runs: whoever hears of it while it begins may call again. */
function begin(servers: readonly net.Server[], run: () => Promise<CloseReport>): BegunClose {
  let start = (_report: Promise<CloseReport>): void => {};
  const promise = new Promise<CloseReport>((resolve) => {
    start = resolve;
  });
  const close: BegunClose = {
    promise,
    handles: new Map(servers.map((server) => [server, handleOf(server)])),
    isOver: false,
  };
  for (const server of servers) begun.set(server, close);
  underWay.add(close);
  void promise.finally(() => {
    close.isOver = true;
    underWay.delete(close);
  });
  start(run());
  return close;
}
