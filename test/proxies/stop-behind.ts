import type { TestContext } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import { type HowToStop, type Instance, startInstance } from './instance.ts';
import { type MixedResult, PATHS, startLoad } from './load.ts';
import { type Proxy, startProxy } from './proxy.ts';

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
export async function stopUnderLoad(t: TestContext, proxy: Proxy, how: HowToStop): Promise<StoppedBehind> {
  const [going, staying] = await Promise.all([startInstance(t, how), startInstance(t, how)]);
  const { origin, folder } = await startProxy(t, proxy, [going.port, staying.port]);
  const endLoad = startLoad(t, origin, folder);
  await Promise.all([going.serves(PATHS, TIMES), staying.serves(PATHS, TIMES)]);
  const report = await stop(going, how);
  await staying.serves(PATHS, TIMES);
  return { ...(await endLoad()), report, noticed: await proxy.noticed(folder) };
}

/** The same for an instance that was held up, and has so many clients in its accept queue when it hears of the stop. */
export async function stopHeldUp(
  t: TestContext,
  proxy: Proxy,
  how: HowToStop,
  clients: number,
): Promise<StoppedBehind> {
  const [going, staying] = await Promise.all([startInstance(t, how), startInstance(t, how)]);
  const { origin, folder } = await startProxy(t, proxy, [going.port, staying.port]);
  going.holdUp();
  const endLoad = startLoad(t, origin, folder);
  await going.queues(clients);
  const stopped = stop(going, how);
  going.goOn();
  const report = await stopped;
  await staying.serves(PATHS, TIMES);
  return { ...(await endLoad()), report, noticed: await proxy.noticed(folder) };
}

/**
 * Restarts both instances at their ports, one after the other: the second as soon as the first `listens` again, or when the
 * proxy has sent it requests and it `serves`.
 */
export async function restartBoth(t: TestContext, proxy: Proxy, once: 'listens' | 'serves'): Promise<StoppedBehind> {
  const how = 'graceful';
  const instances = await Promise.all([startInstance(t, how), startInstance(t, how)]);
  const ports = instances.map(({ port }) => port);
  const { origin, folder } = await startProxy(t, proxy, ports);
  const endLoad = startLoad(t, origin, folder);
  await Promise.all(instances.map((instance) => instance.serves(PATHS, TIMES)));
  for (const instance of instances) {
    await Promise.all([stop(instance, how), instance.ended]);
    const next = await startInstance(t, how, instance.port);
    if (once === 'serves') await next.serves(PATHS, TIMES);
  }
  return { ...(await endLoad()), report: undefined, noticed: await proxy.noticed(folder) };
}

async function stop(instance: Instance, how: HowToStop): Promise<CloseReport | undefined> {
  instance.stop();
  if (how !== 'graceful') return undefined;
  const [report] = await Promise.all([instance.report, instance.ended]);
  return report;
}
