import assert from 'node:assert/strict';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, it } from 'node:test';
import { Registry, register } from 'prom-client';
import { WebSocket, WebSocketServer } from 'ws';
import { channels } from '../../src/close/diagnostics.ts';
import { gracefulClose, type LastCallError } from '../../src/index.ts';
import { LAST_CALL_STATES, stateChannel } from '../../src/lifecycle/state.ts';
import { collectMetrics } from '../../src/metrics.ts';
import { ask, listenBusy, queueClients, SOON } from '../close/calls-servers.ts';
import { RawHttpClient, get } from '../connection/raw-http-client.ts';
import { portOf } from '../harness/ports.ts';
import { listen, listenHttp } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { Loopback } from '../linux/loopback.ts';
import { countsOf, scrape } from './scrape.ts';

const HOST = '127.0.0.1';

describe('a scrape', { timeout: 180_000 }, () => {
  it('before, during and after a close counts the connections of each protocol', async () => {
    using registry = collect();
    await using all = await startAllProtocols();
    const { servers, leave, answer } = all;
    const before = await scrape(registry);
    const open = { 'http/1.1': 2, h2: 1, websocket: 1, raw: 1 };
    assert.deepEqual(countsOf(before, 'lastcall_connections'), open);
    assert.deepEqual(countsOf(before, 'lastcall_connections_ended_total'), {});
    assert.equal(before.get('lastcall_connections_ended_total{protocol="h2"}'), 0);
    assert.equal(before.get('lastcall_close_duration_seconds_count'), 0);

    const closing = gracefulClose(servers, { idleWait: 50, lingerWait: 2_000 });
    leave();
    // One response is held, so that the close goes on.
    await until('four connections have ended', async () => (await endedOn(registry)) >= 4);
    const during = await scrape(registry);
    assert.deepEqual(countsOf(during, 'lastcall_connections'), { 'http/1.1': 1 });
    const ended = { 'http/1.1': 1, h2: 1, websocket: 1, raw: 1 };
    assert.deepEqual(countsOf(during, 'lastcall_connections_ended_total'), ended);
    assert.equal(during.get('lastcall_close_duration_seconds_count'), 0);

    answer();
    const { duration } = await closing;
    const after = await scrape(registry);
    assert.deepEqual(countsOf(after, 'lastcall_connections'), {});
    assert.deepEqual(countsOf(after, 'lastcall_connections_ended_total'), open);
    assert.deepEqual(countsOf(after, 'lastcall_connections_cut_total'), {});
    assert.equal(after.get('lastcall_close_duration_seconds_count'), 1);
    assert.equal(after.get('lastcall_close_duration_seconds_sum'), duration / 1_000);
    assert.deepEqual(
      [...after].filter(([name]) => name.startsWith('lastcall_queued{')),
      [],
    );
  });

  it('counts clients that wait in an accept queue, and none when they were served', async () => {
    using registry = collect();
    await using server = await listenHttp();
    await using queue = queueClients(portOf(server), 30);
    // In this turn of the loop no client is accepted.
    const series = await scrape(registry);
    const address = `${HOST}:${portOf(server)}`;
    assert.deepEqual(countsOf(series, 'lastcall_queued'), { [address]: 30 });
    await queue.answers;
    assert.deepEqual(countsOf(await scrape(registry), 'lastcall_queued'), {});
  });

  it('counts handshakes under way', async () => {
    using registry = collect();
    await using loopback = new Loopback();
    const { port } = await loopback.startDeferredListener();
    assert.deepEqual(countsOf(await scrape(registry), 'lastcall_half_open'), {});
    for (let client = 0; client < 3; client += 1) await loopback.connect({ host: HOST, port });
    assert.deepEqual(countsOf(await scrape(registry), 'lastcall_half_open'), { [`${HOST}:${port}`]: 3 });
  });

  it('counts cut connections by their reason', async () => {
    using registry = collect();
    await using late = await listenBusy();
    await using given = await listenBusy();
    await gracefulClose(late.server, { ...SOON, deadline: 0 });
    await gracefulClose(given.server, { ...SOON, signal: AbortSignal.abort() });
    const series = await scrape(registry);
    assert.deepEqual(countsOf(series, 'lastcall_connections_cut_total'), {
      'http/1.1, deadline': 1,
      'http/1.1, aborted': 1,
    });
    assert.deepEqual(countsOf(series, 'lastcall_connections_ended_total'), {});
    assert.equal(series.get('lastcall_close_duration_seconds_count'), 2);
  });

  it('counts a request that came after the end', async () => {
    using registry = collect();
    await using server = await listenHttp();
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/'));
    await client.heard(/served$/);
    const closing = gracefulClose(server, { idleWait: 50, lingerWait: 2_000 });
    assert.equal(await client.ended, 'EOF');
    client.socket.end(get('/late'));
    await closing;
    assert.equal((await scrape(registry)).get('lastcall_late_requests_total'), 1);
  });

  it('has no state without a lastCall, and then its last one, also with metrics that came later', async () => {
    using registry = collect();
    const states = async (): Promise<object> => countsOf(await scrape(registry), 'lastcall_state');
    assert.deepEqual(await states(), {});
    assert.equal((await scrape(registry)).get('lastcall_state{state="serving"}'), 0);
    for (const state of LAST_CALL_STATES) {
      stateChannel.publish({ state });
      assert.deepEqual(await states(), { [state]: 1 });
    }
    using late = collect();
    assert.deepEqual(countsOf(await scrape(late), 'lastcall_state'), { closed: 1 });
  });
});

