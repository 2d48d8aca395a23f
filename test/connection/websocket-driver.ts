// The test's side of the fixtures connection/websocket/websocket-server and websocket-clients.
import assert from 'node:assert/strict';
import type { CloseReport } from '../../src/index.ts';
import type {
  WebSocketClient,
  WebSocketClientsOrder,
  WebSocketClientsSends,
  WebSocketClientsSetup,
} from '../fixtures/connection/websocket/websocket-clients.ts';
import type {
  ServedWebSocket,
  WebSocketServerOrder,
  WebSocketServerSends,
} from '../fixtures/connection/websocket/websocket-server.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import { Scope } from '../harness/scope.ts';

/** One connection as both sides saw it. */
export interface WebSocketPair {
  readonly client: WebSocketClient;
  readonly served: ServedWebSocket;
}

/** What came of a close that was ordered, on both sides. */
export interface StoppedWebSockets {
  readonly report: CloseReport;
  readonly pairs: readonly WebSocketPair[];
  /** On how many connections messages were still being compressed when the close began. */
  readonly compressing: number;
}

type ClientsSetup = Omit<WebSocketClientsSetup, 'port'> & { readonly key?: string; readonly hidden?: boolean };

/** Starts a `ws` server and, with a setup, its clients. Resolves when they have all been answered. */
export async function startWebSockets(setup?: ClientsSetup): Promise<WebSocketScene> {
  const { deflate, hidden, key, cert } = setup ?? {};
  const scene = new WebSocketScene(JSON.stringify({ deflate, hidden, key, cert }));
  try {
    await scene.connect(setup);
    return scene;
  } catch (error) {
    await scene[Symbol.asyncDispose]();
    throw error;
  }
}

/** A `ws` server and its clients, each in a process of its own. For `await using`. */
export class WebSocketScene implements AsyncDisposable {
  readonly server: TestProcess<WebSocketServerSends>;
  readonly clients: TestProcess<WebSocketClientsSends>;
  readonly #scope = new Scope();
  #port = 0;

  constructor(argument: string) {
    const args = [argument];
    this.server = this.#scope.use(startFixture('connection/websocket/websocket-server', { args }));
    this.clients = this.#scope.use(startFixture('connection/websocket/websocket-clients'));
  }

  /** Waits until the server listens, and until the clients, if there are any, have been answered. */
  async connect(setup: ClientsSetup | undefined): Promise<void> {
    this.#port = await this.server.next('port');
    if (setup === undefined) return;
    this.beginConnecting(setup);
    await this.clients.next('opened');
  }

  /** The clients send `connected` when the kernel has taken them in, and `opened` when the server has answered. */
  beginConnecting(setup: ClientsSetup): void {
    this.orderClients({ connect: { ...setup, port: this.#port } });
  }

  orderServer(order: WebSocketServerOrder): void {
    this.server.send(order);
  }

  orderClients(order: WebSocketClientsOrder): void {
    this.clients.send(order);
  }

  /** Messages on every connection, until each client has got so many. */
  async putUnderLoad(messages: number): Promise<void> {
    this.orderServer({ sendEvery: 100 });
    this.orderClients({ enough: messages });
    await this.clients.next('enough');
  }

  /** Resolves when the close that was ordered is over, and all clients have ended. */
  async stopped(): Promise<StoppedWebSockets> {
    const [{ report, served, compressing }, ended] = await Promise.all([
      this.server.next('closed'),
      this.clients.next('ended'),
    ]);
    const byId = new Map(served.map((connection) => [connection.id, connection]));
    const pairs = ended.map((client) => ({ client, served: byId.get(client.id) ?? assert.fail(`no ${client.id}`) }));
    return { report, pairs, compressing };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope[Symbol.asyncDispose]();
  }
}

/** Each client got this code and reason, after every message that was sent before the Close, and lost none of its own. */
export function assertAllToldAndNothingMissing(
  pairs: readonly WebSocketPair[],
  { given, code = 1001, reason = '' }: { readonly given: boolean; readonly code?: number; readonly reason?: string },
): void {
  for (const { client, served } of pairs) {
    const told = `client ${client.id}: ${JSON.stringify({ client, served })}`;
    assert.deepEqual(
      { code: client.code, reason: client.reason, answer: served.code, astray: client.astray },
      { code, reason, answer: code, astray: 0 },
      told,
    );
    // Without the server's object `ws` goes on sending behind our Close frame, and its own count knows no better.
    if (given) assert.equal(client.received, served.sent, told);
    else assert(client.received >= served.sentBefore, told);
    assert.equal(served.received, client.said, told);
  }
}

/** Nobody was cut, and each client was said farewell and has answered. */
export function assertAllAnswered(report: CloseReport, clients: number): void {
  const { outcome, doubts, connections } = report;
  const { cut, ended, farewells } = connections;
  assert.deepEqual(
    { outcome, doubts, cut, ended, farewells },
    {
      outcome: 'complete',
      doubts: [],
      cut: [],
      ended: clients,
      farewells: { said: clients, answered: clients, unanswered: 0 },
    },
  );
}

/** The codes that the clients saw, each once. */
export function codesOf(ended: readonly WebSocketClient[]): ReadonlySet<number> {
  return new Set(ended.map(({ code }) => code));
}
