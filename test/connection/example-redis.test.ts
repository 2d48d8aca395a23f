import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from 'redis';
import { prove } from '../harness/proof.ts';
import { Scope } from '../harness/scope.ts';
import { within } from '../harness/wait.ts';
import { type ExampleProcess, startExample } from './example-process.ts';
import { RedisLoad } from './redis-load.ts';

const CLIENTS = 20;
const CALLERS = 10;

describe('examples/redis, under the real client', { timeout: 180_000 }, () => {
  const ofLoad = prove('the commands under way to examples/redis');

  it('under load sends its clients to the successor, and no command fails', async (t) => {
    await using scope = new Scope();
    const { server, load } = await startUnderLoad(scope);
    const { report } = await server.close();
    await load.answeredMore(5_000);
    const { answered, failed, moved } = await load.stop();
    assert.deepEqual({ failed, moved }, { failed: [], moved: CLIENTS * CALLERS });
    const { outcome, connections } = report;
    assert.deepEqual(
      { outcome, ended: connections.ended, cut: connections.cut },
      { outcome: 'complete', ended: CLIENTS, cut: [] },
    );
    assert.deepEqual(connections.farewells, { said: CLIENTS, answered: CLIENTS, unanswered: 0 });
    t.diagnostic(`${answered} commands, 0 failed, in ${Math.round(report.duration)} ms`);
    ofLoad.held(t, { callers: moved });
  });

  it('control: killed under load, it leaves commands without an answer', async (t) => {
    await using scope = new Scope();
    const { server, load } = await startUnderLoad(scope);
    server.kill();
    await load.failing(CLIENTS);
    t.diagnostic(`${load.failed.length} commands failed: ${load.failed[0]}`);
    ofLoad.lost(t, load.failed.length);
  });
});

// These wait for time to pass, so they wait together.
describe('examples/redis, whose clients are quiet now and then', { timeout: 180_000, concurrency: true }, () => {
  it('serves a client of the old protocol until it is quiet; it finds the successor at the same port', async () => {
    await using server = startExample('redis');
    const port = await server.port;
    using scope = destroying(
      createClient({ RESP: 2, socket: { host: '127.0.0.1', port, reconnectStrategy: 50 } }).on('error', () => {}),
    );
    const { client } = scope;
    await client.connect();
    assert.equal(await client.incr('n'), 1);
    // (`once` would take the client's error, that its connection has ended, for ours.)
    const reconnecting = new Promise<void>((resolve) => client.once('reconnecting', resolve));
    const ready = reconnecting.then(() => new Promise<void>((resolve) => client.once('ready', resolve)));
    const closing = server.close();
    // Time is what is tested: it asks again long before it has been quiet for 2 s.
    for (let number = 2; number <= 30; number += 1) {
      assert.equal(await client.incr('n'), number);
      await sleep(50);
    }
    const { outcome, connections } = (await closing).report;
    assert.deepEqual({ outcome, ended: connections.ended }, { outcome: 'complete', ended: 1 });
    await within('the client to connect again', reconnecting);
    await using successor = startExample('redis', { PORT: String(port) });
    await successor.port;
    await within('the client to be ready', ready);
    assert.equal(await client.incr('n'), 1);
  });

  const ofWaiting = prove('who waits in BLPOP at examples/redis');

  it('gives who waits in BLPOP an answer, which is that there is nothing', async (t) => {
    await using scope = new Scope();
    const server = scope.use(startExample('redis'));
    const { waiting } = await waitInBlpop(scope, await server.port);
    const { outcome, connections } = (await server.close()).report;
    assert.equal(await waiting, null);
    assert.deepEqual(
      { outcome, ended: connections.ended, cut: connections.cut },
      { outcome: 'complete', ended: 2, cut: [] },
    );
    ofWaiting.held(t, { waiting: 1 });
  });

  it('control: killed, it leaves who waits in BLPOP without an answer', async (t) => {
    await using scope = new Scope();
    const server = scope.use(startExample('redis'));
    const { waiting } = await waitInBlpop(scope, await server.port);
    server.kill();
    await assert.rejects(waiting);
    ofWaiting.lost(t, 1);
  });
});

async function startUnderLoad(scope: Scope): Promise<{ server: ExampleProcess; load: RedisLoad }> {
  const successor = scope.use(startExample('redis'));
  const server = scope.use(startExample('redis', { SUCCESSOR: `127.0.0.1:${await successor.port}` }));
  const load = scope.use(new RedisLoad());
  await load.start(await server.port, CLIENTS, CALLERS);
  await load.answeredMore(5_000);
  return { server, load };
}

/** One whose first BLPOP has been answered, so that the server has heard the second, too. */
async function waitInBlpop(scope: Scope, port: number): Promise<{ waiting: Promise<unknown> }> {
  const options = { RESP: 2, socket: { host: '127.0.0.1', port, reconnectStrategy: false } } as const;
  const [waiter, other] = [createClient(options), createClient(options)];
  for (const client of [waiter, other]) {
    scope.use(destroying(client));
    await client.on('error', () => {}).connect();
  }
  const first = waiter.blPop('list', 0);
  const waiting = waiter.blPop('list', 0);
  waiting.catch(() => {});
  await other.rPush('list', 'something');
  assert.deepEqual(await first, { key: 'list', element: 'something' });
  return { waiting };
}

function destroying<C extends { readonly isOpen: boolean; destroy(): void }>(client: C): Disposable & { client: C } {
  return {
    client,
    [Symbol.dispose]: () => {
      if (client.isOpen) client.destroy();
    },
  };
}
