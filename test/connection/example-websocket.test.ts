import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { WebSocket } from 'ws';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { within } from '../harness/wait.ts';
import { startExample } from './example-process.ts';

const CLIENTS = 30;

describe('examples/websocket', { timeout: 180_000 }, () => {
  const proof = prove('who is in the room of examples/websocket is told of its end');

  it('tells everyone in the room 1012 after the last words', async (t) => {
    await using scope = new Scope();
    const server = scope.use(startExample('websocket'));
    const port = await server.port;
    const room = await Promise.all(Array.from({ length: CLIENTS }, () => join(scope, port)));
    const heard = room.map((client) => once(client, 'message').then(([words]) => String(words)));
    const closed = room.map((client) =>
      once(client, 'close').then(([code, reason]) => ({ code, reason: String(reason) })),
    );
    room[0]?.send('last orders');
    assert.deepEqual(new Set(await within('the last words', Promise.all(heard))), new Set(['last orders']));
    const { outcome, connections } = (await server.close()).report;
    for (const told of await within('the end of all connections', Promise.all(closed))) {
      assert.deepEqual(told, { code: 1012, reason: 'back in a moment' });
    }
    assert.deepEqual(
      { outcome, farewells: connections.farewells },
      { outcome: 'complete', farewells: { said: CLIENTS, answered: CLIENTS, unanswered: 0 } },
    );
    proof.held(t, { connections: CLIENTS });
  });

  it('control: killed, it tells nobody', async (t) => {
    await using scope = new Scope();
    const server = scope.use(startExample('websocket'));
    const closed = once(await join(scope, await server.port), 'close');
    server.kill();
    const [code] = await within('the end of the connection', closed);
    assert.equal(code, 1006);
    proof.lost(t, 1);
  });
});

async function join(scope: Scope, port: number): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}`);
  scope.defer(() => client.terminate());
  await once(client, 'open');
  return client;
}
