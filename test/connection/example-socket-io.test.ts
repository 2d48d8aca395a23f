import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { io, type Socket } from 'socket.io-client';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { within } from '../harness/wait.ts';
import { startExample } from './example-process.ts';

describe('examples/socket-io', { timeout: 180_000, concurrency: true }, () => {
  const proof = prove('the clients of examples/socket-io, which poll or use WebSockets');

  for (const transport of ['polling', 'websocket'] as const) {
    it(`lets go of a client over ${transport}, which then connects to the successor by itself`, async (t) => {
      await using scope = new Scope();
      const server = scope.use(startExample('socket-io'));
      const port = await server.port;
      const client = await connect(scope, port, transport);
      assert.equal(await client.emitWithAck('say', 'hello'), 'hello');
      const disconnected = disconnection(client);
      const { outcome, connections } = (await server.close()).report;
      assert.deepEqual({ outcome, cut: connections.cut }, { outcome: 'complete', cut: [] });
      // Not 'io server disconnect', after which it would not connect again.
      assert.equal(await disconnected, 'transport close');
      const successor = scope.use(startExample('socket-io', { PORT: String(port) }));
      await successor.port;
      await connected(client);
      assert.equal(await client.emitWithAck('say', 'hello again'), 'hello again');
      proof.held(t, { connections: connections.atStart + connections.fromQueues });
    });
  }

  it('control: killed, it cuts who polls', async (t) => {
    await using scope = new Scope();
    const server = scope.use(startExample('socket-io'));
    const disconnected = disconnection(await connect(scope, await server.port, 'polling'));
    server.kill();
    assert.equal(await disconnected, 'transport error');
    proof.lost(t, 1);
  });
});

async function connect(scope: Scope, port: number, transport: 'polling' | 'websocket'): Promise<Socket> {
  const client = io(`http://127.0.0.1:${port}`, { transports: [transport], forceNew: true });
  scope.defer(() => client.disconnect());
  await connected(client);
  return client;
}

async function connected(client: Socket): Promise<void> {
  if (client.connected) return;
  await within('the client to connect', new Promise<void>((resolve) => client.once('connect', resolve)));
}

/** The reason, in socket.io's own words. */
function disconnection(client: Socket): Promise<string> {
  return within('the client to be disconnected', new Promise((resolve) => client.once('disconnect', resolve)));
}
