import type net from 'node:net';
import type { Close } from '../close/close.ts';
import type { CloseReport } from '../close/report.ts';
import { Connections } from '../connection/connections.ts';
import { releaseServers } from '../connection/http1/server.ts';
import { endListener } from '../listener/end-listener.ts';
import { releaseIfNobodyListens } from '../listener/listening.ts';
import type { Listener } from '../listener/listener.ts';
import { holdCloseEvent } from '../node/fields.ts';
import { connectionsElsewhereEnded } from './passed-on.ts';
import { Progress } from './progress.ts';

/** The steps of a close, numbered as in docs/how-it-works.md. */
export async function closeServers(
  servers: readonly net.Server[],
  listeners: readonly Listener[],
  close: Close,
): Promise<CloseReport> {
  // 1 to 3. All gates shut in this turn of the loop; then the queues drain, and the listeners close.
  const ending = listeners.map((listener) => endListener(listener, close));
  // 4. Connections. From here on responses say that they are the last: one may be written in this turn.
  const connections = new Connections(servers, close);
  const releaseCloseEvents = holdCloseEvents(listeners);
  // What each listener does right after its gate goes before what takes long with many connections.
  await Promise.resolve();
  connections.begin();
  const progress = new Progress(close, connections, listeners);
  const reports = await Promise.all(
    ending.map(async (end, index) => {
      const { report, unaccepted } = await end;
      const server = listeners[index]?.server;
      if (server !== undefined) connections.endArrivals(server);
      connections.countUnaccepted(unaccepted);
      return report;
    }),
  ).finally(releaseCloseEvents);
  progress.enter('ending connections');
  // 5. What is left at the deadline is cut, and named.
  await Promise.race([connections.allEnded(), close.clock.timeIsUp()]);
  connections.noteNoneLeft();
  await connectionsElsewhereEnded(servers, connections.receivers, close);
  connections.cutAll(close.clock.reason);
  releaseServers(servers);
  releaseIfNobodyListens();
  progress.publish();
  close.clock.end();
  const report = close.report(reports);
  close.diagnostics.closed.publish(report);
  return report;
}

/**
 * Servers that are closed together emit 'close' together, when all their listeners are closed: some frameworks close the
 * others, queues or not, as soon as one has closed.
 */
function holdCloseEvents(listeners: readonly Listener[]): () => Promise<void> {
  const servers = listeners.flatMap(({ server }) => server ?? []);
  if (servers.length < 2) return () => Promise.resolve();
  const releases = servers.map(holdCloseEvent);
  return () => {
    for (const release of releases) release();
    // Node emits on the next tick, and the report comes after that.
    return new Promise((resolve) => process.nextTick(resolve));
  };
}
