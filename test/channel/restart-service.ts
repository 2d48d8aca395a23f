import type { ChannelCallersResult } from '../fixtures/channel/channel-callers.ts';
import type { ChannelServiceConfig } from '../fixtures/channel/channel-service.ts';
import { Scope } from '../harness/scope.ts';
import { ChannelCallers, ChannelService } from './channel-service-driver.ts';

/** How many requests each client has at the same time. */
export const AT_ONCE = 10;

export interface Restarts {
  readonly atSigterm: ChannelServiceConfig['atSigterm'];
  readonly times: number;
  readonly clients: number;
  /** The Node that runs the service and its clients. Default: the one that runs the test. */
  readonly node?: string;
}

export interface Restarted {
  readonly result: ChannelCallersResult;
  /** What all the processes together have processed. */
  readonly processed: readonly number[];
  /** Of each restart. A plain close sends none. */
  readonly farewells: readonly { readonly said: number; readonly answered: number; readonly unanswered: number }[];
}

/** Runs one process after the other on the same port, while clients send requests. */
export async function restart({ atSigterm, times, clients, ...options }: Restarts): Promise<Restarted> {
  await using scope = new Scope();
  const config = { host: '127.0.0.1', port: 0, takes: 100, atSigterm };
  let service = scope.use(await ChannelService.start(config, options));
  const { port } = service;
  const asked = { address: { host: '127.0.0.1', port }, clients, atOnce: AT_ONCE, length: 64 };
  await using callers = new ChannelCallers(asked, options);
  const processed: number[] = [];
  const farewells: Restarted['farewells'][number][] = [];
  for (let restarts = 0; restarts < times; restarts++) {
    // Not of each client: Node accepts one connection in a turn of its loop, so a busy service leaves some clients in its queue. They
    // are accepted when it closes.
    await callers.answers(3 * clients * AT_ONCE);
    // All are connected, and all requests are under way. In every other round they still are at the close. In the others, answers and
    // new requests cross the farewell.
    await service.holdBack(clients * AT_ONCE);
    if (restarts % 2 === 1) service.goOn();
    const stopped = await service.stop();
    processed.push(...stopped.processed);
    if (stopped.report !== undefined) farewells.push(stopped.report.connections.farewells);
    service = scope.use(await ChannelService.start({ ...config, port }, options));
  }
  const result = await callers.stop();
  processed.push(...(await service.stop()).processed);
  return { result, processed, farewells };
}
