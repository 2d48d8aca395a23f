import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { countLost } from '../../src/storm/outcome.ts';
import { runStorm, type StormResult } from '../../src/storm/storm.ts';
import { ask } from '../close/calls-servers.ts';
import type { RunningExample } from './example.ts';

const HOST = '127.0.0.1';

/** A server that is told to stop under traffic. */
export type Stoppable = Pick<RunningExample, 'port' | 'stop' | 'holdUp' | 'goOn'>;

/**
 * Stops the example while clients ask on kept connections, with short pauses, so that some are idle at that moment and
 * others wait for their answer. Those refused later leave. `request`: the bytes of one, if it is not GET /.
 */
export async function stopInStorm(
  t: TestContext,
  example: Stoppable,
  clients: number,
  request?: Uint8Array,
): Promise<StormResult> {
  const target = { host: HOST, port: example.port };
  const storm = runStorm({
    target,
    clients,
    keepAlive: true,
    ...(request === undefined ? {} : { request }),
    thinkTime: [0, 5],
    signal: t.signal,
    // That decides it. A plain close lets those go on whose requests it had read already, for as long as they like.
    onProgress: (counts) => {
      if (countLost(counts) > 0) storm.stop();
    },
  });
  await storm.served(20 * clients);
  example.stop();
  return storm.finished;
}

/**
 * Stops the example before it has accepted anyone of so many clients that are connected and have asked. Returns what each
 * got: the first line of the answer, or the error's code.
 */
export async function stopWithQueue(example: Stoppable, clients: number): Promise<readonly string[]> {
  await example.holdUp();
  const queued = Array.from({ length: clients }, () => ask(example.port));
  await Promise.all(queued.map(({ socket }) => once(socket, 'connect')));
  example.stop();
  example.goOn();
  return Promise.all(queued.map(({ answer }) => answer));
}

export interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  readonly body: string;
}

/** A request of a client that would keep its connection. Its body is the caller's to write and to end. */
export function beginRequest(
  t: TestContext,
  example: Pick<RunningExample, 'port'>,
  options: http.RequestOptions,
): { request: http.ClientRequest; head: Promise<http.IncomingMessage>; answer: Promise<Answer> } {
  const agent = new http.Agent({ keepAlive: true });
  t.after(() => agent.destroy());
  const request = http.request({ host: HOST, port: example.port, agent, ...options });
  const head = once(request, 'response').then(([response]: http.IncomingMessage[]) => response!);
  const answer = head.then(async (response) => {
    const { statusCode: status, headers } = response;
    return { status, connection: headers.connection, body: await text(response) };
  });
  return { request, head, answer };
}
