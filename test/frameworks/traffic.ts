import { once } from 'node:events';
import http from 'node:http';
import { text } from 'node:stream/consumers';
import { readTcpTable } from '../../src/linux/tables/proc-net.ts';
import type { StormResult } from '../../src/storm/storm.ts';
import { ask } from '../close/calls-servers.ts';
import { startStorm } from '../harness/storms.ts';
import { until, within } from '../harness/wait.ts';
import type { Stoppable } from './example-driver.ts';

const HOST = '127.0.0.1';
// net/tcp_states.h
const ESTABLISHED = 1;

export interface StoppedWhileAsked extends StormResult {
  /** Connections on which a request had come that the server had not read, when it did what it does at the signal. */
  readonly unread: number;
}

/**
 * Stops the server while clients ask on kept connections, with short pauses, so that some are idle at that moment and others
 * wait for their answer. One that stands still at the signal goes on when half of the connections have a request that it has
 * not read. Those refused later leave. `request`: the bytes of one, if it is not GET /.
 */
export async function stopWhileAsked(
  server: Stoppable,
  clients: number,
  request?: Uint8Array,
): Promise<StoppedWhileAsked> {
  const storm = startStorm(server.port, {
    clients,
    keepAlive: true,
    ...(request === undefined ? {} : { request }),
    thinkTime: [0, 5],
  });
  await within('the first requests to be served', storm.served(5 * clients));
  const unread = await stopUnread(server, clients / 2);
  return { ...(await storm.finished), unread };
}

async function stopUnread(server: Stoppable, atLeast: number): Promise<number> {
  if (server.stopInTurn === undefined) {
    server.stop();
    return 0;
  }
  const goOn = await server.stopInTurn();
  await until(`${atLeast} requests are unread`, () => countUnread(server.port) >= atLeast);
  const unread = countUnread(server.port);
  goOn();
  return unread;
}

/** Connections of a port of this host on which bytes have come that the program has not read. */
function countUnread(port: number): number {
  const rows = (['IPv4', 'IPv6'] as const).flatMap((family) => readTcpTable(family));
  return rows.filter((row) => row.state === ESTABLISHED && row.localPort === port && row.receiveQueue > 0).length;
}

/**
 * Stops the server before it has accepted anyone of so many clients that are connected and have asked. Returns what each
 * got: the first line of the answer, or the error's code.
 */
export async function stopWithQueue(server: Stoppable, clients: number): Promise<readonly string[]> {
  await server.hold();
  const queued = Array.from({ length: clients }, () => ask(server.port));
  await within('all clients to be connected', Promise.all(queued.map(({ socket }) => once(socket, 'connect'))));
  server.stop();
  server.goOn();
  return within('the answers to all clients', Promise.all(queued.map(({ answer }) => answer)));
}

export interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  readonly body: string;
}

/** A request of a client that would keep its connection. Its body is the caller's to write and to end. For `using`. */
export class UnfinishedRequest implements Disposable {
  readonly request: http.ClientRequest;
  /** The head of the response, whose body is not read before `answer` is called. */
  readonly head: Promise<http.IncomingMessage>;
  readonly #agent = new http.Agent({ keepAlive: true });

  constructor(port: number, options: http.RequestOptions) {
    this.request = http.request({ host: HOST, port, agent: this.#agent, ...options });
    this.head = within('a response', once(this.request, 'response')).then(([response]: http.IncomingMessage[]) => {
      if (response === undefined) throw new Error('no response');
      return response;
    });
    // Who does not wait for it any more need not hear that it never came.
    this.head.catch(() => {});
  }

  /** The whole response. */
  async answer(): Promise<Answer> {
    const response = await this.head;
    const { statusCode: status, headers } = response;
    return { status, connection: headers.connection, body: await within('the whole response', text(response)) };
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }
}
