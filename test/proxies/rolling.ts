import type { CloseReport } from '../../src/index.ts';
import type { SinceSignal } from '../fixtures/proxies/proxy-backend.ts';
import { Scope } from '../harness/scope.ts';
import { type HowToStop, startInstance } from './proxy-backend-driver.ts';
import { type MixedResult, startLoad } from './load.ts';
import { type Proxy, startProxy } from './proxy.ts';
import { storms } from './storms.ts';
import { wrk } from './wrk.ts';

const INSTANCES = 3;
const CLIENTS = [wrk, storms];
const PATHS = CLIENTS.flatMap(({ names }) => names.map((name) => `/${name}`));
/** Requests of each client that an instance has served before the next one is stopped. */
const TIMES = 10;

/** What came of a rolling restart. */
export interface Roll extends MixedResult {
  /** Of each instance that was stopped, if it is a service. */
  readonly stopped: readonly { readonly report: CloseReport; readonly sinceSignal: SinceSignal }[];
  /** What the proxy noticed. */
  readonly noticed: string;
}

/**
 * Restarts three instances behind a proxy under load, one after the other at its port: the next one as soon as the proxy has
 * sent requests to the one that was restarted.
 */
export async function roll(proxy: Proxy, how: HowToStop): Promise<Roll> {
  await using scope = new Scope();
  const instances = await Promise.all(Array.from({ length: INSTANCES }, () => startInstance(scope, how)));
  const ports = instances.map(({ port }) => port);
  const { origin, folder } = await startProxy(scope, proxy, ports);
  const endLoad = startLoad(scope, origin, folder, CLIENTS);
  await Promise.all(instances.map((instance) => instance.serves(PATHS, TIMES)));
  const stopped: { report: CloseReport; sinceSignal: SinceSignal }[] = [];
  for (const instance of instances) {
    const { report, sinceSignal } = await instance.stop();
    if (report !== undefined && sinceSignal !== undefined) stopped.push({ report, sinceSignal });
    const next = await startInstance(scope, how, instance.port);
    await next.serves(PATHS, TIMES);
  }
  return { ...(await endLoad()), stopped, noticed: await proxy.noticed(folder) };
}
