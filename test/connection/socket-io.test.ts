import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type {
  SocketIoClient,
  SocketIoClientsOrder,
  SocketIoClientsSends,
} from '../fixtures/connection/websocket/socket-io-clients.ts';
import type { SocketIoServerOrder, SocketIoServerSends } from '../fixtures/connection/websocket/socket-io-server.ts';
import { startFixture, type TestProcess } from '../harness/processes.ts';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';

const CLIENTS = 100;
const SERVER = 'connection/websocket/socket-io-server';

describe(`socket.io over WebSocket, with ${CLIENTS} clients under a load of events`, { timeout: 180_000 }, () => {
  const proof = prove(`${CLIENTS} clients of socket.io under a load of events`);

  for (const { how, given } of [
    { how: 'by a raw Close frame', given: false },
    { how: 'through the WebSockets below it', given: true },
  ]) {
    it(`tells each client 1001 ${how}; no event before it is missing, and all find the successor`, async (t) => {
      await using scope = new Scope();
      const { server, clients, port } = await start(scope);
      order(server, { close: { given } });
      await server.next('listenerClosed');
      const successor = scope.use(startFixture<SocketIoServerSends>(SERVER, { args: [String(port)] }));
      await successor.next('port');
      const { report, served } = await server.next('closed');
      await gotEnough(clients, { enough: 1 });
      const seen = await whatWasSeen(clients);

      const { outcome, doubts, connections } = report;
      assert.deepEqual(
        { outcome, doubts, cut: connections.cut, ended: connections.ended },
        { outcome: 'complete', doubts: [], cut: [], ended: CLIENTS },
      );
      assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
      for (const client of seen) {
        const at = served.find(({ id }) => id === client.id);
        const told = JSON.stringify({ client, at });
        const { reason, code, astray } = client;
        assert.deepEqual({ reason, code, astray }, { reason: 'transport close', code: 1001, astray: 0 }, told);
        assert(at !== undefined && client.received >= at.emittedBefore && at.emittedBefore >= 5, told);
        // Once its WebSocket is closing socket.io takes what it emits itself for a transport error, and hears no more.
        assert(client.said > 0 && (given || at.received === client.said), told);
      }
      proof.held(t, { connections: seen.length });
    });
  }

  it('control: tells nobody anything by server.close() and the end of the process', async (t) => {
    await using scope = new Scope();
    const { server, clients } = await start(scope);
    order(server, { plain: true });
    await clients.next('allDisconnected');
    const seen = await whatWasSeen(clients);
    assert.equal(seen.length, CLIENTS);
    assert.deepEqual(new Set(seen.map(({ code }) => code)), new Set([1006]));
    proof.lost(t, seen.length);
  });
});

async function start(scope: Scope): Promise<{
  readonly server: TestProcess<SocketIoServerSends>;
  readonly clients: TestProcess<SocketIoClientsSends>;
  readonly port: number;
}> {
  const server = scope.use(startFixture<SocketIoServerSends>(SERVER));
  const clients = scope.use(startFixture<SocketIoClientsSends>('connection/websocket/socket-io-clients'));
  const port = await server.next('port');
  await gotEnough(clients, { connect: { port, clients: CLIENTS }, enough: 1 });
  order(server, { emitEvery: 20 });
  await gotEnough(clients, { enough: 5 });
  return { server, clients, port };
}

function order(server: TestProcess<SocketIoServerSends>, what: SocketIoServerOrder): void {
  server.send(what);
}

/** Resolves when each client has got as many events as the order says. */
async function gotEnough(clients: TestProcess<SocketIoClientsSends>, what: SocketIoClientsOrder): Promise<void> {
  clients.send(what);
  await clients.next('enough');
}

function whatWasSeen(clients: TestProcess<SocketIoClientsSends>): Promise<readonly SocketIoClient[]> {
  clients.send({ tell: true } satisfies SocketIoClientsOrder);
  return clients.next('seen');
}
