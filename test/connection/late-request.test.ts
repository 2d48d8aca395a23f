import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf } from '../harness/ports.ts';
import { prove } from '../harness/proof.ts';
import { listen, listenHttp, untilRead } from '../harness/servers.ts';
import { until } from '../harness/wait.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

// The linger ends when the client ends its side, as it does here: its limit is not waited for.
const QUICK: CloseOptions = { idleWait: 200, lingerWait: 5_000, deadline: 8_000 };

const POST = 'POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n';

const LATE = [
  { what: 'that Node would tell to go on', request: `${POST}Expect: 100-continue\r\n\r\n` },
  { what: 'whose expectation Node would refuse', request: `${POST}Expect: more\r\n\r\n` },
  { what: 'without a Host, which Node would refuse', request: 'GET /late HTTP/1.1\r\n\r\n' },
  {
    what: 'that asks for an upgrade',
    request: 'GET /late HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n',
  },
  { what: 'like any other', request: get('/late') },
] as const;

describe('a request that crosses the end of a quiet connection', { timeout: 30_000 }, () => {
  const proof = prove('clients whose request crosses the end of their quiet connection');

  for (const { what, request } of LATE) {
    it(`${what}, is late, no error for the program, and the client is not reset`, async (t) => {
      const heard: unknown[] = [];
      await using server = await listenHttp();
      server.on('connection', (socket) => socket.on('error', (error) => heard.push(error)));
      using client = await RawHttpClient.connect(portOf(server));
      client.send(get('/'));
      await client.heard(/served$/);
      server.on('request', (late) => heard.push(late.url)).on('upgrade', ({ url }) => heard.push(url));
      const closing = gracefulClose(server, QUICK);
      assert.equal(await client.ended, 'EOF');
      client.send(request);
      await untilRead(server, client.socket);
      // Fails where the server has reset the connection.
      client.socket.end('12345');
      await once(client.socket, 'close');
      assert.equal(client.socket.errored, null);
      const { outcome, connections } = await closing;
      const { lateRequests, farewells } = connections;
      assert.deepEqual(
        { outcome, lateRequests, said: farewells.said },
        { outcome: 'complete', lateRequests: 1, said: 0 },
      );
      assert.deepEqual(heard, []);
      proof.held(t, { late: lateRequests });
    });
  }

  it('control: after a plain close each of them resets the client', async (t) => {
    let reset = 0;
    for (const { request } of LATE) reset += await askAfterPlainClose(request);
    assert.equal(reset, LATE.length);
    proof.lost(t, reset);
  });
});

/** One client that asks after the end of its connection, where Node alone has ended it; 1 if it is reset. */
async function askAfterPlainClose(request: string): Promise<number> {
  await using server = await listenHttp();
  using client = await RawHttpClient.connect(portOf(server));
  client.send(get('/'));
  await client.heard(/served$/);
  server.close();
  assert.equal(await client.ended, 'EOF');
  await new Promise((resolve) => client.socket.write(request, resolve));
  // Its reset has come; who has read the end hears of it when it writes again.
  client.socket.end('12345');
  await until('the client is reset', () => client.socket.closed, 10_000);
  const { errored } = client.socket;
  return errored !== null && 'code' in errored && (errored.code === 'ECONNRESET' || errored.code === 'EPIPE') ? 1 : 0;
}

describe('a quiet connection that was ended', { timeout: 30_000 }, () => {
  const proof = prove('a client that never stops asking after the end of its quiet connection');

  it('is read no further as requests when its client never stops asking, and memory does not grow with them', async (t) => {
    await using server = await listenHttp();
    using client = await RawHttpClient.connect(portOf(server));
    client.send(get('/'));
    await client.heard(/served$/);
    const closing = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    const [requests, times] = [get('/late').repeat(1_000), 50];
    for (let time = 0; time < times; time += 1) {
      if (!client.socket.write(requests)) await once(client.socket, 'drain');
    }
    client.socket.end();
    await once(client.socket, 'close');
    assert.equal(client.socket.errored, null);
    const { outcome, connections } = await closing;
    assert.equal(outcome, 'complete');
    const { lateRequests } = connections;
    assert(lateRequests >= 1_000 && lateRequests < 0.5 * times * 1_000, `${lateRequests} were read`);
    proof.held(t, { late: lateRequests });
  });

  it('control: resets a client that goes on asking after a plain close', async (t) => {
    const reset = await askAfterPlainClose(get('/late').repeat(1_000));
    proof.lost(t, reset);
  });

  it('is complete though the program writes to it and the client resets it then', async () => {
    await using server = await listenHttp();
    const accepted = once(server, 'connection');
    using client = await RawHttpClient.connect(portOf(server));
    const [socket]: net.Socket[] = await accepted;
    socket!.on('error', () => {});
    client.send(get('/'));
    await client.heard(/served$/);
    const closing = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    socket!.write('nobody asked');
    client.socket.resetAndDestroy();
    const { outcome, connections } = await closing;
    const { ended, cut } = connections;
    assert.deepEqual({ outcome, ended, cut }, { outcome: 'complete', ended: 1, cut: [] });
  });
});

describe('two closes of servers that have connections in common', { timeout: 30_000 }, () => {
  it('answer a request behind which Node itself answers, and leave nothing on the server', async () => {
    await using speaker = await listen(http.createServer((request, response) => void response.end(request.url)));
    await using acceptor = await listen(net.createServer((socket) => speaker.emit('connection', socket)));
    using client = await RawHttpClient.connect(portOf(acceptor));
    client.endAfterServer();
    client.send(get('/before'));
    await client.heard(/\/before$/);
    const closings = [speaker, acceptor].map((server) => gracefulClose(server, QUICK));
    client.send(`${get('/1')}GET /2 HTTP/1.1\r\n\r\n`);
    assert.equal(await client.ended, 'EOF');
    assert.deepEqual(
      [...client.text.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status),
      ['200', '200', '400'],
    );
    for (const { outcome, connections } of await Promise.all(closings)) {
      const { ended, lateRequests } = connections;
      assert.deepEqual({ outcome, ended, lateRequests }, { outcome: 'complete', ended: 1, lateRequests: 0 });
    }
    assert(!Object.hasOwn(speaker, 'emit'));
  });
});
