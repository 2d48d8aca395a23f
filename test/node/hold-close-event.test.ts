import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { suite, test } from 'node:test';
import { holdCloseEvent } from '../../src/node/fields.ts';
import { listen } from '../harness/servers.ts';
import { within } from '../harness/wait.ts';

suite("a server's 'close' event", () => {
  test('comes when the last of its closes lets it go', async () => {
    await using server = await listen(net.createServer());
    let closed = 0;
    server.on('close', () => (closed += 1));
    const [first, second] = [holdCloseEvent(server), holdCloseEvent(server)];
    await closeListener(server);
    first();
    await nextTurn();
    assert.equal(closed, 0);
    second();
    await nextTurn();
    assert.equal(closed, 1);
  });

  test('comes again after the server has listened anew, also where two copies of lastcall have held it', async () => {
    const copy: typeof import('../../src/node/fields.ts') = await import(`${FIELDS}?copy`);
    await using server = await listen(net.createServer());
    const [ours, theirs] = [holdCloseEvent(server), copy.holdCloseEvent(server)];
    await closeListener(server);
    // In the order in which they came: ours is below theirs.
    ours();
    theirs();
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const end = once(server, 'close');
    server.close();
    await within('the second close', end);
  });
});

const FIELDS = new URL('../../src/node/fields.js', import.meta.url).href;

/** Closes the listener; the event waits. */
async function closeListener(server: net.Server): Promise<void> {
  server.close();
  await nextTurn();
}

/** Node emits 'close' on the next tick. */
async function nextTurn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
