// The test's side of the fixture proxies/proxy-backend.
import type { CloseReport } from '../../src/index.ts';
import type { HowToStop, InstanceOrder, InstanceSends, SinceSignal } from '../fixtures/proxies/proxy-backend.ts';
import { queuedAt } from '../harness/ports.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import type { Scope } from '../harness/scope.ts';
import { until, within } from '../harness/wait.ts';

export type { HowToStop } from '../fixtures/proxies/proxy-backend.ts';

/** What an instance has said of its stop: a graceful close has a report, a service what it has seen, too. */
export interface StoppedInstance {
  readonly report: CloseReport | undefined;
  readonly sinceSignal: SinceSignal | undefined;
}

/** One instance of the service behind the proxy. */
export interface Instance {
  readonly port: number;
  /** Resolves once it has served each of these paths so many times more. */
  serves(paths: readonly string[], times: number): Promise<unknown>;
  /** SIGTERM, and if it is held still it goes on. Resolves when it has ended. */
  stop(): Promise<StoppedInstance>;
  /** Holds the program still, while the kernel goes on to take in clients. */
  hold(): Promise<void>;
  /** Resolves once so many clients wait in its accept queue. */
  queues(clients: number): Promise<void>;
}

/** Starts an instance on a free port, or on that of the one before it. */
export async function startInstance(scope: Scope, how: HowToStop, port = 0): Promise<Instance> {
  const instance = scope.use(startFixture<InstanceSends>('proxies/proxy-backend', { args: [how, `${port}`] }));
  const listening = await instance.next('port');
  return {
    port: listening,
    serves: (paths, times) => {
      instance.send({ paths, times } satisfies InstanceOrder);
      return instance.next('served');
    },
    stop: () => stop(instance, how),
    hold: () => instance.hold(),
    queues: (clients) => until(`${clients} clients wait in the accept queue`, () => queuedAt(listening) >= clients),
  };
}

async function stop(instance: TestProcess<InstanceSends>, how: HowToStop): Promise<StoppedInstance> {
  instance.signal('SIGTERM');
  instance.goOn();
  const isService = how === 'last call' || how === 'lame duck';
  const report = isService || how === 'graceful' ? await instance.next('report') : undefined;
  const sinceSignal = isService ? await instance.next('sinceSignal') : undefined;
  await within('the end of the instance', instance.ended);
  return { report, sinceSignal };
}
