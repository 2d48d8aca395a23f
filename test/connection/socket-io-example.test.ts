import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { io, type Socket } from 'socket.io-client';
import { ExampleProcess } from './example-process.ts';

describe('examples/socket-io', { timeout: 180_000 }, () => {
  for (const transport of ['polling', 'websocket'] as const) {
    it(`lets go of a client over ${transport}, which then connects to the successor by itself`, async (t) => {
      const server = new ExampleProcess(t, 'socket-io');
      const port = await server.port;
      const client = await connect(t, port, transport);
      assert.equal(await client.emitWithAck('say', 'hello'), 'hello');
      const disconnected = new Promise((resolve) => client.once('disconnect', resolve));
      const { report } = await server.close();
      assert.deepEqual([report.outcome, report.connections.cut], ['complete', []]);
      // Not 'io server disconnect', after which it would not connect again.
      assert.equal(await disconnected, 'transport close');
      const successor = new ExampleProcess(t, 'socket-io', { PORT: String(port) });
      await successor.port;
      await connected(client);
      assert.equal(await client.emitWithAck('say', 'hello again'), 'hello again');
    });
  }

  it('control: killed, it cuts who polls', async (t) => {
    const server = new ExampleProcess(t, 'socket-io');
    const client = await connect(t, await server.port, 'polling');
    const disconnected = new Promise((resolve) => client.once('disconnect', resolve));
    server.kill();
    assert.equal(await disconnected, 'transport error');
  });

  async function connect(t: TestContext, port: number, transport: 'polling' | 'websocket'): Promise<Socket> {
    const client = io(`http://127.0.0.1:${port}`, { transports: [transport], forceNew: true });
    t.after(() => client.disconnect());
    await connected(client);
    return client;
  }

  async function connected(client: Socket): Promise<void> {
    if (!client.connected) await new Promise<void>((resolve) => client.once('connect', resolve));
  }
});
