import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { type CloseOptions, gracefulClose } from '../../src/index.ts';
import { portOf, startHttp, startServer } from '../close/calls-servers.ts';
import { get, RawHttpClient } from './raw-http-client.ts';

const QUICK: CloseOptions = { idleWait: 200, lingerWait: 200, deadline: 8_000 };

/** Its client knows by the connection's end alone that it is whole. */
const WITHOUT_LENGTH = 'GET /short HTTP/1.0\r\nHost: x\r\n\r\n';

describe('a connection that a close does not take in, while that close goes on', { timeout: 30_000 }, () => {
  it('is ended by its last response as ever if it came to a server that listens anew', async (t) => {
    const { server, finish, closing } = await startLongClose(t, () => {});
    while (server.listening) await new Promise(setImmediate);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    await assertEnds(await RawHttpClient.connect(t, portOf(server)));
    finish();
    const { connections } = await closing;
    assert.deepEqual([connections.atStart, connections.fromQueues], [1, 0]);
  });

  it('is ended by its last response as ever if the program has unref’d it', async (t) => {
    const clients: RawHttpClient[] = [];
    const { finish, closing } = await startLongClose(t, async (server) => {
      server.once('connection', (socket: net.Socket) => socket.unref());
      clients.push(await RawHttpClient.connect(t, portOf(server)));
    });
    for (const client of clients) await assertEnds(client);
    finish();
    const { connections } = await closing;
    // It is a documented limit that it is not seen.
    assert.equal(connections.atStart, 1);
  });

  /** A close that goes on until its one response is finished. `before` runs when that is under way. */
  async function startLongClose(t: TestContext, before: (server: http.Server) => void | Promise<void>) {
    const responses: http.ServerResponse[] = [];
    const server = await startHttp(t, (request, response) => {
      if (request.url === '/short') response.end('short');
      else responses.push(response);
    });
    const client = await RawHttpClient.connect(t, portOf(server));
    client.socket.on('end', () => client.socket.end());
    client.send(get('/long'));
    while (responses.length === 0) await once(server, 'request');
    await before(server);
    const closing = gracefulClose(server, QUICK);
    return { server, closing, finish: () => responses[0]?.end() };
  }

  async function assertEnds(client: RawHttpClient): Promise<void> {
    client.socket.on('end', () => client.socket.end());
    client.send(WITHOUT_LENGTH);
    assert.equal(await client.ended, 'EOF');
    assert.match(client.text, /\r\n\r\nshort$/);
  }
});

describe('an HTTP/2 session on a connection that a net server has accepted and handed over', {
  timeout: 30_000,
}, () => {
  for (const { does, options } of [
    { does: 'gets its GOAWAY, and its stream is finished', options: QUICK },
    {
      does: 'is not told the farewell of raw connections',
      options: { ...QUICK, farewell: { say: () => Buffer.from('bye\r\n') } },
    },
  ]) {
    it(does, async (t) => {
      const streams: http2.ServerHttp2Stream[] = [];
      const speaker = http2.createServer().on('stream', (stream: http2.ServerHttp2Stream) => streams.push(stream));
      const server = await startServer(
        t,
        net.createServer((socket) => speaker.emit('connection', socket)),
      );
      const session = http2.connect(`http://127.0.0.1:${portOf(server)}`);
      t.after(() => session.destroy());
      const request = session.request({ ':path': '/' });
      while (streams.length === 0) await once(speaker, 'stream');
      const goaway = once(session, 'goaway');
      const closing = gracefulClose(server, options);
      await goaway;
      for (const stream of streams) stream.end('served');
      request.setEncoding('utf8');
      let text = '';
      for await (const chunk of request) text += String(chunk);
      assert.equal(text, 'served');
      const { outcome, connections } = await closing;
      assert.deepEqual([outcome, connections.farewells.said], ['complete', 1]);
    });
  }
});