describe('the metrics', { timeout: 180_000 }, () => {
  it('go on the global registry by default, and off it again', async () => {
    const takeOff = collectMetrics();
    assert.ok(register.getSingleMetric('lastcall_state'));
    takeOff();
    takeOff();
    assert.deepEqual(register.getMetricsAsArray(), []);
    const { connection, closed } = channels;
    assert.deepEqual(
      { connection: connection.hasSubscribers, closed: closed.hasSubscribers },
      { connection: false, closed: false },
    );
  });

  it('do not remove those that the program has put in their place', () => {
    const registry = new Registry();
    const takeOff = collectMetrics({ registry });
    registry.clear();
    const takeOthersOff = collectMetrics({ registry });
    takeOff();
    assert.ok(registry.getSingleMetric('lastcall_state'));
    takeOthersOff();
    assert.deepEqual(registry.getMetricsAsArray(), []);
  });

  it('are put on a registry once, and with another prefix once more', async () => {
    using registry = collect();
    const [count, message] = [registry.getMetricsAsArray().length, /without lastcall_state: .* another `prefix`/];
    assert.throws(() => collectMetrics({ registry }), { code: 'ERR_OPTION', message });
    assert.equal(registry.getMetricsAsArray().length, count);
    const takeOff = collectMetrics({ registry, prefix: 'shop_' });
    try {
      assert.equal((await scrape(registry)).get('shop_lastcall_late_requests_total'), 0);
    } finally {
      takeOff();
    }
  });

  for (const [what, options, message] of [
    ['a wrong registry', { registry: {} }, 'Expected `registry` to be a registry of prom-client, got an object'],
    [
      'a wrong prefix',
      { prefix: 'my shop' },
      'Expected `prefix` to be a string that a metric may begin with, got `my shop`',
    ],
    ['an unknown option', { prefixes: '' }, 'Expected `options` to be made of registry, prefix, got `prefixes`'],
    ['wrong options', 'shop_', 'Expected `options` to be an object, got `shop_`'],
  ] as const) {
    it(`are refused with ${what}`, () => {
      const isExpected = (error: LastCallError): boolean => error.code === 'ERR_OPTION' && error.message === message;
      assert.throws(() => Reflect.apply(collectMetrics, undefined, [options]), isExpected);
    });
  }
});

/** A registry with the metrics. For `using`. */
function collect(): Registry & Disposable {
  const registry = new Registry();
  return Object.assign(registry, { [Symbol.dispose]: collectMetrics({ registry }) });
}

async function endedOn(registry: Registry): Promise<number> {
  const counts = countsOf(await scrape(registry), 'lastcall_connections_ended_total');
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** A connection of each protocol, and one of HTTP/1.1 that waits for its response until `answer`. For `await using`. */
interface AllProtocols extends AsyncDisposable {
  readonly servers: readonly net.Server[];
  /** Ends the raw connection. */
  readonly leave: () => void;
  readonly answer: () => void;
}

async function startAllProtocols(): Promise<AllProtocols> {
  const loopback = new Loopback();
  try {
    const busy = loopback.use(await listenBusy());
    const web = loopback.use(await listenHttp());
    const webSockets = new WebSocketServer({ server: web });
    const h2 = loopback.use(await listen(http2.createServer((_, response) => void response.end('served'))));
    const raw = loopback.use(await listen(net.createServer((socket) => void socket.pipe(socket))));

    const idle = ask(portOf(web), 'keep-alive');
    loopback.defer(() => idle.socket.destroy());
    await once(idle.socket, 'data');
    const webSocket = new WebSocket(`ws://${HOST}:${portOf(web)}`);
    loopback.defer(() => webSocket.terminate());
    await Promise.all([once(webSocket, 'open'), once(webSockets, 'connection')]);
    const session = http2.connect(`http://${HOST}:${portOf(h2)}`);
    loopback.defer(() => session.destroy());
    await once(session.request().resume(), 'close');
    const line = await loopback.connect({ host: HOST, port: portOf(raw) });
    line.write('hello');
    await once(line, 'data');
    return {
      servers: [busy.server, web, h2, raw],
      leave: () => void line.end(),
      answer: busy.answer,
      [Symbol.asyncDispose]: () => loopback[Symbol.asyncDispose](),
    };
  } catch (error) {
    await loopback[Symbol.asyncDispose]();
    throw error;
  }
}
