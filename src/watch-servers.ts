import { isBun, rememberSockets } from './bun.ts';
import { rehearseClose } from './close/rehearse.ts';
import { watchHandshakes } from './connection/tls.ts';
import { watchUpgrades } from './connection/upgrades.ts';
import { watchCluster } from './lifecycle/cluster-listening.ts';
import { watchListeners } from './listener/watch.ts';

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
    rehearseClose(server);
  });
}
