import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { LastCallError } from '../../src/channel.ts';
import { ChannelClient } from '../../src/channel/client/client.ts';
import { completeConnectOptions, completeRequest } from '../../src/channel/client/options.ts';
import { Scope } from '../harness/scope.ts';
import { connect, rejectsWith } from './open-channel.ts';
import { SimClock } from './simulation/sim-clock.ts';
import { frame, hello, WireReader } from './wire.ts';

/** A server that sends HELLO and GOODBYE: at once, or after it has answered one request. */
async function serveUnwilling(scope: Scope, serves: boolean): Promise<{ port: number; connections: () => number }> {
  let connections = 0;
  const server = net.createServer((socket) => {
    connections += 1;
    socket.on('error', () => {});
    const reader = new WireReader(socket);
    const goodbye = frame('goodbye', serves ? 1 : 0, Buffer.alloc(6), 0);
    socket.write(hello({ maxRequests: 1 }));
    if (!serves) socket.end(goodbye);
    else void reader.first('request').then(() => socket.end(Buffer.concat([frame('reply', 1), goodbye])));
  });
  server.listen({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  scope.defer(() => server.close());
  const { port } = server.address() as net.AddressInfo;
  return { port, connections: () => connections };
}

describe('A client of a channel', { timeout: 300_000 }, () => {
  it('pauses between dials to a server that only sends farewells, and gives up in the end', async () => {
    await using scope = new Scope();
    const { port, connections } = await serveUnwilling(scope, false);
    const channel = connect(scope, { target: { host: '127.0.0.1', port } }, { giveUpAfter: 3_000 });
    await rejectsWith(channel.request(Buffer.from('x')), 'ERR_NOT_PROCESSED');
    // Pauses from 20 ms on, each up to twice the one before. Half of each is random.
    assert.ok(connections() > 2 && connections() <= 12, `${connections()} connections`);
  });

  it('dials at once after a farewell that follows an answer (control)', async () => {
    await using scope = new Scope();
    const { port, connections } = await serveUnwilling(scope, true);
    const channel = connect(scope, { target: { host: '127.0.0.1', port } }, { giveUpAfter: 5_000 });
    await Promise.all(Array.from({ length: 200 }, () => channel.request(Buffer.from('x'))));
    assert.equal(connections(), 200);
  });

  for (const [title, staysConnected] of [
    ['stops dialling when no request waits', false],
    ['goes on dialling where messages may come', true],
  ] as const) {
    it(title, async () => {
      const clock = new SimClock();
      const errors: LastCallError[] = [];
      let dialled = 0;
      const client = new ChannelClient({
        ...completeConnectOptions({ port: 1 }, { giveUpAfter: 10_000 }),
        clock,
        random: () => 0.5,
        staysConnected,
        onError: (error) => void errors.push(error),
        dial: () => {
          dialled += 1;
          throw new TypeError('An option is wrong');
        },
      });
      const asked = rejectsWith(client.request(completeRequest(Buffer.from('x')), false), 'ERR_NOT_PROCESSED');
      await clock.pass(20_000, () => setImmediate());
      const { cause } = await asked;
      assert.ok(cause instanceof LastCallError && cause.cause instanceof TypeError, String(cause));
      assert.ok(dialled > 5 && errors.length === dialled, `${dialled} dialled, ${errors.length} errors`);
      assert.equal(clock.pending, staysConnected ? 1 : 0);
      const closed = client.close(0);
      await clock.pass(1, () => setImmediate());
      await closed;
      assert.equal(clock.pending, 0);
    });
  }
});
