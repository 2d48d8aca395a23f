import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { describe, it } from 'node:test';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf, startHttp, startServer } from '../close/calls-servers.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const QUICK: CloseOptions = { idleWait: 200, lingerWait: 200, deadline: 8_000 };

const POST = 'POST /late HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n';

describe('a request that crosses the end of a quiet connection', { timeout: 30_000 }, () => {
  for (const { what, request } of [
    { what: 'that Node would tell to go on', request: `${POST}Expect: 100-continue\r\n\r\n` },
    { what: 'whose expectation Node would refuse', request: `${POST}Expect: more\r\n\r\n` },
    { what: 'without a Host, which Node would refuse', request: 'GET /late HTTP/1.1\r\n\r\n' },
    {
      what: 'that asks for an upgrade',
      request: 'GET /late HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n',
    },
    { what: 'like any other', request: get('/late') },
  ]) {
    it(`${what}, is late, no error for the program, and the client is not reset`, async (t) => {
      const heard: unknown[] = [];
      const server = await startHttp(t);
      server.on('connection', (socket) => socket.on('error', (error) => heard.push(error)));
      const client = await RawHttpClient.connect(t, portOf(server));
      client.send(get('/'));
      await client.heard(/served$/);
      server.on('request', (late) => heard.push(late.url)).on('upgrade', ({ url }) => heard.push(url));
      const closing = gracefulClose(server, QUICK);
      assert.equal(await client.ended, 'EOF');
      client.send(request);
      await new Promise((resolve) => setTimeout(resolve, 50));
      // Fails where the server has reset the connection.
      client.socket.end('12345');
      await once(client.socket, 'close');
      assert.equal(client.socket.errored, null);
      const { outcome, connections } = await closing;
      assert.deepEqual([outcome, connections.lateRequests, connections.farewells.said], ['complete', 1, 0]);
      assert.deepEqual(heard, []);
    });
  }
});

describe('a quiet connection that was ended', { timeout: 30_000 }, () => {
  it('is read no further as requests when its client never stops asking, and memory does not grow with them', async (t) => {
    const server = await startHttp(t);
    const client = await RawHttpClient.connect(t, portOf(server));
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
  });

  it('is complete though the program writes to it and the client resets it then', async (t) => {
    const server = await startHttp(t);
    const accepted = once(server, 'connection');
    const client = await RawHttpClient.connect(t, portOf(server));
    const [socket]: net.Socket[] = await accepted;
    socket!.on('error', () => {});
    client.send(get('/'));
    await client.heard(/served$/);
    const closing = gracefulClose(server, QUICK);
    assert.equal(await client.ended, 'EOF');
    socket!.write('nobody asked');
    client.socket.resetAndDestroy();
    const { outcome, connections } = await closing;
    assert.deepEqual([outcome, connections.ended, connections.cut], ['complete', 1, []]);
  });
});

describe('two closes of servers that have connections in common', { timeout: 30_000 }, () => {
  it('answer a request behind which Node itself answers, and leave nothing on the server', async (t) => {
    const speaker = await startServer(
      t,
      http.createServer((request, response) => void response.end(request.url)),
    );
    const acceptor = await startServer(
      t,
      net.createServer((socket) => speaker.emit('connection', socket)),
    );
    const client = await RawHttpClient.connect(t, portOf(acceptor));
    client.socket.on('end', () => client.socket.end());
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
      assert.deepEqual([outcome, connections.ended, connections.lateRequests], ['complete', 1, 0]);
    }
    assert(!Object.hasOwn(speaker, 'emit'));
  });
});
