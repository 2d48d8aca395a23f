import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { SocketIoClient, SocketIoClientsOrder } from '../fixtures/connection/websocket/socket-io-clients.ts';
import type { SocketIoServerClosed, SocketIoServerOrder } from '../fixtures/connection/websocket/socket-io-server.ts';
import { ForkedProgram } from './forked-program.ts';

const CLIENTS = 100;

describe(`socket.io over WebSocket, with ${CLIENTS} clients under a load of events`, { timeout: 180_000 }, () => {
  for (const { how, given } of [
    { how: 'by a raw Close frame', given: false },
    { how: 'through the WebSockets below it', given: true },
  ]) {
    it(`tells each client 1001 ${how}; no event before it is missing, and all find the successor`, async (t) => {
      const { server, clients, port } = await start(t);
      server.order({ close: { given } });
      await server.next('listenerClosed');
      const successor = new ForkedProgram<SocketIoServerOrder>(t, 'connection/websocket/socket-io-server.js', [
        String(port),
      ]);
      await successor.next('port');
      const { report, served } = await server.next<SocketIoServerClosed>('closed');
      clients.order({ enough: 1 });
      await clients.next('enough');
      const seen = await tell(clients);

      const { outcome, connections } = report;
      assert.deepEqual([outcome, connections.cut, connections.ended], ['complete', [], CLIENTS]);
      assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
      for (const client of seen) {
        const at = served.find(({ id }) => id === client.id);
        const told = JSON.stringify({ client, at });
        assert.deepEqual([client.reason, client.code, client.astray], ['transport close', 1001, 0], told);
        assert(at !== undefined && client.received >= at.emittedBefore && at.emittedBefore >= 5, told);
        // Once its WebSocket is closing socket.io takes what it emits itself for a transport error, and hears no more.
        assert(client.said > 0 && (given || at.received === client.said), told);
      }
    });
  }

  it('control: tells nobody anything by server.close() and the end of the process', async (t) => {
    const { server, clients } = await start(t);
    server.order({ plain: true });
    await clients.next('allDisconnected');
    const seen = await tell(clients);
    assert.equal(seen.length, CLIENTS);
    assert.deepEqual([...new Set(seen.map(({ code }) => code))], [1006]);
  });
});

async function start(t: TestContext): Promise<{
  readonly server: ForkedProgram<SocketIoServerOrder>;
  readonly clients: ForkedProgram<SocketIoClientsOrder>;
  readonly port: number;
}> {
  const server = new ForkedProgram<SocketIoServerOrder>(t, 'connection/websocket/socket-io-server.js');
  const clients = new ForkedProgram<SocketIoClientsOrder>(t, 'connection/websocket/socket-io-clients.js');
  const port = await server.next<number>('port');
  clients.order({ connect: { port, clients: CLIENTS }, enough: 1 });
  await clients.next('enough');
  server.order({ emitEvery: 20 });
  clients.order({ enough: 5 });
  await clients.next('enough');
  return { server, clients, port };
}

async function tell(clients: ForkedProgram<SocketIoClientsOrder>): Promise<readonly SocketIoClient[]> {
  clients.order({ tell: true });
  return clients.next<readonly SocketIoClient[]>('seen');
}
