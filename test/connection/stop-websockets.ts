import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { CloseReport } from '../../src/index.ts';
import type {
  WebSocketClient,
  WebSocketClientsOrder,
  WebSocketClientsSetup,
} from '../fixtures/connection/websocket/websocket-clients.ts';
import type {
  ServedWebSocket,
  WebSocketServerClosed,
  WebSocketServerOrder,
} from '../fixtures/connection/websocket/websocket-server.ts';
import { ForkedProgram } from './forked-program.ts';

/** A `ws` server and its clients, each in a process of its own. */
export interface WebSocketScene {
  readonly server: ForkedProgram<WebSocketServerOrder>;
  readonly clients: ForkedProgram<WebSocketClientsOrder>;
  readonly port: number;
}

/** One connection as both sides saw it. */
export interface WebSocketPair {
  readonly client: WebSocketClient;
  readonly served: ServedWebSocket;
}

export async function startWebSockets(
  t: TestContext,
  setup: (Omit<WebSocketClientsSetup, 'port'> & { readonly key?: string; readonly hidden?: boolean }) | undefined,
): Promise<WebSocketScene> {
  const { deflate, hidden, key, cert } = setup ?? {};
  const args = [JSON.stringify({ deflate, hidden, key, cert })];
  const server = new ForkedProgram<WebSocketServerOrder>(t, 'connection/websocket/websocket-server.js', args);
  const clients = new ForkedProgram<WebSocketClientsOrder>(t, 'connection/websocket/websocket-clients.js');
  const port = await server.next<number>('port');
  if (setup !== undefined) {
    clients.order({ connect: { ...setup, port } });
    await clients.next('opened');
  }
  return { server, clients, port };
}

/** Messages on every connection, until each client has got so many. */
export async function putUnderLoad({ server, clients }: WebSocketScene, messages: number): Promise<void> {
  server.order({ sendEvery: 100 });
  clients.order({ enough: messages });
  await clients.next('enough');
}

/** What came of a close that was ordered, on both sides. */
export async function stopped({ server, clients }: WebSocketScene): Promise<{
  readonly report: CloseReport;
  readonly pairs: readonly WebSocketPair[];
  readonly compressing: number;
}> {
  const [{ report, served, compressing }, ended] = await Promise.all([
    server.next<WebSocketServerClosed>('closed'),
    clients.next<readonly WebSocketClient[]>('ended'),
  ]);
  const byId = new Map(served.map((connection) => [connection.id, connection]));
  const pairs = ended.map((client) => ({ client, served: byId.get(client.id) ?? assert.fail(`no ${client.id}`) }));
  return { report, pairs, compressing };
}

/** Each client got this code and reason, after every message that was sent before the Close, and lost none of its own. */
export function assertAllToldAndNothingMissing(
  pairs: readonly WebSocketPair[],
  { given, code = 1001, reason = '' }: { readonly given: boolean; readonly code?: number; readonly reason?: string },
): void {
  for (const { client, served } of pairs) {
    const told = `client ${client.id}: ${JSON.stringify({ client, served })}`;
    assert.deepEqual([client.code, client.reason, served.code], [code, reason, code], told);
    assert.equal(client.astray, 0, told);
    // Without the server's object `ws` goes on sending behind our Close frame, and its own count knows no better.
    if (given) assert.equal(client.received, served.sent, told);
    else assert(client.received >= served.sentBefore, told);
    assert.equal(served.received, client.said, told);
  }
}

/** Nobody was cut, and each client was said farewell and has answered. */
export function assertAllAnswered(report: CloseReport, clients: number): void {
  const { outcome, connections } = report;
  assert.deepEqual([outcome, connections.cut], ['complete', []]);
  assert.deepEqual(
    [connections.ended, connections.farewells],
    [clients, { said: clients, answered: clients, unanswered: 0 }],
  );
}
