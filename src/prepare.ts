import { isBun, rememberSockets } from './node/bun.ts';
import { warmUpClose } from './servers/warm-up.ts';
import { noteListens, watchFeeds } from './connection/handed-over/fed-servers.ts';
import { watchHandshakes, watchTls } from './connection/tls/sockets.ts';
import { watchUpgrades } from './connection/http1/upgrades.ts';
import { watchStreams } from './connection/http2/event-streams.ts';
import { watchCluster } from './lifecycle/cluster/watch-workers.ts';
import { watchOrigins } from './lifecycle/signals/listener-names.ts';
import { watchSignals } from './lifecycle/signals/process-events.ts';
import { publishWaitUntil } from './lifecycle/work.ts';
import { watchListeners } from './listener/listening.ts';

let isWatching = false;

/** From now on prepares every server, and every worker of a cluster, for a close when it begins to listen. Does so once. */
export function prepareServers(): void {
  if (isWatching) return;
  isWatching = true;
  watchCluster();
  watchOrigins();
  watchSignals();
  publishWaitUntil();
  watchTls();
  watchFeeds();
  if (isBun) rememberSockets();
  watchListeners((server) => {
    noteListens(server);
    watchHandshakes(server);
    watchUpgrades(server);
    watchStreams(server);
    // A service listens for signals first: until then a signal ends the process, and resets its clients.
    process.nextTick(warmUpClose, server);
  });
}
