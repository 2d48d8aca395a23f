import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { suite, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastCall, type LastCall, type LastCallOptions } from '../../src/index.ts';
import { countLost } from '../../src/storm/outcome.ts';
import { runStorm } from '../../src/storm/storm.ts';
import { portOf, untilAccepted } from '../harness/ports.ts';
import { until } from '../harness/wait.ts';
import { ask } from './life-service-driver.ts';

const SOON = { idleWait: 50, lingerWait: 50 } as const;
// On a busy machine, too, the control must not be quiet for this long.
const LONG = { lameDuck: 7_000, quietFor: 1_500, deadline: 40_000, exit: false, ...SOON } as const;
/** In ms. Far from both ends of the lame duck: that by quiet, and that by time. */
const MIDDLE = 6_000;

interface Service extends AsyncDisposable {
  readonly service: LastCall;
  readonly server: http.Server;
  readonly port: number;
}

async function start(options: LastCallOptions): Promise<Service> {
  const server: http.Server = http.createServer((request, response) => {
    if (request.url === '/ready') service.readiness(request, response);
    else response.end('served');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const service = lastCall(server, options);
  const end = async (): Promise<void> => void (await service.close());
  return { service, server, port: portOf(server), [Symbol.asyncDispose]: end };
}

/** How long the lame duck of a stop lasts, in ms, while `visit` is called every `every` ms. */
async function lasts({ service }: Service, every: number, visit: () => unknown): Promise<number> {
  const began = performance.now();
  const over = new AbortController();
  const visits = (async () => {
    while (!over.signal.aborted) {
      visit();
      await sleep(every, undefined, { signal: over.signal }).catch(() => {});
    }
  })();
  const closing = service.close();
  await until('the lame duck is over', () => service.state !== 'lame duck');
  over.abort();
  await Promise.all([visits, closing]);
  return performance.now() - began;
}

suite('a lame duck', { concurrency: true }, () => {
  test('ends when no new client has come for quietFor', async () => {
    await using service = await start(LONG);
    const took = await lasts(service, 60_000, () => ask('/', service.port));
    assert.ok(took >= LONG.quietFor && took < MIDDLE, `${took} ms`);
  });

  test('lasts no longer for repeated health checks', async () => {
    await using service = await start(LONG);
    const answers: Promise<{ status: number | string }>[] = [];
    const took = await lasts(service, 100, () => answers.push(ask('/ready', service.port)));
    assert.ok(took >= LONG.quietFor && took < MIDDLE, `${took} ms`);
    const statuses = (await Promise.all(answers)).map(({ status }) => status);
    assert.ok(statuses.filter((status) => status === 503).length >= 3, statuses.join());
  });

  test('control: lasts until its time is up while clients come as often', async () => {
    // Longer than it would last if they counted as health checks.
    const lameDuck = 2 * LONG.quietFor;
    await using service = await start({ ...LONG, lameDuck });
    const took = await lasts(service, 100, () => ask('/', service.port));
    assert.ok(took >= lameDuck, `${took} ms`);
  });

  test('counts a request of the kubelet as a health check, at any path', async () => {
    await using service = await start(LONG);
    const headers = { 'User-Agent': 'kube-probe/1.33', Connection: 'close' };
    const took = await lasts(service, 100, () => {
      const probe = { host: '127.0.0.1', port: service.port, path: '/healthz', headers };
      // The last one may be refused.
      http.get(probe, (response) => response.resume()).on('error', () => {});
    });
    assert.ok(took < MIDDLE, `${took} ms`);
  });

  test('counts a connection without a byte as a health check', async () => {
    await using service = await start(LONG);
    const took = await lasts(service, 100, () => {
      const socket = net.connect(service.port, '127.0.0.1', () => socket.end());
      // The last one may be refused.
      socket.on('error', () => {}).resume();
    });
    assert.ok(took < MIDDLE, `${took} ms`);
  });

  test('ends between two clients that come quietFor apart, and the second one is refused', async () => {
    await using service = await start({ ...LONG, quietFor: 1_000, lameDuck: 25_000, deadline: 60_000 });
    const closing = service.service.close();
    assert.equal((await ask('/', service.port)).status, 200);
    const first = performance.now();
    await until('the lame duck is over', () => service.service.state !== 'lame duck');
    await untilAccepted({ port: service.port, host: '127.0.0.1' }, false);
    const apart = performance.now() - first;
    assert.ok(apart >= 900 && apart < 20_000, `${apart} ms`);
    assert.equal((await ask('/', service.port)).status, 'ECONNREFUSED');
    assert.equal((await closing).outcome, 'complete');
  });

  test('lasts lameDuckMin however quiet it is', async () => {
    await using service = await start({ ...LONG, quietFor: 0, lameDuckMin: 700 });
    const took = await lasts(service, 60_000, () => {});
    assert.ok(took >= 700 && took < MIDDLE, `${took} ms`);
  });

  test('leaves half of the deadline to connected clients', async () => {
    await using service = await start({ ...LONG, deadline: 6_000 });
    const took = await lasts(service, 50, () => ask('/', service.port).catch(() => {}));
    assert.ok(took >= 3_000 && took < MIDDLE, `${took} ms`);
  });
});

// Not beside the others: its storm would keep their loop busy.
suite('a lame duck under a storm', () => {
  test('sends `Connection: close` to new and kept clients, and resets none', async () => {
    await using service = await start({ ...LONG, lameDuck: 2_000, lameDuckMin: 2_000 });
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    using _ = { [Symbol.dispose]: () => agent.destroy() };
    const get = async (): Promise<string | undefined> => {
      const request = http.get({ host: '127.0.0.1', port: service.port, agent });
      const [response]: http.IncomingMessage[] = await once(request, 'response');
      response!.resume();
      await once(response!, 'end');
      return response!.headers.connection;
    };
    assert.equal(await get(), 'keep-alive');
    const target = { host: '127.0.0.1', port: service.port };
    const storm = runStorm({ target, clients: 50, keepAlive: true, thinkTime: [0, 20] });
    const servedBefore = 500;
    await storm.served(servedBefore);
    const closing = service.service.close();
    assert.equal(await get(), 'close');
    assert.equal(await get(), 'close');
    const { counts } = await storm.finished;
    assert.equal(countLost(counts), 0, JSON.stringify(counts));
    assert.ok(counts.served > servedBefore + 50, `${counts.served - servedBefore} were served in the lame duck`);
    assert.equal((await closing).outcome, 'complete');
  });
});
