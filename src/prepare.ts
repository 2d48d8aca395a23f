import { isBun, rememberSockets } from './node/bun.ts';
import { rehearseClose } from './close/warm-up.ts';
import { watchHandshakes } from './connection/tls/sockets.ts';
import { watchUpgrades } from './connection/http1/upgrades.ts';
import { watchCluster } from './lifecycle/cluster/watch-workers.ts';
import { watchListeners } from './listener/listening.ts';

let isWatching = false;

/** From now on every server, and every worker of a cluster, is seen when it begins to listen, and what a close will need is made ready. Does so once. */
export function watchServers(): void {
  if (isWatching) return;
  isWatching = true;
  watchCluster();
  if (isBun) rememberSockets();
  watchListeners((server) => {
    watchHandshakes(server);
    watchUpgrades(server);
    // Signals are listened for first, by whoever makes a service of it: until then one ends the process, and resets who has come.
    process.nextTick(rehearseClose, server);
  });
}
