import type { CloseReport } from '../../src/index.ts';
import { Scope } from '../harness/scope.ts';
import { type MixedResult, PATHS, startLoad } from './load.ts';
import { type Proxy, startProxy } from './proxy.ts';
import { type HowToStop, startInstance } from './proxy-backend-driver.ts';

/** Requests of each client that an instance has served before something happens, and the other one afterwards. */
const TIMES = 20;

/** What came of a stop. */
export interface StoppedBehind extends MixedResult {
  /** Of a graceful close. */
  readonly report: CloseReport | undefined;
  /** What the proxy noticed. */
  readonly noticed: string;
}

/** Stops one of two instances behind a proxy under the load of all clients; the other stays. */
export async function stopUnderLoad(proxy: Proxy, how: HowToStop): Promise<StoppedBehind> {
  await using scope = new Scope();
  const [going, staying] = await Promise.all([startInstance(scope, how), startInstance(scope, how)]);
  const { origin, folder } = await startProxy(scope, proxy, [going.port, staying.port]);
  const endLoad = startLoad(scope, origin, folder);
  await Promise.all([going.serves(PATHS, TIMES), staying.serves(PATHS, TIMES)]);
  const { report } = await going.stop();
  await staying.serves(PATHS, TIMES);
  return { ...(await endLoad()), report, noticed: await proxy.noticed(folder) };
}

/** The same for an instance that was held still, and has so many clients in its accept queue when it hears of the stop. */
export async function stopHeld(proxy: Proxy, how: HowToStop, clients: number): Promise<StoppedBehind> {
  await using scope = new Scope();
  const [going, staying] = await Promise.all([startInstance(scope, how), startInstance(scope, how)]);
  const { origin, folder } = await startProxy(scope, proxy, [going.port, staying.port]);
  await going.hold();
  const endLoad = startLoad(scope, origin, folder);
  await going.queues(clients);
  const { report } = await going.stop();
  await staying.serves(PATHS, TIMES);
  return { ...(await endLoad()), report, noticed: await proxy.noticed(folder) };
}

/**
 * Restarts both instances at their ports, one after the other: the second as soon as the first `listens` again, or when the
 * proxy has sent it requests and it `serves`.
 */
export async function restartBoth(
  proxy: Proxy,
  once: 'listens' | 'serves',
  how: HowToStop = 'graceful',
): Promise<StoppedBehind> {
  await using scope = new Scope();
  const instances = await Promise.all([startInstance(scope, how), startInstance(scope, how)]);
  const ports = instances.map(({ port }) => port);
  const { origin, folder } = await startProxy(scope, proxy, ports);
  const endLoad = startLoad(scope, origin, folder);
  await Promise.all(instances.map((instance) => instance.serves(PATHS, TIMES)));
  for (const instance of instances) {
    await instance.stop();
    const next = await startInstance(scope, how, instance.port);
    if (once === 'serves') await next.serves(PATHS, TIMES);
  }
  return { ...(await endLoad()), report: undefined, noticed: await proxy.noticed(folder) };
}
